"""Boxes linked from slice to slice."""

from __future__ import annotations

import math

import numpy as np

from comoto.detections import Detections
from comoto.geometry.boxes import Float64Array, iou_matrix
from comoto.inference.aggregate.base import Aggregator, LookedAt
from comoto.inference.aggregate.members import mean_boxes, weights
from comoto.records import FloatArray, IntArray

VALLEY = 0.25
"""A thread is cut where its score falls below this share of the peaks on either side of it."""
EVIDENCE_SHARE = 0.25
"""Share of the slices looked at over which a track's score is averaged."""


class Tracks(Aggregator):
    """Threads of boxes through the stack; each thread is one detection.

    Slice by slice, a box continues the thread whose last box and whose mean box it overlaps by more than
    ``iou``; the pair with the largest overlap goes first, and a thread takes one box of a slice. Between two
    boxes of a thread may lie floor(window_share n) slices; the next slice looked at is always near enough.

    Threads must not join two lesions. In the plane the mean box holds a thread where it is, however slowly
    the boxes wander off. Along the stack it is cut where its score falls into a valley between two peaks.

    A track's box is the mean of its members weighted by their scores, all of which count for its depth; its
    score the mean of its best members, as many as a quarter of the slices looked at, missing ones counting as
    0. A track that overlaps a stronger one on shared slices is dropped.
    """

    own_iou = 0.3
    own_window_share = 0.1

    def __call__(self, boxes: Detections, stack: LookedAt) -> Detections:
        """See ``Aggregator.__call__``."""
        boxes = self.confident(self.within_border(boxes, stack))
        looked_at = self.usable(stack)
        evidence = max(math.ceil(EVIDENCE_SHARE * len(looked_at)), 1)
        threads = _Threads(boxes, self.iou).link(looked_at, int(self.window_share * stack.num_slices))
        tracks = [piece for rows in threads for piece in cut_at_valleys(rows, boxes.scores[rows])]
        group = np.repeat(np.arange(len(tracks)), [len(rows) for rows in tracks])
        members = boxes[np.concatenate([*tracks, np.zeros(0, dtype=np.int64)])]
        found = Detections(
            mean_boxes(members, group, len(tracks)).astype(np.float32),
            np.array([_best_mean(boxes.scores[rows], evidence) for rows in tracks], dtype=np.float32),
            space=boxes.space,
        )
        found = self.with_depth(found, members, group, stack)
        ends = np.array([boxes.first_slice[rows[[0, -1]]] for rows in tracks]).reshape(-1, 2)
        return found[self._not_weaker(found, ends)]

    def _not_weaker(self, found: Detections, ends: IntArray) -> IntArray:
        """Return by falling score the tracks that overlap no stronger one on shared slices.

        Args:
            found: one row a track.
            ends: (N, 2) first and last slice of all members, weak ones included.
        """
        kept: list[int] = []
        alive = np.ones(len(found), dtype=bool)
        for row in np.argsort(-found.scores, kind="stable"):
            if not alive[row]:
                continue
            kept.append(int(row))
            near = np.flatnonzero(alive & (ends[:, 0] <= ends[row, 1]) & (ends[:, 1] >= ends[row, 0]))
            overlap = iou_matrix(found.boxes_xyxy[row : row + 1], found.boxes_xyxy[near])[0]
            alive[near[overlap > self.iou]] = False
        return np.asarray(kept, dtype=np.int64)


def cut_at_valleys(rows: IntArray, scores: FloatArray) -> list[IntArray]:
    """Cut a thread where its score falls below ``VALLEY`` of the highest on both sides.

    Args:
        rows: (N,) members in slice order.
        scores: (N,) of the members.

    Returns:
        The pieces in slice order; the lowest box goes with its stronger neighbour.
    """
    if len(rows) < 3:
        return [rows]
    before = np.maximum.accumulate(scores)[:-2]
    after = np.maximum.accumulate(scores[::-1])[::-1][2:]
    depth = scores[1:-1] - VALLEY * np.minimum(before, after)
    if depth.min() >= 0:
        return [rows]
    lowest = int(depth.argmin()) + 1
    cut = lowest if scores[lowest + 1] > scores[lowest - 1] else lowest + 1
    return cut_at_valleys(rows[:cut], scores[:cut]) + cut_at_valleys(rows[cut:], scores[cut:])


class _Threads:
    """Threads that grow slice by slice: members (rows), last slice, last box and mean box of each."""

    def __init__(self, boxes: Detections, iou: float) -> None:
        self._slices = boxes.first_slice
        self._xyxy = boxes.boxes_xyxy.astype(np.float64)
        self._weight = weights(boxes.scores)
        self._iou = iou
        self._members: list[list[int]] = []
        self._sums: list[Float64Array] = []
        self._totals: list[float] = []

    def link(self, looked_at: IntArray, reach: int) -> list[IntArray]:
        """Return the rows of each thread in slice order."""
        open_threads: list[int] = []
        for place, index in enumerate(looked_at):
            rows = np.flatnonzero(self._slices == index)
            gap = max(reach, int(index - looked_at[place - 1]) if place else 0)
            open_threads = [k for k in open_threads if index - self._slices[self._members[k][-1]] <= gap]
            pairs = self._pairs(rows, open_threads)
            continued = dict(pairs)
            for row in rows.tolist():
                if row not in continued:
                    open_threads.append(len(self._members))
                    self._open()
                self._append(continued.get(row, len(self._members) - 1), row)
        return [np.asarray(rows, dtype=np.int64) for rows in self._members]

    def _pairs(self, rows: IntArray, threads: list[int]) -> list[tuple[int, int]]:
        """Return which row continues which thread, each at most once, the largest overlap first."""
        if not threads or not len(rows):
            return []
        last = self._xyxy[[self._members[k][-1] for k in threads]]
        means = np.array([self._sums[k] / self._totals[k] for k in threads])
        overlap = iou_matrix(self._xyxy[rows], last)
        fits = (overlap > self._iou) & (iou_matrix(self._xyxy[rows], means) > self._iou)
        which, place = np.nonzero(fits)
        order = np.argsort(-overlap[which, place], kind="stable")
        pairs: list[tuple[int, int]] = []
        used_rows, used_threads = set(), set()
        for row, thread in zip(rows[which[order]].tolist(), place[order].tolist(), strict=True):
            if row not in used_rows and thread not in used_threads:
                used_rows.add(row)
                used_threads.add(thread)
                pairs.append((row, threads[thread]))
        return pairs

    def _open(self) -> None:
        self._members.append([])
        self._sums.append(np.zeros(4))
        self._totals.append(0.0)

    def _append(self, thread: int, row: int) -> None:
        self._members[thread].append(row)
        self._sums[thread] += self._weight[row] * self._xyxy[row]
        self._totals[thread] += self._weight[row]


def _best_mean(scores: FloatArray, count: int) -> float:
    """Return the mean of the ``count`` highest scores; missing ones are 0."""
    return float(np.sort(scores.astype(np.float64))[::-1][:count].sum()) / count
