"""What every rule takes and gives.

Letters: N boxes over all slices; every box knows its slice. S slices that were looked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from comoto.config import AggregationConfig
from comoto.detections import Depths, Detections
from comoto.inference.aggregate.members import in_focus, profiles, strong_spans
from comoto.records import IntArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class LookedAt:
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
    def __call__(self, boxes: Detections, stack: LookedAt) -> Detections:
        """Reduce the boxes of all slices of a volume.

        Args:
            boxes: on the grid, in slice order; ``first_slice`` is their slice, one of ``stack.looked_at``.
            stack: the volume.

        Returns:
            Detections by falling score, in the same pixels.
        """

    def within_border(self, boxes: Detections, stack: LookedAt) -> Detections:
        """Leave out the boxes on the ``border_slices`` at either end of the volume."""
        border = self.config.border_slices
        inside = (boxes.first_slice >= border) & (boxes.first_slice < stack.num_slices - border)
        return boxes[inside]

    def usable(self, stack: LookedAt) -> IntArray:
        """Return the slices looked at without the ``border_slices`` at either end of the volume."""
        border = self.config.border_slices
        inside = (stack.looked_at >= border) & (stack.looked_at < stack.num_slices - border)
        return stack.looked_at[inside]

    def with_depth(
        self, found: Detections, boxes: Detections, group: IntArray, stack: LookedAt
    ) -> Detections:
        """Add to detections what their boxes on slices say of their depth.

        Args:
            found: the detections, G; on a volume if the rule reports no depth.
            boxes: of which they were made, N.
            group: (N,) the detection that each box supports.
            stack: the volume.

        Returns:
            The same with best slices and profiles; a rule that reports depth gets the spans that the
            configuration asks for, another one keeps its own.
        """
        slices, border = self.usable(stack), self.config.border_slices
        if boxes.focus is None or self.config.depth == "scores":
            evidence = profiles(boxes, group, len(found), slices)
        else:
            evidence = in_focus(boxes, group, len(found), slices, stack.num_slices)
        found, depths = replace(found, focus=None), Depths.of(evidence, slices)
        if not self.reports_depth:
            return replace(found, depths=depths)
        if self.config.span == "strong":
            spans = strong_spans(boxes, group, len(found))
        else:
            spans = depths.spans(border, stack.num_slices - 1 - border)
        return replace(found, spans=spans, depths=depths)

    def confident(self, boxes: Detections) -> Detections:
        """Leave out the boxes whose score is below ``min_score``, and those without an area."""
        return boxes[(boxes.scores >= self.config.min_score) & boxes.have_area()]
