"""Which boxes overlap, found without looking at every pair in full.

Two ideas, and the answer is to the last digit that of ``iou_matrix``. A test without division in float32 is
right but for pairs at the very limit; the few pairs that pass it are computed again in full. And boxes whose
overlap exceeds a limit have centres that lie near each other, so a grid of cells names the candidates.

N boxes, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from comoto.geometry.boxes import Float64Array, area, iou_pairs
from comoto.records import FloatArray, IntArray

_SLACK = 1e-4
"""Share by which the quick test is more generous than the exact one; float32 errs by far less."""
_PAIRS_AT_ONCE = 1 << 17
"""Candidates in memory at a time: what fits into a processor's cache."""
_MOST_CELLS = 32
"""Cells along a side of the grid."""


class Overlap:
    """Overlap of the boxes of one volume above a limit.

    Args:
        boxes_xyxy: float32 (N, 4).
        iou: boxes overlap if their intersection over union is greater.
    """

    def __init__(self, boxes_xyxy: FloatArray, iou: float) -> None:
        self._iou = iou
        self._exact = boxes_xyxy.astype(np.float64)
        self._sides = tuple(np.ascontiguousarray(side, dtype=np.float32) for side in boxes_xyxy.T)
        self._area32 = (area(self._exact) * iou).astype(np.float32)
        self._factor = np.float32((1.0 + iou) * (1.0 + _SLACK))
        size = np.maximum(self._exact[:, 2:] - self._exact[:, :2], 0.0)
        self._center = (self._exact[:, 2:] + self._exact[:, :2]) / 2
        self._reach = self._reaches(size)

    def matrix(self, rows: IntArray, columns: IntArray) -> tuple[IntArray, IntArray]:
        """Return the overlapping pairs of some boxes with some others, row by row.

        Args:
            rows: numbers of boxes (R,).
            columns: numbers of boxes (C,).

        Returns:
            Positions in ``rows`` and in ``columns``, (P,) each.
        """
        x1, y1, x2, y2 = (side[rows, np.newaxis] for side in self._sides)
        u1, v1, u2, v2 = (side[columns] for side in self._sides)
        shared = np.minimum(x2, u2)
        shared -= np.maximum(x1, u1)
        np.maximum(shared, 0, out=shared)
        height = np.minimum(y2, v2)
        height -= np.maximum(y1, v1)
        shared *= height  # a negative height makes it negative: no overlap
        shared *= self._factor
        passed = shared > self._area32[rows, np.newaxis] + self._area32[columns]
        row, column = np.nonzero(passed)
        certain = self._certain(rows[row], columns[column])
        return row[certain], column[certain]

    def near(
        self, boxes: IntArray, others: IntArray, slices: IntArray, windows: tuple[IntArray, IntArray]
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield candidates: every overlapping pair within the windows is among them, and few others are.

        Args:
            boxes: numbers of boxes (B,).
            others: numbers of boxes (O,), at least one.
            slices: (N,) slice of each box.
            windows: (N,) first slice, and slice after the last, in which a box meets others.

        Yields:
            Numbers of boxes and of others, (P,) each, in portions.
        """
        low, side, shape = self._grid(others)
        depth = int(slices[others].max()) + 1
        cell = np.clip(((self._center[others] - low) / side).astype(np.int64), 0, shape - 1)
        key = (cell[:, 0] * shape[1] + cell[:, 1]) * depth + slices[others]
        others = others[np.argsort(key, kind="stable")]
        begins = np.concatenate([[0], np.cumsum(np.bincount(key, minlength=int(shape.prod()) * depth))])

        first = np.floor((self._center[boxes] - self._reach[boxes] - low) / side)
        last = np.floor((self._center[boxes] + self._reach[boxes] - low) / side)
        first, last = (np.clip(each, (-1, -1), shape).astype(np.int64) for each in (first, last))
        first, last = np.maximum(first, 0), np.minimum(last, shape - 1)
        spans = np.maximum(last - first + 1, 0)  # (B, 2) cells along x and y
        owner, number = _expanded(spans[:, 0] * spans[:, 1])
        across, down = np.divmod(number, np.maximum(spans[owner, 1], 1))
        base = ((first[owner, 0] + across) * shape[1] + first[owner, 1] + down) * depth
        boxes = boxes[owner]
        begin = begins[base + np.clip(windows[0][boxes], 0, depth)]
        count = begins[base + np.clip(windows[1][boxes], 0, depth)] - begin
        some = count > 0
        boxes, begin, count = boxes[some], begin[some], count[some]
        ends = np.cumsum(count)
        start = 0
        while start < len(boxes):
            before = int(ends[start - 1]) if start else 0
            stop = max(int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, side="right")), start + 1)
            place, within = _expanded(count[start:stop])
            yield boxes[start:stop][place], others[begin[start:stop][place] + within]
            start = stop

    def pairs(self, boxes: IntArray, others: IntArray) -> IntArray:
        """Return which of the pairs (P,) overlap, as positions."""
        x1, y1, x2, y2 = self._sides
        width = np.minimum(x2[boxes], x2[others])
        width -= np.maximum(x1[boxes], x1[others])
        height = np.minimum(y2[boxes], y2[others])
        height -= np.maximum(y1[boxes], y1[others])
        np.maximum(width, 0, out=width)
        width *= height
        width *= self._factor
        passed = np.flatnonzero(width > self._area32[boxes] + self._area32[others])
        return passed[self._certain(boxes[passed], others[passed])]

    def _certain(self, boxes: IntArray, others: IntArray) -> IntArray:
        """Return which pairs overlap, in the arithmetic of ``iou_matrix``."""
        return np.flatnonzero(iou_pairs(self._exact[boxes], self._exact[others]) > self._iou)

    def _reaches(self, size: Float64Array) -> Float64Array:
        """Return how far (N, 2) the centre of an overlapping box can lie.

        The intersection over union of two boxes is at most that of their shadows on one axis. If two
        intervals of lengths v and w share more than ``iou`` of their union, then their ends differ by less
        than (1 - iou) / iou * min(v, w) together, and their centres by half of that.
        """
        touching = (size + size.max(axis=0, initial=0.0)) / 2
        if self._iou > 0:
            touching = np.minimum(touching, size * (1 - self._iou) / self._iou / 2)
        return np.asarray(touching * (1 + _SLACK) + _SLACK)

    def _grid(self, others: IntArray) -> tuple[Float64Array, Float64Array, IntArray]:
        """Return corner, side of a cell and number of cells of a grid over centres, (2,) each."""
        low, high = self._center[others].min(axis=0), self._center[others].max(axis=0)
        extent = np.maximum(high - low, 1e-6)
        wanted = np.maximum(np.median(self._reach[others], axis=0), extent / _MOST_CELLS)
        shape = np.maximum(np.ceil(extent / wanted), 1).astype(np.int64)
        return low, extent / shape, shape


def _expanded(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return for ``counts`` (B,) the owner and the number within it of each of their sum."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
