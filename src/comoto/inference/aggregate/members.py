"""What the boxes of one lesion say together.

A group is numbered from 0; G groups, N boxes.
"""

from __future__ import annotations

import numpy as np

from comoto.detections import Detections, Spans
from comoto.geometry.boxes import Float64Array
from comoto.records import FloatArray, IntArray

STRONG_SHARE = 0.5
"""A box counts for the span ``strong`` of its group from this share of the group's best score on."""


LEAST_SCORE = 1e-9
"""What a score of 0 counts as, so that a box of that score is told from no box."""


def weights(scores: FloatArray) -> Float64Array:
    """Return scores (N,) as weights of a mean; boxes whose scores are all 0 weigh the same."""
    return np.maximum(scores.astype(np.float64), LEAST_SCORE)


def mean_boxes(boxes: Detections, group: IntArray, num_groups: int) -> Float64Array:
    """Return the score-weighted mean box of each group, (G, 4); ``group`` is (N,)."""
    weight = weights(boxes.scores)
    total = np.bincount(group, weight, num_groups)
    sums = [np.bincount(group, weight * side, num_groups) for side in boxes.boxes_xyxy.T]
    return np.stack(sums, axis=1) / total[:, np.newaxis]


def strong_spans(boxes: Detections, group: IntArray, num_groups: int) -> Spans:
    """Return first slice and number of slices (G,) that the strong boxes of each group span.

    On a narrow sweep a lesion shows on most slices, so these spans are most of the stack.
    """
    best = np.zeros(num_groups, dtype=np.float32)
    np.maximum.at(best, group, boxes.scores)
    strong = boxes.scores >= STRONG_SHARE * best[group]
    first = np.full(num_groups, np.iinfo(np.int64).max)
    last = np.full(num_groups, -1, dtype=np.int64)
    np.minimum.at(first, group[strong], boxes.first_slice[strong])
    np.maximum.at(last, group[strong], boxes.first_slice[strong])
    return Spans(first, last - first + 1)


def profiles(boxes: Detections, group: IntArray, num_groups: int, slices: IntArray) -> FloatArray:
    """Return the best score (G, S) of each group on each slice, at least 1e-9; 0 where it has no box.

    Args:
        boxes: on some of ``slices``.
        group: (N,) of each box.
        num_groups: G.
        slices: (S,) rising.
    """
    found = np.zeros((num_groups, len(slices)), dtype=np.float32)
    places = group, np.searchsorted(slices, boxes.first_slice)
    np.maximum.at(found, places, weights(boxes.scores).astype(np.float32))
    return found


def in_focus(
    boxes: Detections, group: IntArray, num_groups: int, slices: IntArray, num_slices: int
) -> FloatArray:
    """Return the evidence (G, S) of each group on each slice, with the focus of its boxes.

    A slice weighs score x exp(focus) x prior, by the group's box of the highest score on it. The evidence is
    the root of these weights, so that best slices and spans, which are made of its square, are those of the
    weights; its largest value is the group's best score. It is at least 1e-9; 0 where the group has no box.

    Args:
        boxes: on some of ``slices``, with their focus.
        group: (N,) of each box.
        num_groups: G.
        slices: (S,) rising.
        num_slices: of the whole stack.
    """
    if boxes.focus is None:
        raise ValueError("no focus head has read these boxes")
    scores = weights(boxes.scores)
    prior = boxes.focus.prior.log_odds(boxes.first_slice, num_slices)
    logs = np.log(scores) + boxes.focus.values + prior
    cells = group * len(slices) + np.searchsorted(slices, boxes.first_slice)
    order = np.lexsort((logs, scores))[::-1]  # by falling score, so that the first of a cell is its best
    cells, first = np.unique(cells[order], return_index=True)
    logs, owner = logs[order[first]], cells // len(slices)
    best, largest = np.zeros(num_groups), np.full(num_groups, -np.inf)
    np.maximum.at(best, group, scores)
    np.maximum.at(largest, owner, logs)
    found = np.zeros(num_groups * len(slices), dtype=np.float32)
    found[cells] = np.maximum(best[owner] * np.exp((logs - largest[owner]) / 2), LEAST_SCORE)
    return found.reshape(num_groups, len(slices))
