"""LsKD, lesion-specific knowledge distillation at the points of a box (CoMoTo, arXiv 2407.17620)."""

from __future__ import annotations

from torch import Tensor

from comoto.detectors.base import LevelSpecs
from comoto.distill.base import DistillInput
from comoto.distill.lesion_based import LesionDistiller, point_projection, profile_divergence
from comoto.distill.points import point_reader
from comoto.distill.settings import LesionPointsConfig
from comoto.errors import ConfigError


class LesionPointsDistiller(LesionDistiller):
    """The student's mean lesion profile follows the teacher's, whoever the patients are.

    S and T (C, P) are the batch means of the lesion matrices of student and teacher, S' = S A^T + a is
    learned; with q = softmax_P(T / tau) and r = softmax_P(S' / tau) the loss is
    alpha tau^2 mean_C sum_P q (log q - log r).
    """

    Config = LesionPointsConfig

    def __init__(self, config: LesionPointsConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        """Build the projection over the points.

        Raises:
            ConfigError: the detector has no such level.
        """
        read = point_reader(config.num_points, config.sampling, width_ratio=config.width_ratio)
        super().__init__(config, config.level, specs, read)
        self.config: LesionPointsConfig = config
        self.projection = point_projection(config.num_points, config.projection_init)

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return ``distill/lesion_points``; nothing if either side shows no lesion.

        Raises:
            ConfigError: an image shows no lesion, and ``empty=refuse``.
        """
        if self.config.empty == "refuse":
            _refuse_empty(student, "student")
            _refuse_empty(teacher, "teacher")
        return super().forward(student, teacher)

    def compare(self, student: list[Tensor], teacher: list[Tensor]) -> dict[str, Tensor]:
        """Return ``distill/lesion_points``."""
        loss = profile_divergence(student, teacher, self.projection, self.config.temperature)
        return {"distill/lesion_points": self.config.weight * loss}


def _refuse_empty(side: DistillInput, who: str) -> None:
    empty = [index for index, boxes in enumerate(side.boxes) if not len(boxes)]
    if empty:
        raise ConfigError(
            f"distill.empty=refuse: {len(empty)} of {len(side.boxes)} images of the {who}'s batch show no "
            f"lesion (first: index {empty[0]}); set batch.negative_share=0, or distill.empty=skip to leave "
            f"them out"
        )
