"""Greedy suppression along the stack."""

from __future__ import annotations

import numpy as np

from comoto.detections import Detections
from comoto.inference.aggregate.base import Aggregator, LookedAt
from comoto.inference.aggregate.overlap import Overlap
from comoto.records import IntArray

_PORTION = 128
"""Boxes that meet each other one after the other."""
_MET_AT_ONCE = 512
"""Boxes that a portion meets in one step; the table of both fits into a processor's cache."""


class Nms3d(Aggregator):
    """Greedy suppression along the stack; what a detection absorbed counts for its depth.

    From the highest score down, a box removes every box that overlaps it by more than ``iou`` within
    floor(window_share n) slices on either side. The own window is the whole stack: a mass stays visible
    through most slices of a narrow-angle sweep, and each echo would be a false positive. Two lesions exactly
    above each other become one.
    """

    own_iou = 0.3
    own_window_share = 1.0

    def __call__(self, boxes: Detections, stack: LookedAt) -> Detections:
        """See ``Aggregator.__call__``."""
        boxes = self.confident(self.within_border(boxes, stack)).by_score()
        reach = int(self.window_share * stack.num_slices)
        absorber = self._absorbers(boxes, reach)
        rows = np.flatnonzero(absorber == np.arange(len(boxes)))
        return self.with_depth(boxes[rows], boxes, np.searchsorted(rows, absorber), stack)

    def _absorbers(self, boxes: Detections, reach: int) -> IntArray:
        """Return the box (N,) that removes each box; a box that stays removes itself.

        The boxes come by falling score, and in portions: those of a portion meet each other one after the
        other, then what stays of them meets all that are left at once.
        """
        overlap, slices = Overlap(boxes.boxes_xyxy, self.iou), boxes.first_slice
        absorber = np.arange(len(boxes))
        left = np.arange(len(boxes))
        while len(left):
            portion, left = left[:_PORTION], left[_PORTION:]
            one, other = overlap.matrix(portion, portion)
            meets = (one < other) & (np.abs(slices[portion[one]] - slices[portion[other]]) <= reach)
            for high, low in zip(portion[one[meets]].tolist(), portion[other[meets]].tolist(), strict=True):
                if absorber[high] == high and absorber[low] == low:
                    absorber[low] = high
            stays = portion[absorber[portion] == portion]
            for begin in range(0, len(left), _MET_AT_ONCE):
                met = left[begin : begin + _MET_AT_ONCE]
                one, other = overlap.matrix(met, stays)
                near = np.abs(slices[met[one]] - slices[stays[other]]) <= reach
                one, other = one[near], other[near]
                first_of = np.diff(one, prepend=-1) > 0  # pairs come row by row: the first is the highest
                absorber[met[one[first_of]]] = stays[other[first_of]]
            left = left[absorber[left] == left]
        return absorber
