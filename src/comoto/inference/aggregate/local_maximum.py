"""The published rule."""

from __future__ import annotations

import numpy as np

from comoto.geometry.boxes import iou_matrix
from comoto.inference.aggregate.base import Aggregator, Stack, StackedDetections


class LocalMaximum(Aggregator):
    """The published rule (docs/method.md): a box stays if none that overlaps it nearby scores higher.

    With n slices, of which ``border_slices`` at either end are left out, m remain; d = floor(window_share m).
    A box of slice i is compared with the boxes of slices i - d to i + d - 1 that overlap it by more than
    ``iou``. It is not sequential: a box that is itself suppressed still suppresses, and equal scores all
    stay. A box that is alone in its window stays whatever its score. The published ``border_slices`` is 4.
    """

    own_iou = 0.5
    own_window_share = 0.25
    reports_depth = False

    def __call__(self, boxes: StackedDetections, stack: Stack) -> StackedDetections:
        """See ``Aggregator.__call__``; the result has no depth."""
        reach = int(self.window_share * max(stack.num_slices - 2 * self.config.border_slices, 0))
        boxes = self.within_border(boxes, stack)
        kept: list[int] = []
        for index in np.unique(boxes.first_slice):
            own = np.flatnonzero(boxes.first_slice == index)
            low, high = np.searchsorted(boxes.first_slice, (index - reach, max(index + reach, index + 1)))
            overlap = iou_matrix(boxes.boxes_xyxy[own], boxes.boxes_xyxy[low:high]) > self.iou
            overlap[np.arange(len(own)), own - low] = True
            highest = np.where(overlap, boxes.scores[low:high], -np.inf).max(axis=1)
            stays = (boxes.scores[own] >= highest) & (boxes.scores[own] >= self.config.min_score)
            if high - low == 1:
                stays[:] = True
            kept.extend(own[stays])
        result = boxes.chosen(np.asarray(kept, dtype=np.int64))
        no_depth = np.zeros(len(result), dtype=np.int64)
        return StackedDetections(result.boxes_xyxy, result.scores, result.first_slice, no_depth).by_score()
