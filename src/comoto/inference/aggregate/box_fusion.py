"""Weighted box fusion along the stack."""

from __future__ import annotations

import numpy as np

from comoto.detections import Detections
from comoto.geometry.boxes import Float64Array
from comoto.inference.aggregate.base import Aggregator, LookedAt
from comoto.inference.aggregate.members import mean_boxes, weights
from comoto.records import IntArray


class BoxFusion(Aggregator):
    """Weighted box fusion (Solovyev et al., arXiv 1910.13302), with slices in place of models.

    From the highest score down, a box joins the cluster whose fused box it overlaps most, by more than
    ``iou``, if the cluster's best box lies within floor(window_share n) slices; otherwise it opens a cluster.
    The fused box is the mean of the members weighted by their scores, and moves as members join.

    The score is the mean over the slices looked at in the cluster's window, each with its best member; a
    slice without one counts as 0. So a flash on one slice falls behind a lesion that many slices support,
    as a box of one model falls behind one of all models in the original. Scores are therefore smaller than
    those of the slices. All boxes of a cluster count for its depth. The own window is the whole stack.
    """

    own_iou = 0.1
    own_window_share = 1.0

    def __call__(self, boxes: Detections, stack: LookedAt) -> Detections:
        """See ``Aggregator.__call__``."""
        boxes = self.confident(self.within_border(boxes, stack)).by_score()
        reach = int(self.window_share * stack.num_slices)
        cluster, peak = self._clusters(boxes, reach)
        looked_at = self.usable(stack)
        last_seen = np.searchsorted(looked_at, peak + reach, side="right")
        support = last_seen - np.searchsorted(looked_at, peak - reach)
        # Boxes are in falling order, so the first of a slice and cluster is its best.
        _, best = np.unique(cluster * stack.num_slices + boxes.first_slice, return_index=True)
        total = np.bincount(cluster[best], boxes.scores[best].astype(np.float64), len(peak))
        fused = Detections(
            mean_boxes(boxes, cluster, len(peak)).astype(np.float32),
            (total / support).astype(np.float32),
            space=boxes.space,
        )
        return self.with_depth(fused, boxes, cluster, stack).by_score()

    def _clusters(self, boxes: Detections, reach: int) -> tuple[IntArray, IntArray]:
        """Return the cluster of each box (N,) and the slice of each cluster's best box (G,)."""
        number = len(boxes)
        slices, fused = boxes.first_slice, FusedBoxes(number)
        is_bounded = number > 0 and bool(np.ptp(slices) > reach)
        cluster, peak = np.zeros((2, number), dtype=np.int64)
        weighted = zip(boxes.boxes_xyxy.tolist(), weights(boxes.scores).tolist(), strict=True)
        for row, (box, weight) in enumerate(weighted):
            overlap = fused.overlap(box)
            if is_bounded:
                overlap[np.abs(peak[: len(overlap)] - slices[row]) > reach] = 0.0
            own = int(overlap.argmax()) if len(overlap) else 0
            if not (len(overlap) and overlap[own] > self.iou):
                own = fused.open()
                peak[own] = slices[row]
            cluster[row] = own
            fused.add(own, box, weight)
        return cluster, peak[: fused.count]


class FusedBoxes:
    """The fused boxes of clusters, laid out so that one box meets all of them quickly.

    Args:
        most: room for so many.
    """

    def __init__(self, most: int) -> None:
        self.count = 0
        self._sides = np.zeros((4, most))
        self._areas = np.zeros(most)
        self._sums: list[list[float]] = []

    def open(self) -> int:
        """Begin a cluster and return its number."""
        self._sums.append([0.0] * 5)
        self.count += 1
        return self.count - 1

    def add(self, cluster: int, box: list[float], weight: float) -> None:
        """Let a box x1, y1, x2, y2 join a cluster, which moves."""
        sums = self._sums[cluster]
        for place, side in enumerate((*box, 1.0)):
            sums[place] += weight * side
        x1, y1, x2, y2 = (each / sums[4] for each in sums[:4])
        self._sides[:, cluster] = x1, y1, x2, y2
        self._areas[cluster] = (x2 - x1) * (y2 - y1)

    def overlap(self, box: list[float]) -> Float64Array:
        """Return intersection over union (G,) of a box with the clusters."""
        x1, y1, x2, y2 = box
        left, top, right, bottom = self._sides[:, : self.count]
        width: Float64Array = np.minimum(right, x2)
        width -= np.maximum(left, x1)
        height = np.minimum(bottom, y2)
        height -= np.maximum(top, y1)
        np.maximum(width, 0.0, out=width)
        width *= np.maximum(height, 0.0, out=height)
        union = self._areas[: self.count] + (x2 - x1) * (y2 - y1)
        union -= width
        np.maximum(union, np.finfo(np.float64).tiny, out=union)  # boxes without an area overlap nothing
        width /= union
        return width
