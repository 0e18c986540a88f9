"""The published rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from comoto.detections import Detections, Spans
from comoto.inference.aggregate.base import Aggregator, BoolArray, LookedAt
from comoto.inference.aggregate.overlap import Overlap
from comoto.records import IntArray

_FIRST_PORTION = 256
"""Boxes that are met first; each further portion is twice as large."""
_SAME_LESION = 0.4
"""Overlap above which boxes count for the depth of a detection; echoes are blurred, and of other sizes."""


class LocalMaximum(Aggregator):
    """The published rule (docs/method.md): a box stays if none that overlaps it nearby scores higher.

    With n slices, of which ``border_slices`` at either end are left out, m remain; d = floor(window_share m).
    A box of slice i is compared with the boxes of slices i - d to i + d - 1 that overlap it by more than
    ``iou``. It is not sequential: a box that is itself suppressed still suppresses, and equal scores all
    stay. A box without an area overlaps nothing, not even itself, and does not stay. A box that is alone in
    its window stays whatever its score and area. The published ``border_slices`` is 4.

    What is reported is the box's own slice. Its profile, and the best slice that this gives, are of all boxes
    of the stack that it overlaps by more than 0.4: echoes beyond the window belong to the same lesion.
    """

    own_iou = 0.5
    own_window_share = 0.25
    reports_depth = False

    def __call__(self, boxes: Detections, stack: LookedAt) -> Detections:
        """See ``Aggregator.__call__``; the spans have no depth."""
        reach = int(self.window_share * max(stack.num_slices - 2 * self.config.border_slices, 0))
        boxes = self.within_border(boxes, stack)
        windows = boxes.first_slice - reach, boxes.first_slice + max(reach, 1)
        overlap = Overlap(boxes.boxes_xyxy, self.iou)
        stays = ~self._suppressed(boxes, overlap, windows) & (boxes.scores >= self.config.min_score)
        stays &= boxes.have_area()
        first, after = (np.searchsorted(boxes.first_slice, window) for window in windows)
        rows = np.flatnonzero(stays | (after - first == 1))
        no_depth = Spans(boxes.first_slice[rows], np.zeros_like(rows))
        owner, member = _overlapped(rows, boxes)
        found = replace(boxes[rows], spans=no_depth)
        return self.with_depth(found, boxes[member], owner, stack).by_score()

    def _suppressed(
        self, boxes: Detections, overlap: Overlap, windows: tuple[IntArray, IntArray]
    ) -> BoolArray:
        """Return which boxes (N,) meet a higher one.

        The highest boxes are met first, by all that are lower. What they suppress need not be met again, so
        that few boxes are left by the time that the many low ones come.
        """
        suppressed = np.zeros(len(boxes), dtype=bool)
        order = np.argsort(-boxes.scores, kind="stable")
        begin, size = 0, _FIRST_PORTION
        while begin < len(order):
            higher = order[begin : begin + size]
            asked = order[begin:]
            asked = asked[~suppressed[asked] & (boxes.scores[asked] < boxes.scores[higher[0]])]
            for low, high in overlap.near(asked, higher, boxes.first_slice, windows):
                rising = np.flatnonzero(boxes.scores[high] > boxes.scores[low])
                low, high = low[rising], high[rising]
                suppressed[low[overlap.pairs(low, high)]] = True
            begin, size = begin + size, 2 * size
        return suppressed


def _overlapped(rows: IntArray, boxes: Detections) -> tuple[IntArray, IntArray]:
    """Return for each of ``rows`` (R,) the boxes of the whole stack that it overlaps, itself among them.

    Returns:
        Positions in ``rows``, and numbers of boxes, (P,) each.
    """
    pairs = [(rows, rows)]
    if len(rows):
        overlap, slices = Overlap(boxes.boxes_xyxy, _SAME_LESION), boxes.first_slice
        everywhere = np.zeros_like(slices), np.full_like(slices, slices.max() + 1)
        for own, other in overlap.near(rows, np.arange(len(boxes)), slices, everywhere):
            meets = overlap.pairs(own, other)
            pairs.append((own[meets], other[meets]))
    own, member = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return np.searchsorted(rows, own), member
