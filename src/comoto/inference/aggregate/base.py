"""What every rule takes and gives.

Letters: N boxes over all slices; every box knows its slice. S slices that were looked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from comoto.config import AggregationConfig
from comoto.records import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


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

    @staticmethod
    def empty() -> StackedDetections:
        """Return a record of no boxes."""
        none = np.zeros(0, dtype=np.int64)
        return StackedDetections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), none, none)

    def chosen(self, rows: IntArray) -> StackedDetections:
        """Return the given rows, in that order."""
        return StackedDetections(
            self.boxes_xyxy[rows], self.scores[rows], self.first_slice[rows], self.num_spanned[rows]
        )

    def have_area(self) -> BoolArray:
        """Return which boxes (N,) are wider and higher than nothing."""
        x1, y1, x2, y2 = self.boxes_xyxy.T
        return np.asarray((x2 > x1) & (y2 > y1))

    def by_score(self) -> StackedDetections:
        """Return the rows sorted by falling score; ties keep slice order."""
        return self.chosen(np.argsort(-self.scores, kind="stable"))


@dataclass(frozen=True)
class Stack:
    """What was looked at of a volume.

    Attributes:
        num_slices: slices of the whole volume.
        looked_at: int64 (S,), the slices that the network saw, rising; boxes lie on these only. With a
            slice step of 2 the neighbour of slice 4 is slice 6.
    """

    num_slices: int
    looked_at: IntArray


class Aggregator(ABC):
    """Base of the rules.

    Attributes:
        own_iou, own_window_share: what holds where the configuration says None.
        reports_depth: whether detections span slices; otherwise ``num_spanned`` is 0.
    """

    own_iou: ClassVar[float]
    own_window_share: ClassVar[float]
    reports_depth: ClassVar[bool] = True

    def __init__(self, config: AggregationConfig) -> None:
        self.config = config
        self.iou = self.own_iou if config.iou is None else config.iou
        self.window_share = self.own_window_share if config.window_share is None else config.window_share

    @abstractmethod
    def __call__(self, boxes: StackedDetections, stack: Stack) -> StackedDetections:
        """Reduce the boxes of all slices of a volume.

        Args:
            boxes: in slice order; ``first_slice`` is their slice, which is one of ``stack.looked_at``.
            stack: the volume.

        Returns:
            Detections by falling score.
        """

    def within_border(self, boxes: StackedDetections, stack: Stack) -> StackedDetections:
        """Leave out the boxes on the ``border_slices`` at either end of the volume."""
        border = self.config.border_slices
        inside = (boxes.first_slice >= border) & (boxes.first_slice < stack.num_slices - border)
        return boxes.chosen(np.flatnonzero(inside))

    def usable(self, stack: Stack) -> IntArray:
        """Return the slices looked at without the ``border_slices`` at either end of the volume."""
        border = self.config.border_slices
        inside = (stack.looked_at >= border) & (stack.looked_at < stack.num_slices - border)
        return stack.looked_at[inside]

    def confident(self, boxes: StackedDetections) -> StackedDetections:
        """Leave out the boxes whose score is below ``min_score``, and those without an area."""
        return boxes.chosen(np.flatnonzero((boxes.scores >= self.config.min_score) & boxes.have_area()))
