"""One training step of the teacher and of the student: images and boxes in, named losses out.

Detector and distiller sit in one module with one forward, so that data-parallel training reduces the
gradients of both. Letters: B images, H x W pixels of the grid, N boxes.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from comoto.detectors.base import Detector
from comoto.distill.base import Distiller, Side
from comoto.distill.impa import PointAlignment

Losses = dict[str, Tensor]


class TeacherStep(nn.Module):
    """Detection on mammograms, and lesions of different patients pulled together (ImPA)."""

    def __init__(self, detector: Detector, alignment: PointAlignment) -> None:
        super().__init__()
        self.detector = detector
        self.alignment = alignment

    def forward(self, images: Tensor, boxes: list[Tensor], seed: int) -> Losses:
        """Return the losses of a batch.

        Args:
            images: (B, 1, H, W), 0 to 1.
            boxes: per image (N, 4).
            seed: draws the background points.
        """
        features = self.detector.features(images)
        losses = self.detector.losses(features, boxes)
        alignment: Losses = self.alignment(features, boxes, torch.Generator().manual_seed(seed))
        return losses | alignment


class StudentStep(nn.Module):
    """Detection on slices, and what the frozen teacher says of lesions in mammograms of other patients."""

    def __init__(self, detector: Detector, distiller: Distiller, teacher: Detector | None) -> None:
        super().__init__()
        self.detector = detector
        self.distiller = distiller
        self._teacher = [teacher] if teacher is not None and distiller.teacher_sees != "nothing" else []
        for frozen in self._teacher:  # in a list, so it is neither trained, saved nor moved with the step
            frozen.eval().requires_grad_(False)

    @property
    def needs_mammograms(self) -> bool:
        """Whether the distiller looks at mammograms."""
        return bool(self._teacher)

    def forward(
        self,
        images: Tensor,
        boxes: list[Tensor],
        mammograms: Tensor | None = None,
        mammogram_boxes: list[Tensor] | None = None,
    ) -> Losses:
        """Return the losses of a batch of slices and, if the distiller wants it, a batch of mammograms."""
        features = self.detector.features(images)
        losses = self.detector.losses(features, boxes)
        for teacher in self._teacher:
            if mammograms is None or mammogram_boxes is None:
                raise ValueError("the distiller needs a batch of mammograms")
            with torch.no_grad():
                told = teacher.features(mammograms)
            losses |= self.distiller(Side(features, boxes), Side(told, mammogram_boxes))
        return losses

    def move_teacher(self, device: torch.device) -> Self:
        """Put the teacher on a device."""
        for teacher in self._teacher:
            teacher.to(device)
        return self


def total(losses: Losses) -> Tensor:
    """Return the sum of the losses.

    Raises:
        FloatingPointError: a loss is not finite; names it.
    """
    result = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(result):
        bad = [
            f"{key} = {float(value.detach())}" for key, value in losses.items() if not torch.isfinite(value)
        ]
        raise FloatingPointError(f"the loss is not finite: {', '.join(bad)}; lower optimizer.learning_rate")
    return result
