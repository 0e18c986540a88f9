"""No distillation: scratch training and plain fine-tuning."""

from __future__ import annotations

from torch import Tensor

from comoto.detectors.base import LevelSpecs
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.settings import NoDistillerConfig


class NoDistiller(Distiller):
    """Adds no loss; the teacher is not run."""

    Config = NoDistillerConfig
    teacher_sees = NoDistillerConfig.teacher_sees

    def __init__(self, config: NoDistillerConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        super().__init__()

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return no loss."""
        return {}
