"""The rows of prediction tables: the DBTex challenge's for volumes, and those of mammograms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from comoto.csv_rows import read_csv_rows
from comoto.records import PREDICTION_COLUMNS, IntArray
from comoto.tables import Float64Array, read_table

MAMMOGRAM_COLUMNS = ("image_id", "x1", "y1", "x2", "y2", "score")
"""Columns of a table of mammograms: pixels of the image."""


class ImageRows(NamedTuple):
    """The rows of one image.

    Attributes:
        key: patient, study and view of a volume; the ``image_id`` of a mammogram.
        boxes_xyxy: (N, 4) in the pixels of the table.
        scores: (N,).
        spans: first slice and number of slices (N,) of each box; None on a mammogram.
    """

    key: tuple[str, ...]
    boxes_xyxy: Float64Array
    scores: Float64Array
    spans: tuple[IntArray, IntArray] | None


def volume_rows(
    key: tuple[str, str, str],
    boxes_xyxy: Float64Array,
    scores: Float64Array,
    spans: tuple[IntArray, IntArray],
) -> pd.DataFrame:
    """Return boxes of a volume with the columns of the challenge: the smallest box of whole pixels each."""
    x1, y1, x2, y2 = boxes_xyxy.T
    left, top = np.floor(x1), np.floor(y1)
    (patient, study, view), (first, depth) = key, spans
    columns = {
        "PatientID": patient,
        "StudyUID": study,
        "View": view,
        "X": left.astype(np.int64),
        "Width": (np.ceil(x2) - left).astype(np.int64),
        "Y": top.astype(np.int64),
        "Height": (np.ceil(y2) - top).astype(np.int64),
        "Z": first,
        "Depth": depth,
        "Score": scores,
    }
    return pd.DataFrame(columns, columns=list(PREDICTION_COLUMNS))


def joined(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of several images; without any, a table with the columns alone."""
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(columns))


def read_image_rows(path: Path) -> Iterator[ImageRows]:
    """Yield the images of a table in either form, in the order of their first rows.

    Raises:
        DatasetError: the file cannot be read, lacks columns, or a row holds no box; names the lines.
    """
    is_volumes = "StudyUID" in read_csv_rows(path).header
    columns = PREDICTION_COLUMNS if is_volumes else MAMMOGRAM_COLUMNS
    names, numbers = (columns[:3], columns[3:]) if is_volumes else (columns[:1], columns[1:])
    table = read_table(path, "predictions", names, numbers)
    values = np.stack([table.numbers[name] for name in numbers], axis=1)
    if is_volumes:
        x, width, y, height, first, depth, scores = values.T
        boxes = np.stack([x, y, x + width, y + height], axis=1)
        slices = np.stack([first, depth], axis=1)
    else:
        boxes, scores, slices = values[:, :4], values[:, 4], np.zeros((len(values), 2))
    is_right = np.isfinite(values).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
    is_right &= (slices >= 0).all(axis=1) & (slices == np.floor(slices)).all(axis=1)
    table.require(is_right, "no box with a score and whole slices", "correct the table")
    rows_of: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*(table.texts[name] for name in names), strict=True)):
        rows_of.setdefault(key, []).append(row)
    for key, rows in rows_of.items():
        first, depth = slices[rows].T.astype(np.int64)
        yield ImageRows(key, boxes[rows], scores[rows], (first, depth) if is_volumes else None)
