"""Predictions in the results format of COCO as a table: a list of scored boxes, each of an image by its id.

Format: https://cocodataset.org/#format-results, ``bbox`` is x, y, width and height. COCO has no depth: a
box of a volume needs ``slice_index``, or ``first_slice`` and ``num_spanned`` as in the JSON of ``comoto
predict``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from comoto.errors import DatasetError
from comoto.prediction_rows import MAMMOGRAM_COLUMNS
from comoto.records import PREDICTION_COLUMNS

ImageKey = tuple[str, str, str]
"""PatientID, StudyUID and View of a volume."""


def is_coco(path: object) -> bool:
    """Whether predictions are given as COCO results, by the file's name."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() == ".json"


def mammogram_results(path: Path) -> pd.DataFrame:
    """Return results on mammograms with the columns ``MAMMOGRAM_COLUMNS``; ids are those of the manifest.

    Raises:
        DatasetError: the file is no list of such results; names the entry.
    """
    rows = []
    for _, entry in _entries(path):
        x, y, width, height = entry["bbox"]
        rows.append((str(entry["image_id"]), x, y, x + width, y + height, entry["score"]))
    return _named(pd.DataFrame(rows, columns=list(MAMMOGRAM_COLUMNS)), path)


def volume_results(path: Path, keys: Mapping[str, ImageKey]) -> pd.DataFrame:
    """Return results on volumes with the columns of the challenge.

    Args:
        path: the file.
        keys: of the volumes by what ``image_id`` may call them.

    Raises:
        DatasetError: the file is no list of such results, an entry has no slices, or no entry is of a known
            volume; names the entry.
    """
    rows = []
    known = False
    for number, entry in _entries(path):
        name = str(entry["image_id"])
        known = known or name in keys
        x, y, width, height = entry["bbox"]
        first, spanned = _slices(path, number, entry)
        key = keys.get(name, ("", name, ""))  # counted and said, like a row of an unknown volume
        rows.append((*key, x, width, y, height, first, spanned, entry["score"]))
    if rows and not known:
        raise DatasetError(
            f"{path}: no image_id, such as {rows[0][1]}, is one of the volumes, such as {next(iter(keys))}; "
            "name them as the manifest does, or StudyUID/View with tables"
        )
    return _named(pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS)), path)


def _slices(path: Path, number: int, entry: Mapping[str, Any]) -> tuple[float, float]:
    names = ("first_slice", "num_spanned")
    values = [entry[name] for name in names if name in entry]
    if len(values) != len(names):
        values = [entry.get("slice_index"), 0]
    if not all(_is_number(value) for value in values):
        raise DatasetError(
            f"{path}: entry {number}: no slice; a box of a volume needs slice_index, or first_slice and "
            "num_spanned, counted from 0"
        )
    return values[0], values[1]


def _entries(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the entries, counted from 1, each with an image_id, four numbers of a box and a score."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is no JSON in UTF-8 ({error}); give COCO results, or a CSV") from error
    if not isinstance(content, list):
        raise DatasetError(
            f"{path}: is no list, as COCO results are; of comoto predict give the CSV beside it"
        )
    for number, entry in enumerate(content, start=1):
        problem = _problem(entry)
        if problem is not None:
            raise DatasetError(f"{path}: entry {number}: {problem}")
    return list(enumerate(content, start=1))


def _problem(entry: object) -> str | None:
    if not isinstance(entry, dict):
        return "is no object"
    missing = [name for name in ("image_id", "bbox", "score") if name not in entry]
    if missing:
        return f"{', '.join(missing)} is missing"
    box = entry["bbox"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return "bbox is not x, y, width and height"
    return None if _is_number(entry["score"]) else "score is no number"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _named(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    table.attrs["name"] = str(path)
    return table
