"""One training step of the teacher and of the student: images and boxes in, named losses out.

Detector and distiller sit in one module with one forward, so that data-parallel training reduces the
gradients of both. Letters: B images, H x W pixels of the grid, N boxes.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from comoto.config import JointConfig
from comoto.detectors.base import Detector
from comoto.detectors.device import channels_last, trains_channels_last
from comoto.distill.base import Distiller, DistillerConfig, DistillInput
from comoto.distill.impa import PointAlignment
from comoto.training.batch import StudentBatch, TeacherBatch
from comoto.training.joint import joint_losses, mixed_features

Losses = dict[str, Tensor]


class TeacherStep(nn.Module):
    """Detection on mammograms, and lesions of different patients pulled together (ImPA)."""

    def __init__(self, detector: Detector, alignment: PointAlignment) -> None:
        super().__init__()
        self.detector = detector
        self.alignment = alignment
        if trains_channels_last(self):
            channels_last(self)

    def forward(self, batch: TeacherBatch[Tensor]) -> Losses:
        """Return the losses of a batch."""
        features = self.detector.features(batch.images)
        losses = self.detector.losses(features, batch.boxes)
        draws = torch.Generator().manual_seed(batch.seed)
        alignment: Losses = self.alignment(features, batch.boxes, draws)
        return losses | alignment


class StudentStep(nn.Module):
    """Detection on slices, and what the frozen teacher says of lesions."""

    def __init__(
        self,
        detector: Detector,
        distiller: Distiller,
        teacher: Detector | None,
        *,
        joint: JointConfig | None = None,
        teacher_head: bool = False,
    ) -> None:
        """Freeze the teacher.

        Args:
            detector: the student.
            distiller: compares the two.
            teacher: None where the distiller does not look at one.
            joint: how joint mammograms are run and weighted.
            teacher_head: also run the teacher's head and drop what it says.
        """
        super().__init__()
        self.detector = detector
        self.distiller = distiller
        self._joint = joint or JointConfig()
        self._teacher_head = teacher_head
        self._teacher = [teacher] if teacher is not None and distiller.teacher_sees != "nothing" else []
        for frozen in self._teacher:  # in a list, so it is neither trained, saved nor moved with the step
            frozen.eval().requires_grad_(False)
        if trains_channels_last(detector):
            channels_last(self, *self._teacher)

    @property
    def needs_mammograms(self) -> bool:
        """Whether the distiller looks at mammograms."""
        return bool(self._teacher) and self.distiller.teacher_sees == "mammograms"

    def forward(self, batch: StudentBatch[Tensor]) -> Losses:
        """Return the losses of a batch."""
        detector, joint = self.detector, None
        if batch.joint is not None and self._joint.batch_norm == "mixed":
            features, joint = mixed_features(detector, batch.images, batch.joint)
        else:
            features = detector.features(batch.images)
        losses = detector.losses(features, batch.boxes)
        if batch.joint is not None:
            boxes = batch.joint_boxes or []
            losses |= joint_losses(detector, batch.joint, boxes, self._joint.weight, joint)
        for teacher in self._teacher if batch.strength > 0 else ():
            told = self.distiller(DistillInput(features, batch.boxes, detector), self._told(teacher, batch))
            losses |= {key: batch.strength * loss for key, loss in told.items()}
        return losses

    def _told(self, teacher: Detector, batch: StudentBatch[Tensor]) -> DistillInput:
        """Return what the teacher sees in the images that the distiller shows it."""
        images: Tensor | None = batch.images
        boxes: list[Tensor] | None = batch.boxes
        if self.needs_mammograms:
            images, boxes = batch.mammograms, batch.mammogram_boxes
        if images is None or boxes is None:
            raise ValueError("the distiller needs a batch of mammograms")
        with torch.no_grad():
            features = teacher.features(images)
            if self._teacher_head:
                teacher.predict(features)
        return DistillInput(features, boxes, teacher)

    def move_teacher(self, device: torch.device) -> Self:
        """Put the teacher on a device."""
        for teacher in self._teacher:
            teacher.to(device)
        return self


def distill_strength(step: int, steps_per_epoch: int, config: DistillerConfig) -> float:
    """Return the factor on the distillation losses: 0 before ``start_epoch``, then a linear rise to 1."""
    done = step - config.start_epoch * steps_per_epoch
    if done < 0:
        return 0.0
    ramp = config.ramp_epochs * steps_per_epoch
    return min(1.0, (done + 1) / ramp) if ramp else 1.0


def total(losses: Losses) -> Tensor:
    """Return the sum of the losses.

    Raises:
        FloatingPointError: a loss is not finite; names it.
        ValueError: a loss is not a scalar; names it.
    """
    for key, loss in losses.items():
        if loss.dim():
            raise ValueError(f"the loss {key} has the shape {tuple(loss.shape)}; losses must be scalars")
    result = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(result):
        bad = [
            f"{key} = {float(value.detach())}" for key, value in losses.items() if not torch.isfinite(value)
        ]
        raise FloatingPointError(f"the loss is not finite ({', '.join(bad)})")
    return result


def refuse_broken(step: nn.Module) -> None:
    """Check the weights after an epoch: its last step may have broken what no loss has seen yet.

    Raises:
        FloatingPointError: a weight is not finite; names it.
    """
    for key, value in step.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise FloatingPointError(f"the weight {key} is not finite")
