"""Columns by whose values lesions and volumes are grouped, from whatever tables an evaluation has.

L lesions, V volumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from comoto.errors import ConfigError
from comoto.evaluation.challenge_tables import ChallengeTruth
from comoto.records import Manifest, Modality
from comoto.tables import Float64Array, TableSource, header_of, read_table

NOT_SAID = "(not said)"
_KEYS = ("PatientID", "StudyUID", "View")
"""Columns that both tables have, and that are of the volume."""
SIZE = "size"
_TYPE_COLUMNS = ("type", "category", "Class")
"""Columns that say what kind a lesion is: of a table of lesions, a manifest, and the challenge's boxes."""
_MM_BINS = (10.0, 20.0, 30.0)
_PIXEL_BINS = (16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


@dataclass(frozen=True)
class Column:
    """What a column says.

    Attributes:
        of: whether of each lesion (L,) or of each volume (V,).
        values: empty where it says nothing.
        order: of the values that occur, if they have one of their own.
    """

    of: Literal["lesions", "volumes"]
    values: tuple[str, ...]
    order: tuple[str, ...] = ()


class Columns:
    """The columns that an evaluation can group by; a column of the table of lesions hides others.

    Args:
        named: by name, those that are asked first in front.
    """

    def __init__(self, *named: Mapping[str, Column]) -> None:
        self._named = {name: column for columns in reversed(named) for name, column in columns.items()}

    def __getitem__(self, name: str) -> Column:
        """Return one column; ``type`` is whatever column says the kind of a lesion.

        Raises:
            ConfigError: there is none of this name.
        """
        for known in _TYPE_COLUMNS if name == "type" else (name,):
            if known in self._named:
                return self._named[known]
        have = ", ".join(sorted(self._named))
        raise ConfigError(f"--by {name}: no table has such a column (there are: {have})")


def columns_of_manifest(volumes: Manifest, truth: ChallengeTruth) -> dict[str, Column]:
    """Return the columns of a manifest's volumes and of their lesions.

    Args:
        volumes: of one split; mammograms are passed over.
        truth: read from ``challenge_tables`` of it.
    """
    images = volumes.images[volumes.images["modality"] == Modality.TOMOSYNTHESIS.value]
    lesions = volumes.lesions.merge(images[["image_id"]], on="image_id", how="inner", sort=False)
    found = {
        name: Column("volumes", _texts(images[name]))
        for name in images.columns
        if name not in ("image_id", "path")
    }
    rows = lesions.iloc[truth.lesion_line]
    return found | {"category": Column("lesions", _texts(rows["category"]))}


def columns_of_tables(labels: TableSource, boxes: TableSource, truth: ChallengeTruth) -> dict[str, Column]:
    """Return the columns of the challenge's tables, those of a lesion's box before those of its volume."""
    volumes = {name: Column("volumes", values) for name, (values, _) in _all_texts(labels, "labels").items()}
    lesions = {}
    for name, (values, lines) in _all_texts(boxes, "boxes").items():
        row_of = {line: row for row, line in enumerate(lines)}
        lesions[name] = Column("lesions", tuple(values[row_of[line]] for line in truth.lesion_line.tolist()))
    return volumes | {name: column for name, column in lesions.items() if name not in _KEYS}


def _all_texts(source: TableSource, what: str) -> dict[str, tuple[tuple[str, ...], list[int]]]:
    """Return the columns of a table that stand once in its header, as text, and the line of each row."""
    header = header_of(source)
    names = [name for name in header if name and header.count(name) == 1]
    table = read_table(source, what, names, ())
    return {name: (tuple(table.texts[name]), table.lines.tolist()) for name in names}


def _texts(values: pd.Series[str]) -> tuple[str, ...]:
    return tuple("" if pd.isna(value) else str(value).strip() for value in values)


def size_column(truth: ChallengeTruth, spacing: Float64Array | None) -> Column:
    """Return the sizes of lesions by the longer side of the box, in named steps.

    Args:
        truth: the lesions.
        spacing: (L, 2) height and width of a pixel in mm; None where it is not known of all: sizes are in
            pixels then.
    """
    if spacing is None:
        return binned(truth.lesion_size.max(axis=1), _PIXEL_BINS, " pixels")
    return binned((truth.lesion_size * spacing[:, ::-1]).max(axis=1), _MM_BINS, " mm")


def binned(values: Float64Array, edges: Sequence[float], unit: str = "") -> Column:
    """Return numbers of lesions as named steps; an edge belongs to the step below it, NaN says nothing.

    Args:
        values: (L,).
        edges: rising; their names have four digits, and more where edges would have the same name.
        unit: behind each name.
    """
    written = next(
        texts
        for digits in range(4, 18)  # 17 tell all float64 apart
        if len(set(texts := [f"{edge:.{digits}g}" for edge in edges])) == len(edges)
    )
    between = [f"{low} to {high}{unit}" for low, high in pairwise(written)]
    names = (f"up to {written[0]}{unit}", *between, f"above {written[-1]}{unit}")
    steps = np.searchsorted(np.asarray(edges), values, side="left")
    known = ~np.isnan(values)
    values_in_words = tuple(
        names[step] if said else "" for step, said in zip(steps.tolist(), known.tolist(), strict=True)
    )
    return Column("lesions", values_in_words, names)
