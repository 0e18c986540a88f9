"""TOMPEI-CMMD: lesions outlined by radiologists on the MLO views of CMMD, one JSON file a view.

``<PatientID>_<view>_<side>_AnnotationFile.json`` holds a list of objects with ``label`` (mass, calc, ...) and
``cgPoints``, a list of ``{"x": column, "y": row}`` in pixels.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from comoto.datasets.reading.boxes import Box, box_of_points
from comoto.datasets.reading.walk import walk_files
from comoto.errors import DatasetError

_NAME = re.compile(r"^(D[12]-\d{4})_([A-Za-z]+)_([LR])_AnnotationFile\.json$", re.IGNORECASE)
_LARGEST_FILE = 64 * 2**20
_WAY_OUT = "take the file from the release again"


@dataclass(frozen=True)
class OutlineFile:
    """Where the outlines of one view are, and what the name says about the view."""

    path: Path
    patient: str
    view: str
    side: str


def find_outlines(folder: Path) -> list[OutlineFile]:
    """Return every annotation file below a folder, in a fixed order.

    Raises:
        DatasetError: two files are of the same view.
    """
    found: dict[tuple[str, str, str], OutlineFile] = {}
    for path in walk_files(folder, ".json"):
        match = _NAME.match(path.name)
        if match is None:
            continue
        file = OutlineFile(path, *(part.upper() for part in match.groups()))
        other = found.setdefault((file.patient, file.view, file.side), file)
        if other is not file:
            raise DatasetError(f"{other.path} and {file.path} are of the same view; keep one of them")
    return list(found.values())


def read_outlines(path: Path) -> list[tuple[str, Box]]:
    """Return label and box of every lesion; none if the view was looked at and has no lesion.

    Raises:
        DatasetError: the file cannot be read or is no list of outlines.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DatasetError(f"{path}: is larger than {_LARGEST_FILE >> 20} MiB, no list of outlines is")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is no JSON ({error}); {_WAY_OUT}") from error
    if not isinstance(content, list):
        raise DatasetError(f"{path}: is no list of outlines; {_WAY_OUT}")
    return [_outline(path, number, item) for number, item in enumerate(content, start=1)]


def _outline(path: Path, number: int, item: Any) -> tuple[str, Box]:
    label = item.get("label") if isinstance(item, dict) else None
    points = item.get("cgPoints") if isinstance(item, dict) else None
    if not isinstance(label, str) or not isinstance(points, list) or not points:
        raise DatasetError(f"{path}: outline {number} has no label or no cgPoints; {_WAY_OUT}")
    return label.strip(), box_of_points([_point(path, number, point) for point in points])


def _point(path: Path, number: int, point: Any) -> tuple[float, float]:
    try:
        x, y = float(point["x"]), float(point["y"])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: outline {number} has a point that is not x and y; {_WAY_OUT}") from error
    if not (isfinite(x) and isfinite(y)):
        raise DatasetError(f"{path}: outline {number} has a point that is not two numbers; {_WAY_OUT}")
    return x, y
