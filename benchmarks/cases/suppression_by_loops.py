"""From boxes on slices to boxes in a volume the common way: loops over slices and over their boxes.

Written from the description of the rules in docs/method.md. Each box is compared with the boxes of each slice
in its window, by one call of torchvision a slice.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

Slices = list[tuple[Tensor, Tensor]]
"""Boxes (N, 4) and scores (N,) of each slice."""


def local_maximum(
    slices: Slices, border: int, iou: float, window_share: float, min_score: float
) -> list[tuple[float, int, list[float]]]:
    """Return (score, slice, box) of the boxes that no higher one nearby overlaps; the published rule."""
    used = range(border, len(slices) - border)
    reach = int(window_share * len(used))
    kept = []
    for index in used:
        window = range(max(index - reach, used.start), min(index + max(reach, 1), used.stop))
        alone = sum(len(slices[other][1]) for other in window) == 1
        boxes, scores = slices[index]
        for box, score in zip(boxes, scores, strict=True):
            best = float(score)
            for other in window:
                theirs, their_scores = slices[other]
                overlapping = their_scores[box_iou(box[None], theirs)[0] > iou]
                if len(overlapping):
                    best = max(best, float(overlapping.max()))
            if alone or (float(score) >= best and float(score) >= min_score):
                kept.append((float(score), index, box.tolist()))
    return kept


def nms_3d(
    slices: Slices, iou: float, window_share: float, min_score: float
) -> list[tuple[float, int, int, list[float]]]:
    """Return (score, first slice, slices spanned, box) of what greedy suppression along the stack leaves."""
    reach = int(window_share * len(slices))
    left = [
        (float(score), index, number)
        for index, (_, scores) in enumerate(slices)
        for number, score in enumerate(scores)
        if float(score) >= min_score
    ]
    left.sort(key=lambda one: -one[0])
    alive = [torch.ones(len(scores), dtype=torch.bool) for _, scores in slices]
    found = []
    for score, index, number in left:
        if not alive[index][number]:
            continue
        box, strong = slices[index][0][number], [index]
        for other in range(max(index - reach, 0), min(index + reach + 1, len(slices))):
            boxes, scores = slices[other]
            if not len(boxes):
                continue
            gone = alive[other] & (box_iou(box[None], boxes)[0] > iou) & (scores >= min_score)
            alive[other] &= ~gone
            if (scores[gone] >= 0.5 * score).any():
                strong.append(other)
        alive[index][number] = False
        found.append((score, min(strong), max(strong) - min(strong) + 1, box.tolist()))
    return found
