"""No distillation: scratch training and plain pretraining."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from comoto.detectors.base import LevelSpec
from comoto.distill.base import Distiller, DistillerConfig, Side


class NoDistillerConfig(DistillerConfig):
    """Nothing to set."""

    kind: Literal["none"] = "none"
    weight: Annotated[float, Field(ge=0, le=0)] = 0.0


class NoDistiller(Distiller):
    """Adds no loss; the teacher is not run."""

    Config: ClassVar[type[DistillerConfig]] = NoDistillerConfig
    teacher_sees: ClassVar[Literal["nothing", "mammograms", "slices"]] = "nothing"

    def __init__(
        self, config: NoDistillerConfig, specs: dict[str, LevelSpec], grid_shape: tuple[int, int]
    ) -> None:
        super().__init__()

    def forward(self, student: Side, teacher: Side) -> dict[str, Tensor]:
        """Return no loss."""
        return {}
