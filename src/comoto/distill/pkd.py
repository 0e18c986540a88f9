"""PKD, feature imitation after normalisation (arXiv 2207.02039); the teacher looks at the student's slices.

Letters: B images, C channels, h x w cells of a map.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from comoto.detectors.base import LevelSpecs
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.levels import level_channels, pyramid_of
from comoto.distill.settings import PkdConfig
from comoto.errors import ConfigError

FLAT = 1e-6
"""Added to the deviation, so that a channel without any stays 0."""


class PkdDistiller(Distiller):
    """Every channel of every pyramid level rises and falls over a batch where the teacher's does.

    With each channel brought to mean 0 and deviation 1 over the batch and its cells, the loss is alpha times
    the sum over the levels of mean (s - t)^2 / 2, which is 1 - r for Pearson's correlation r, averaged over
    the channels.
    """

    Config = PkdConfig
    teacher_sees = PkdConfig.teacher_sees

    def __init__(self, config: PkdConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        """Choose the levels.

        Raises:
            ConfigError: the detector has no such level, or no pyramid and no level is named.
        """
        super().__init__()
        self.config = config
        self.levels = config.levels or tuple(pyramid_of(list(specs)))
        if not self.levels:
            raise ConfigError(f"distill.levels: the detector has no pyramid; name some of {', '.join(specs)}")
        for level in self.levels:
            level_channels(level, specs, "distill.levels")

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return ``distill/pkd``."""
        losses = []
        for level in self.levels:
            students, teachers = (side.features.levels[level].float() for side in (student, teacher))
            losses.append(functional.mse_loss(standardised(students), standardised(teachers.detach())) / 2)
        return {"distill/pkd": self.config.weight * torch.stack(losses).sum()}


def standardised(maps: Tensor) -> Tensor:
    """Return maps (B, C, h, w) with every channel at mean 0 and deviation 1 over images and cells."""
    deviation, mean = torch.std_mean(maps, dim=(0, 2, 3), correction=0, keepdim=True)
    return (maps - mean) / (deviation + FLAT)
