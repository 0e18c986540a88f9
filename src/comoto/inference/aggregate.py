"""From boxes on slices to boxes in a volume.

Letters: N boxes over all slices; every box knows its slice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from comoto import components
from comoto.config import AggregationConfig
from comoto.geometry.boxes import iou_matrix
from comoto.records import FloatArray, IntArray, SliceDetections


@dataclass(frozen=True)
class StackedDetections:
    """Boxes of one volume with the slices they span; the grid is the one of the slices that came in.

    Attributes:
        boxes_xyxy: float32 (N, 4).
        scores: float32 (N,), highest first after aggregation.
        first_slice: int64 (N,).
        num_spanned: int64 (N,); 0 means a plane without depth.
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    first_slice: IntArray
    num_spanned: IntArray

    def __len__(self) -> int:
        return len(self.scores)

    def chosen(self, rows: IntArray) -> StackedDetections:
        """Return the given rows, in that order."""
        return StackedDetections(
            self.boxes_xyxy[rows], self.scores[rows], self.first_slice[rows], self.num_spanned[rows]
        )

    def by_score(self) -> StackedDetections:
        """Return the rows sorted by falling score; ties keep slice order."""
        return self.chosen(np.argsort(-self.scores, kind="stable"))


class Aggregator(ABC):
    """Base of the rules.

    Attributes:
        own_iou, own_window_share: what holds where the configuration says None.
    """

    own_iou: ClassVar[float]
    own_window_share: ClassVar[float]

    def __init__(self, config: AggregationConfig) -> None:
        self.config = config
        self.iou = self.own_iou if config.iou is None else config.iou
        self.window_share = self.own_window_share if config.window_share is None else config.window_share

    @abstractmethod
    def __call__(self, boxes: StackedDetections, num_slices: int) -> StackedDetections:
        """Reduce the boxes of all slices (``first_slice`` = their slice) of a volume."""


class LocalMaximum(Aggregator):
    """The published rule (docs/method.md): a box stays if none that overlaps it nearby scores higher.

    With n slices, of which ``border_slices`` at either end are left out, m remain; d = floor(window_share m).
    A box of slice i is compared with the boxes of slices i - d to i + d - 1 that overlap it by more than
    ``iou``. It is not sequential: a box that is itself suppressed still suppresses, and equal scores all
    stay. A box that is alone in its window stays whatever its score. The published ``border_slices`` is 4.
    """

    own_iou = 0.5
    own_window_share = 0.25

    def __call__(self, boxes: StackedDetections, num_slices: int) -> StackedDetections:
        """See ``Aggregator.__call__``; the result has no depth."""
        border = self.config.border_slices
        used = (boxes.first_slice >= border) & (boxes.first_slice < num_slices - border)
        boxes = boxes.chosen(np.flatnonzero(used))
        reach = int(self.window_share * max(num_slices - 2 * border, 0))
        boxes = boxes.chosen(np.argsort(boxes.first_slice, kind="stable"))
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
        rows = np.asarray(kept, dtype=np.int64)
        result = boxes.chosen(rows)
        flat = StackedDetections(
            result.boxes_xyxy, result.scores, result.first_slice, np.zeros(len(rows), dtype=np.int64)
        )
        return flat.by_score()


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

    def __call__(self, boxes: StackedDetections, num_slices: int) -> StackedDetections:
        """See ``Aggregator.__call__``."""
        border = self.config.border_slices
        inside = (boxes.first_slice >= border) & (boxes.first_slice < num_slices - border)
        boxes = boxes.chosen(np.flatnonzero(inside & (boxes.scores >= self.config.min_score))).by_score()
        reach = int(self.window_share * num_slices)
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


def aggregate(
    slices: dict[int, SliceDetections], num_slices: int, config: AggregationConfig
) -> StackedDetections:
    """Turn the detections of single slices into detections of the volume.

    Args:
        slices: slice index -> detections, all on one grid.
        num_slices: slices of the whole volume, looked at or not.
        config: which rule, and its settings.

    Raises:
        ConfigError: the rule is unknown.
    """
    rule: Aggregator = components.resolve("aggregator", config.kind)(config)
    filled = {index: found for index, found in sorted(slices.items()) if len(found)}
    if not filled:
        empty = np.zeros(0, dtype=np.int64)
        return StackedDetections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), empty, empty)
    stacked = StackedDetections(
        np.concatenate([found.boxes_xyxy for found in filled.values()]),
        np.concatenate([found.scores for found in filled.values()]),
        np.repeat(np.asarray(list(filled), dtype=np.int64), [len(found) for found in filled.values()]),
        np.ones(sum(len(found) for found in filled.values()), dtype=np.int64),
    )
    return rule(stacked, num_slices)
