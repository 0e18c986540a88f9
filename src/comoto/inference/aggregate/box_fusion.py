"""Weighted box fusion along the stack."""

from __future__ import annotations

import numpy as np

from comoto.geometry.boxes import Float64Array
from comoto.inference.aggregate.base import Aggregator, Stack, StackedDetections
from comoto.inference.aggregate.members import mean_boxes, strong_spans, weights
from comoto.records import IntArray


class BoxFusion(Aggregator):
    """Weighted box fusion (Solovyev et al., arXiv 1910.13302), with slices in place of models.

    From the highest score down, a box joins the cluster whose fused box it overlaps most, by more than
    ``iou``, if the cluster's best box lies within floor(window_share n) slices; otherwise it opens a cluster.
    The fused box is the mean of the members weighted by their scores, and moves as members join.

    The score is the mean over the slices looked at in the cluster's window, each with its best member; a
    slice without one counts as 0. So a flash on one slice falls behind a lesion that many slices support,
    as a box of one model falls behind one of all models in the original. Scores are therefore smaller than
    those of the slices. The span is that of ``nms_3d``, as is the own window, the whole stack.
    """

    own_iou = 0.3
    own_window_share = 1.0

    def __call__(self, boxes: StackedDetections, stack: Stack) -> StackedDetections:
        """See ``Aggregator.__call__``."""
        boxes = self.confident(self.within_border(boxes, stack)).by_score()
        reach = int(self.window_share * stack.num_slices)
        cluster, peak = self._clusters(boxes, reach)
        first, spanned = strong_spans(boxes, cluster, len(peak))
        looked_at = self.usable(stack)
        last_seen = np.searchsorted(looked_at, peak + reach, side="right")
        support = last_seen - np.searchsorted(looked_at, peak - reach)
        # Boxes are in falling order, so the first of a slice and cluster is its best.
        _, best = np.unique(cluster * stack.num_slices + boxes.first_slice, return_index=True)
        total = np.bincount(cluster[best], boxes.scores[best].astype(np.float64), len(peak))
        return StackedDetections(
            mean_boxes(boxes, cluster, len(peak)).astype(np.float32),
            (total / support).astype(np.float32),
            first,
            spanned,
        ).by_score()

    def _clusters(self, boxes: StackedDetections, reach: int) -> tuple[IntArray, IntArray]:
        """Return the cluster of each box (N,) and the slice of each cluster's best box (G,)."""
        number = len(boxes)
        xyxy, weight = boxes.boxes_xyxy.astype(np.float64), weights(boxes.scores)
        cluster, peak = np.zeros((2, number), dtype=np.int64)
        total, sums, fused = np.zeros(number), np.zeros((number, 4)), np.zeros((number, 4))
        count = 0
        for row in range(number):
            overlap = _overlap(xyxy[row], fused[:count])
            overlap[np.abs(peak[:count] - boxes.first_slice[row]) > reach] = 0.0
            own = int(overlap.argmax()) if count else 0
            if not (count and overlap[own] > self.iou):
                own, count = count, count + 1
                peak[own] = boxes.first_slice[row]
            cluster[row] = own
            total[own] += weight[row]
            sums[own] += weight[row] * xyxy[row]
            fused[own] = sums[own] / total[own]
        return cluster, peak[:count]


def _overlap(box: Float64Array, others: Float64Array) -> Float64Array:
    """Return intersection over union (G,) of one box (4,) with others (G, 4), all with an area."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(sides[:, 0], 0.0) * np.maximum(sides[:, 1], 0.0)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = (box[2] - box[0]) * (box[3] - box[1]) + areas - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
