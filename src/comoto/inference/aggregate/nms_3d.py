"""Greedy suppression along the stack."""

from __future__ import annotations

import numpy as np

from comoto.geometry.boxes import iou_matrix
from comoto.inference.aggregate.base import Aggregator, Stack, StackedDetections


class Nms3d(Aggregator):
    """Greedy suppression along the stack; a detection spans the slices of what it absorbed.

    From the highest score down, a box removes every box that overlaps it by more than ``iou`` within
    floor(window_share n) slices on either side. The span covers the absorbed boxes that reach half its score,
    so its middle says where the evidence lies, which one noisy peak does not. The own window is the whole
    stack: a mass stays visible through most slices of a narrow-angle sweep, and each echo would be a false
    positive. Two lesions exactly above each other become one.
    """

    own_iou = 0.3
    own_window_share = 1.0

    def __call__(self, boxes: StackedDetections, stack: Stack) -> StackedDetections:
        """See ``Aggregator.__call__``."""
        boxes = self.confident(self.within_border(boxes, stack)).by_score()
        reach = int(self.window_share * stack.num_slices)
        alive = np.ones(len(boxes), dtype=bool)
        kept, first, spanned = [], [], []
        for row in range(len(boxes)):
            if not alive[row]:
                continue
            near = alive & (np.abs(boxes.first_slice - boxes.first_slice[row]) <= reach)
            rows = np.flatnonzero(near)
            rows = rows[iou_matrix(boxes.boxes_xyxy[row : row + 1], boxes.boxes_xyxy[rows])[0] > self.iou]
            rows = np.union1d(rows, [row])
            alive[rows] = False
            strong = boxes.first_slice[rows[boxes.scores[rows] >= 0.5 * boxes.scores[row]]]
            kept.append(row)
            first.append(int(strong.min()))
            spanned.append(int(strong.max() - strong.min()) + 1)
        rows = np.asarray(kept, dtype=np.int64)
        return StackedDetections(
            boxes.boxes_xyxy[rows],
            boxes.scores[rows],
            np.asarray(first, dtype=np.int64),
            np.asarray(spanned, dtype=np.int64),
        )
