"""Image-level distillation: the whole map instead of its lesions (the baseline of arXiv 2407.17620)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from comoto.detectors.base import LevelSpec
from comoto.distill.base import Distiller, DistillerConfig, Side, check_level
from comoto.distill.divergence import softened_divergence


class ImageLevelConfig(DistillerConfig):
    """Which map, how soft."""

    kind: Literal["image_level"] = "image_level"
    level: str = "c5"
    temperature: Annotated[float, Field(gt=0)] = 4.0


class ImageLevelDistiller(Distiller):
    """Matches the batch means of the flattened maps, softmax over the cells.

    A learned linear map over the cells stands on the student's side.
    """

    Config: ClassVar[type[DistillerConfig]] = ImageLevelConfig

    def __init__(
        self, config: ImageLevelConfig, specs: dict[str, LevelSpec], grid_shape: tuple[int, int]
    ) -> None:
        """Build the projection over the cells of a grid (H, W).

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__()
        check_level(config.level, specs, "distill.level")
        self.config = config
        stride = specs[config.level].stride
        cells = -(-grid_shape[0] // stride) * -(-grid_shape[1] // stride)
        self.projection = nn.Linear(cells, cells)

    def forward(self, student: Side, teacher: Side) -> dict[str, Tensor]:
        """Return ``distill/image_level``."""
        maps = [
            side.features.levels[self.config.level].float().mean(dim=0).flatten(1)
            for side in (student, teacher)
        ]
        with torch.autocast(maps[0].device.type, enabled=False):
            loss = softened_divergence(self.projection(maps[0]), maps[1], self.config.temperature)
        return {"distill/image_level": self.config.weight * loss}
