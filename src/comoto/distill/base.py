"""What every distiller is: it compares what the student makes of images with what the teacher makes of them.

Letters: B images, C channels, h x w cells of a feature map, P points, N boxes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from comoto.detectors.base import Detector, Features
from comoto.distill.levels import level_channels
from comoto.distill.settings import DistillerConfig, Sees
from comoto.errors import ConfigError

__all__ = ["DistillInput", "Distiller", "DistillerConfig", "Side"]


@dataclass(frozen=True)
class DistillInput:
    """One side of the comparison: a batch of images.

    Attributes:
        features: maps of the batch.
        boxes: per image (N, 4), pixels of the grid; N may be 0: such an image shows no lesion.
        detector: what made the features, for distillers that look through its head; None in plain tests.
    """

    features: Features
    boxes: list[Tensor]
    detector: Detector | None = None


Side = DistillInput
"""The former name, which distillers of users import."""


class Distiller(nn.Module, ABC):
    """Base of the distillers. Its parameters are trained with the student's, the teacher's never are."""

    Config: ClassVar[type[DistillerConfig]]
    teacher_sees: ClassVar[Sees] = "mammograms"
    """As ``DistillerConfig.teacher_sees``."""

    levels: tuple[str, ...] = ()
    """Levels (or ``fit``) of which channels are compared one by one; each distiller sets its own."""

    def check(self, student: Detector, teacher: Detector) -> None:
        """Refuse a pair of detectors that cannot be distilled; settle what depends on the teacher.

        Called once, before an optimizer takes the distiller's parameters.

        Raises:
            ConfigError: names what does not fit; here, a level whose channels differ, or for distillers whose
                teacher sees the slices, whose stride differs.
        """
        for level in self.levels:
            student_channels = level_channels(level, student.level_specs, "distill.level")
            theirs = level_channels(level, teacher.level_specs, "distill.level of the teacher")
            if student_channels != theirs:
                raise ConfigError(
                    f"distill.level={level}: the student has {student_channels} channels there and the "
                    f"teacher {theirs}; use the same detector settings for both, or a level of equal width"
                )
            if self.teacher_sees == "slices":
                strides = [detector.level_specs[level].stride for detector in (student, teacher)]
                if strides[0] != strides[1]:
                    raise ConfigError(
                        f"distill: the strides of level {level} differ, {strides[0]} of the "
                        f"student and {strides[1]} of the teacher; use the same detector settings for both"
                    )

    @abstractmethod
    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return the distillation losses as scalars, keys ``distill/...``, weights applied."""
