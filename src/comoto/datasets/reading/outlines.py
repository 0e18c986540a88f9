"""Boxes of outlines: points and polygons that were drawn on an image."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

Box = tuple[float, float, float, float]


def box_of_points(points: Sequence[tuple[float, float]]) -> Box:
    """Return the smallest box of whole pixels that covers every point.

    A single point gives the one pixel in which it lies, so no box is empty.

    Args:
        points: (x, y), at least one; pixel (0, 0) covers 0 to 1 on both axes.

    Returns:
        (x1, y1, x2, y2), half-open.
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return float(floor(min(xs))), float(floor(min(ys))), floor(max(xs)) + 1.0, floor(max(ys)) + 1.0


def grown(box: Box, least: int) -> Box:
    """Return the box, enlarged about its centre to at least ``least`` pixels on each axis."""
    x1, x2 = _grown(box[0], box[2], least)
    y1, y2 = _grown(box[1], box[3], least)
    return x1, y1, x2, y2


def clipped(box: Box, rows: int, columns: int) -> Box | None:
    """Return the part of the box inside an image; None if there is none."""
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(columns)), min(box[3], float(rows))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _grown(low: float, high: float, least: int) -> tuple[float, float]:
    short = max(0.0, least - (high - low))
    return low - short / 2, high + short / 2
