"""A table that says more of lesions and volumes than the challenge's tables do, such as type and density.

A row is of a lesion or of a volume, both named by StudyUID and View. A lesion is told by ``Lesion``, its
number on the volume from 1 in the order of the boxes, or by its ``Slice``, and ``X`` and ``Y`` where the
table has them, as in the boxes. A row with neither a number (or 0) nor a slice is of the whole volume: a
volume without a lesion can have one too. Every further column can be grouped by. A column that some row of a
volume fills groups volumes, where lesions' rows may repeat it; any other groups lesions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from comoto.errors import DatasetError
from comoto.evaluation.challenge_tables import ChallengeTruth
from comoto.evaluation.columns import Column
from comoto.records import IntArray
from comoto.tables import BoolArray, Float64Array, Table, TableSource, header_of, read_table

_KEYS = ("StudyUID", "View")
_PLACE = ("Lesion", "Slice", "X", "Y")
_NEAR = 0.5
"""Corners of boxes may be rounded."""
_OTHERS = {"PatientID", "Width", "Height", "VolumeSlices", "Subject", *_KEYS, *_PLACE}
"""Columns that say where a lesion is and nothing that one would group by."""


def read_lesion_table(source: TableSource, truth: ChallengeTruth) -> dict[str, Column]:
    """Read a table of lesions and volumes.

    Rows of volumes that the labels do not name, such as those of another split, are passed over.

    Args:
        source: CSV path or DataFrame.
        truth: the lesions and volumes that its rows are of.

    Raises:
        DatasetError: the table cannot be read, lacks the keys, names no volume of the cohort, or a row is of
            no lesion, of several, or of one that another row is of too; names the lines.
    """
    header = header_of(source)
    told = [name for name in header if name and name not in _OTHERS]
    place = [name for name in _PLACE if name in header]
    table = read_table(source, "lesion table", (*_KEYS, *told), place)
    keys = zip(*(table.texts[name] for name in _KEYS), strict=True)
    volume = np.array([truth.volumes.get(key, -1) for key in keys], dtype=np.int64)
    if not (volume >= 0).any():
        raise DatasetError(
            f"{table.name}: no row names a volume of the cohort by StudyUID and View; give the table of the "
            "same exams"
        )
    rows = _Rows(table, volume, _lesions(table, volume, truth))
    return {name: rows.column(name, truth) for name in told}


@dataclass(frozen=True)
class _Rows:
    """Rows with their volume, and their lesion: -1 for a row of a volume."""

    table: Table
    volume: IntArray
    lesion: IntArray

    def column(self, name: str, truth: ChallengeTruth) -> Column:
        """Return one column."""
        cells = self.table.texts[name]
        known = np.flatnonzero(self.volume >= 0)
        of_volume = [row for row in known if self.lesion[row] < 0]
        if any(cells[row] for row in of_volume):
            values = [""] * len(truth.volumes)
            agrees = np.ones(len(cells), dtype=bool)
            for row in known:
                values[self.volume[row]] = values[self.volume[row]] or cells[row]
                agrees[row] = cells[row] in ("", values[self.volume[row]])
            self.table.require(
                agrees,
                f"column {name}: a row says something else than another one of its volume",
                "a column that rows of volumes fill is of volumes; leave it empty there, or say the same",
            )
            return Column("volumes", tuple(values))
        values = [""] * len(truth.lesion_volume)
        for row in known:
            if self.lesion[row] >= 0:
                values[self.lesion[row]] = cells[row]
        return Column("lesions", tuple(values))


def _lesions(table: Table, volume: IntArray, truth: ChallengeTruth) -> IntArray:
    """Return the lesion of each row, -1 for a row of a volume."""
    given = {name: table.numbers.get(name, np.full(len(table), np.nan)) for name in _PLACE}
    number = np.nan_to_num(given["Lesion"])
    is_volume = (number == 0) & np.isnan(given["Slice"])
    fits = np.zeros(len(table), dtype=np.int64)
    lesion = np.full(len(table), -1, dtype=np.int64)
    numbers = truth.lesion_number
    on_volume = {key: np.flatnonzero(truth.lesion_volume == key) for key in set(volume[~is_volume].tolist())}
    for row in np.flatnonzero((volume >= 0) & ~is_volume).tolist():
        candidates = on_volume[int(volume[row])]
        place = {name: float(values[row]) for name, values in given.items()}
        chosen = candidates[_fit(candidates, numbers[candidates], place, truth)]
        fits[row] = len(chosen)
        lesion[row] = chosen[0] if len(chosen) else -1
    asked = (volume >= 0) & ~is_volume
    table.require(
        ~asked | (fits > 0),
        "rows fit no lesion of their volume",
        "Lesion counts from 1 in the order of the boxes; Slice, X and Y are those of the boxes",
    )
    table.require(~asked | (fits == 1), "rows fit several lesions", "add a column Lesion with their numbers")
    table.require(_first(np.where(asked, lesion, -1)), "lesions have two rows", "keep one row a lesion")
    table.require(
        _first(np.where(is_volume & (volume >= 0), volume, -1)),
        "volumes have two rows",
        "keep one row a volume",
    )
    return lesion


def _fit(
    candidates: IntArray, numbers: IntArray, place: Mapping[str, float], truth: ChallengeTruth
) -> BoolArray:
    """Say which lesions of a volume, with their numbers on it, a row may be of."""
    if place["Lesion"] > 0:
        return np.asarray(numbers == place["Lesion"])
    corner: Float64Array = truth.lesion_center[candidates, :2] - truth.lesion_size[candidates] / 2
    fits = truth.lesion_center[candidates, 2] == place["Slice"]
    for side, name in enumerate(("X", "Y")):
        if not np.isnan(place[name]):
            fits &= np.abs(corner[:, side] - place[name]) <= _NEAR
    return np.asarray(fits)


def _first(numbers: IntArray) -> BoolArray:
    """Return which rows are the first of their number; rows of -1 all are."""
    first = np.zeros(len(numbers), dtype=bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    return first | (numbers < 0)
