"""What every distiller is: it compares the student's features with the teacher's, on unpaired images.

Letters: B images, C channels, h x w cells of a feature map, P points, N boxes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from comoto.config import ComponentConfig
from comoto.detectors.base import Detector, Features, LevelSpec
from comoto.errors import ConfigError


class DistillerConfig(ComponentConfig):
    """Settings that every distiller shares."""

    weight: Annotated[float, Field(ge=0)] = 2.0
    """alpha of the paper."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of the distiller's own parameters; None takes the student's."""
    start_epoch: Annotated[int, Field(ge=0)] = 0
    """Epochs without distillation at the beginning."""
    ramp_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs over which the weight then rises linearly; 0 starts at once."""
    teacher_head: bool = False
    """Also run the teacher's head and drop what it says, as published; changes the time, never a number."""


@dataclass(frozen=True)
class Side:
    """One side of the comparison: the images of a batch that show lesions.

    Attributes:
        features: maps of the batch.
        boxes: per image (N, 4), pixels of the grid; N may be 0, such an image is skipped.
        detector: what made the features, for distillers that look through its head; None in plain tests.
    """

    features: Features
    boxes: list[Tensor]
    detector: Detector | None = None


class Distiller(nn.Module, ABC):
    """Base of the distillers. Its parameters are trained with the student's, the teacher's never are."""

    Config: ClassVar[type[DistillerConfig]]
    teacher_sees: ClassVar[Literal["nothing", "mammograms", "slices"]] = "mammograms"
    """``mammograms`` of other patients (unpaired statistics), or the student's own ``slices``."""

    def check(self, student: Detector, teacher: Detector) -> None:
        """Refuse a pair of detectors that cannot be distilled.

        Raises:
            ConfigError: names what does not fit.
        """

    @abstractmethod
    def forward(self, student: Side, teacher: Side) -> dict[str, Tensor]:
        """Return the distillation losses as scalars, keys ``distill/...``, weights applied."""


def check_level(level: str, specs: dict[str, LevelSpec], key: str) -> None:
    """Refuse a feature level that the detector does not have.

    Raises:
        ConfigError: names the key and the levels there are.
    """
    if level not in specs:
        raise ConfigError(f"{key}: the detector has no level '{level}'; it has {', '.join(specs)}")
