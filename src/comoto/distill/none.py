"""No distillation: scratch training and plain pretraining."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from comoto.detectors.base import LevelSpec
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.settings import DistillerConfig, NoDistillerConfig, Sees


class NoDistiller(Distiller):
    """Adds no loss; the teacher is not run."""

    Config: ClassVar[type[DistillerConfig]] = NoDistillerConfig
    teacher_sees: ClassVar[Sees] = NoDistillerConfig.teacher_sees

    def __init__(
        self, config: NoDistillerConfig, specs: dict[str, LevelSpec], grid_shape: tuple[int, int]
    ) -> None:
        super().__init__()

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return no loss."""
        return {}
