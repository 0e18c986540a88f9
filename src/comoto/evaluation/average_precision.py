"""Average precision of boxes on single images, as the COCO evaluation defines it.

Definition: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and the rules of its
evaluation server: greedy matching by falling score, at most 100 detections an image, precision made
non-increasing from the right and read at 101 recalls. One class; the published method chooses its checkpoint
by the mean over IoU 0.10 to 0.50.

A second hit of one lesion is a false positive here, unlike in the challenge's metric.

N detections and M lesions of an image, K thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from comoto.geometry.boxes import as_boxes, iou_matrix
from comoto.tables import BoolArray, Float64Array

IOUS_2D: Float64Array = np.arange(10, 51, 5) / 100
"""0.10, 0.15, ..., 0.50."""
MAX_DETECTIONS = 100
NUM_RECALLS = 101

ImageDetections = tuple[ArrayLike, ArrayLike]
"""Boxes (N, 4) and scores (N,) of one image."""


def map_2d(detections: Sequence[ImageDetections], truths: Sequence[ArrayLike]) -> float:
    """Return the average precision, averaged over IoU 0.10, 0.15, ..., 0.50.

    Args:
        detections: boxes (N, 4) as x1, y1, x2, y2 and scores (N,) of each image, in any order.
        truths: boxes (M, 4) of the lesions of the same images in the same order and frame; (0, 4) for none.

    Returns:
        Between 0 and 1.

    Raises:
        ValueError: the images do not fit, a score is not finite, or no image has a lesion.
    """
    return float(_average_precisions(detections, truths, IOUS_2D).mean())


def average_precision(
    detections: Sequence[ImageDetections], truths: Sequence[ArrayLike], iou: float
) -> float:
    """Return the average precision where a hit overlaps by ``iou`` (0 to 1] or more; else as ``map_2d``."""
    if not 0.0 < iou <= 1.0:
        raise ValueError(f"iou must be above 0 and at most 1, got {iou}")
    return float(_average_precisions(detections, truths, np.array([iou]))[0])


def _average_precisions(
    detections: Sequence[ImageDetections], truths: Sequence[ArrayLike], ious: Float64Array
) -> Float64Array:
    """Return the average precision at each threshold (K,)."""
    if len(detections) != len(truths):
        raise ValueError(f"{len(detections)} images with detections and {len(truths)} with lesions")
    lesions = [as_boxes(truth) for truth in truths]
    num_lesions = sum(len(boxes) for boxes in lesions)
    if not num_lesions:
        raise ValueError("no image has a lesion; an average precision needs at least one")
    scores: list[Float64Array] = []
    hits: list[BoolArray] = []
    for found, truth in zip(detections, lesions, strict=True):
        boxes, own_scores = _best(found)
        scores.append(own_scores)
        hits.append(greedy_hits(iou_matrix(boxes, truth), ious))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return np.array([_area(row[order], num_lesions) for row in np.concatenate(hits, axis=1)])


def _best(found: ImageDetections) -> tuple[Float64Array, Float64Array]:
    """Return the boxes and scores that count, by falling score."""
    boxes, scores = as_boxes(found[0]), np.asarray(found[1], dtype=np.float64)
    if scores.shape != (len(boxes),) or not np.isfinite(scores).all():
        raise ValueError(f"boxes {boxes.shape} need as many finite scores, got {scores.shape}")
    order = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
    return boxes[order], scores[order]


def greedy_hits(overlap: Float64Array, ious: Float64Array) -> BoolArray:
    """Say which detections hit a lesion of their own, (K, N).

    Args:
        overlap: (N, M), rows by falling score. Each takes the free lesion that it overlaps most, and of
            equal ones the last, as the reference does.
        ious: (K,).
    """
    hits = np.zeros((len(ious), len(overlap)), dtype=bool)
    near = np.flatnonzero(overlap.max(axis=1, initial=0.0) >= ious.min())
    for own_hits, iou in zip(hits, ious, strict=True):
        left = overlap.copy()
        for row in near:
            place = left.shape[1] - 1 - int(left[row, ::-1].argmax())
            if left[row, place] >= iou:
                own_hits[row] = True
                left[:, place] = -1.0
    return hits


def _area(hits: BoolArray, num_lesions: int) -> float:
    """Return the mean precision at the 101 recalls; ``hits`` (N,) of all images by falling score."""
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    at_least = np.maximum.accumulate(precision[::-1])[::-1]
    # Recall k / 100 in whole numbers, so that 7 of 100 lesions reach a recall of 0.07.
    place = np.searchsorted(found * (NUM_RECALLS - 1), np.arange(NUM_RECALLS) * num_lesions)
    return float(np.append(at_least, 0.0)[place].mean())
