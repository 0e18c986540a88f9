"""What the distillers that compare lesions share: a level, a way to read lesions there, what to leave out."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from comoto.detectors.base import LevelSpecs
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.divergence import softened_divergence
from comoto.distill.lesions import lesion_matrices, mean_profile
from comoto.distill.levels import level_channels
from comoto.distill.points import FeatureReader
from comoto.distill.settings import DistillerConfig, ProjectionInit


class LesionDistiller(Distiller):
    """Compares the lesion matrices of the student's batch with those of the teacher's.

    Letters: C channels, P points (or cells) of a lesion, N lesions of an image.
    """

    def __init__(self, config: DistillerConfig, level: str, specs: LevelSpecs, read: FeatureReader) -> None:
        """Check the level.

        Args:
            config: the distiller's settings.
            level: name of the map on which lesions are looked up, or ``fit``.
            specs: the student's maps.
            read: looks at the lesions of one image on one map.

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__()
        level_channels(level, specs, "distill.level")
        self.config = config
        self.level = level
        self.levels = (level,)
        self.read = read

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return the losses; nothing if either side shows no lesion."""
        students, teachers = (lesion_matrices(side, self.level, self.read) for side in (student, teacher))
        if not students or not teachers:
            return {}
        with torch.autocast(students[0].device.type, enabled=False):
            return self.compare(students, teachers)

    @abstractmethod
    def compare(self, student: list[Tensor], teacher: list[Tensor]) -> dict[str, Tensor]:
        """Return the losses of lesion matrices (N, C, P), one entry for each image that shows a lesion."""


def profile_divergence(
    student: list[Tensor], teacher: list[Tensor], projection: nn.Linear, temperature: float
) -> Tensor:
    """Return the softened divergence of the student's projected mean profile from the teacher's."""
    return softened_divergence(projection(mean_profile(student)), mean_profile(teacher), temperature)


def point_projection(num_points: int, init: ProjectionInit) -> nn.Linear:
    """Return the learned map S' = S A^T + a over the P points of a lesion, one for all channels.

    Args:
        num_points: P.
        init: ``identity`` starts with S' = S; ``default`` is torch's random start, as published.
    """
    projection = nn.Linear(num_points, num_points)
    if init == "identity":
        nn.init.eye_(projection.weight)
        nn.init.zeros_(projection.bias)
    return projection
