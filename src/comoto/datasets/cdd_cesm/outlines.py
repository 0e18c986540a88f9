"""Outlines that radiologists drew with the VIA tool (VGG Image Annotator): a row of a CSV file each.

``region_shape_attributes`` is JSON: ``{"name": "polygon", "all_points_x": [...], "all_points_y": [...]}``,
``circle`` with ``cx``, ``cy``, ``r``, ``ellipse`` with ``rx``, ``ry`` and ``theta`` in radians, ``rect`` and
``point``. Coordinates are pixels, x the column and y the row, from the top left.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comoto.datasets.cdd_cesm.files import image_name
from comoto.datasets.reading.boxes import Box, box_of_points
from comoto.datasets.reading.tables import read_table

TABLE = "Radiology_hand_drawn_segmentations_v2.csv"
_FILE, _SHAPE = "#filename", "region_shape_attributes"
_LEAST_FILL = 0.35
_LEAST_SIDE, _LARGEST_SIDE = 1 / 64, 5 / 16
"""Shares of the image's longer side."""


@dataclass(frozen=True)
class Outline:
    """One outline.

    Attributes:
        box: x1, y1, x2, y2, half-open, not clipped.
        area: inside of it, in pixels.
    """

    box: Box
    area: float


@dataclass(frozen=True)
class OutlineTable:
    """What the file says.

    Attributes:
        outlines: by the image's name.
        unreadable: why the outlines of an image cannot all be read, by its name.
    """

    outlines: Mapping[str, list[Outline]]
    unreadable: Mapping[str, str]


def read_outlines(path: Path) -> OutlineTable:
    """Read every outline; a row without a shape is how VIA lists an image without one.

    Raises:
        DatasetError: the file is missing, no table, or lacks columns.
    """
    rows = read_table(path, (_FILE, _SHAPE)).rows
    outlines: dict[str, list[Outline]] = {}
    unreadable: dict[str, str] = {}
    for line, file, text in zip(rows.index, rows[_FILE], rows[_SHAPE], strict=True):
        name = image_name(str(file))
        if str(text) in ("", "{}"):
            continue
        try:
            outlines.setdefault(name, []).append(_outline(json.loads(str(text))))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            reason = "no shape" if isinstance(error, json.JSONDecodeError) else "no complete shape"
            unreadable[name] = f"{path.name}: {_SHAPE} is {reason} in line {line}"
    return OutlineTable(outlines, unreadable)


def is_compact(box: Box, area: float, longer_side: float) -> bool:
    """Say whether an outline is one that a detector can be asked for.

    Not so a thin ribbon along thickened skin, a speck, or most of a breast.

    Args:
        box: of the outline.
        area: inside of the outline.
        longer_side: of the image, in the same pixels.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    shares = width / longer_side, height / longer_side
    fills = area >= _LEAST_FILL * width * height
    return fills and min(shares) >= _LEAST_SIDE and max(shares) <= _LARGEST_SIDE


def _outline(shape: Any) -> Outline:
    """Return a shape's box and area.

    Raises:
        ValueError, KeyError, TypeError: it is none that is known, or something is missing.
    """
    return _SHAPES[shape["name"]](shape)


def _points(shape: Mapping[str, Any]) -> Outline:
    xs, ys = _numbers(shape["all_points_x"]), _numbers(shape["all_points_y"])
    points = list(zip(xs, ys, strict=True))
    turned = [*points[1:], *points[:1]]
    twice = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, turned, strict=True))
    return Outline(box_of_points(points), abs(twice) / 2)


def _ellipse(shape: Mapping[str, Any]) -> Outline:
    """Return the bounds of a turned ellipse: sqrt((rx cos t)^2 + (ry sin t)^2) to both sides."""
    x, y = _numbers((shape["cx"], shape["cy"]))
    rx, ry = _numbers((shape["r"],) * 2 if "r" in shape else (shape["rx"], shape["ry"]))
    (angle,) = _numbers((shape.get("theta", 0),))
    if min(rx, ry) < 0:
        raise ValueError("a negative radius")
    across = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
    down = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
    corners = [(x - across, y - down), (x + across, y + down)]
    return Outline(box_of_points(corners), math.pi * rx * ry)


def _rectangle(shape: Mapping[str, Any]) -> Outline:
    x, y, width, height = _numbers(shape[key] for key in ("x", "y", "width", "height"))
    return Outline(box_of_points([(x, y), (x + width, y + height)]), abs(width * height))


def _point(shape: Mapping[str, Any]) -> Outline:
    x, y = _numbers((shape["cx"], shape["cy"]))
    return Outline(box_of_points([(x, y)]), 1.0)


def _numbers(values: Any) -> list[float]:
    numbers = [float(value) for value in values]
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ValueError("no finite numbers")
    return numbers


_SHAPES: dict[str, Callable[[Mapping[str, Any]], Outline]] = {
    "polygon": _points,
    "polyline": _points,
    "circle": _ellipse,
    "ellipse": _ellipse,
    "rect": _rectangle,
    "point": _point,
}
"""An open polyline counts as closed: that is how lesions were drawn with it."""
