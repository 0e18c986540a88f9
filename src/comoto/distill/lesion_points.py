"""LsKD, lesion-specific knowledge distillation at the points of a box (CoMoTo, arXiv 2407.17620)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from comoto.detectors.base import LevelSpec
from comoto.distill.base import DistillerConfig, Side
from comoto.distill.lesion_based import LesionDistiller, profile_divergence
from comoto.distill.points import NumPoints, Sampling, point_reader
from comoto.distill.projection import ProjectionInit, point_projection
from comoto.errors import ConfigError


class LesionPointsConfig(DistillerConfig):
    """LsKD with its repairs: points read bilinearly, a level of one's choice, an identity start.

    As published: ``level=c5 sampling=cells width_ratio=true projection_init=default weight=2``.
    """

    kind: Literal["lesion_points"] = "lesion_points"
    weight: Annotated[float, Field(ge=0)] = 0.2
    level: str = "p3"
    """A map on which a lesion covers about three cells or more (docs/method.md); ``fit`` looks up each lesion
    on the coarsest pyramid level where its longer side still covers three."""
    num_points: NumPoints = 9
    """4 are the corners, 5 the centre and the edges, 1 the centre (its softmax is 1, the loss always 0)."""
    sampling: Sampling = "bilinear"
    """``cells`` reads whole cells without interpolation, as published."""
    width_ratio: bool = False
    """Pixels become cells by w / W along both axes, as published, instead of each axis's own ratio."""
    temperature: Annotated[float, Field(gt=0)] = 4.0
    """Both sides' values are divided by it before the softmax: the larger, the softer."""
    projection_init: ProjectionInit = "identity"
    """``default`` is torch's random start, as published."""
    empty: Literal["skip", "refuse"] = "skip"
    """What an image without lesions is: left out, or an error (the published code makes NaN of it)."""


class LesionPointsDistiller(LesionDistiller):
    """The student's mean lesion profile follows the teacher's, whoever the patients are.

    S and T (C, P) are the batch means of the lesion matrices of student and teacher, S' = S A^T + a is
    learned; with q = softmax_P(T / tau) and r = softmax_P(S' / tau) the loss is
    alpha tau^2 mean_C sum_P q (log q - log r).
    """

    Config: ClassVar[type[DistillerConfig]] = LesionPointsConfig

    def __init__(
        self, config: LesionPointsConfig, specs: dict[str, LevelSpec], grid_shape: tuple[int, int]
    ) -> None:
        """Build the projection over the points.

        Raises:
            ConfigError: the detector has no such level.
        """
        read = point_reader(config.num_points, config.sampling, width_ratio=config.width_ratio)
        super().__init__(config, config.level, specs, read)
        self.config: LesionPointsConfig = config
        self.projection = point_projection(config.num_points, config.projection_init)

    def forward(self, student: Side, teacher: Side) -> dict[str, Tensor]:
        """Return ``distill/lesion_points``; nothing if either side shows no lesion.

        Raises:
            ConfigError: an image shows no lesion, and ``empty=refuse``.
        """
        if self.config.empty == "refuse":
            _refuse_empty(student, "student")
            _refuse_empty(teacher, "teacher")
        return super().forward(student, teacher)

    def compare(self, own: list[Tensor], told: list[Tensor]) -> dict[str, Tensor]:
        """Return ``distill/lesion_points``."""
        loss = profile_divergence(own, told, self.projection, self.config.temperature)
        return {"distill/lesion_points": self.config.weight * loss}


def _refuse_empty(side: Side, who: str) -> None:
    empty = [index for index, boxes in enumerate(side.boxes) if not len(boxes)]
    if empty:
        raise ConfigError(
            f"distill.empty=refuse: {len(empty)} of {len(side.boxes)} images of the {who}'s batch show no "
            f"lesion (first: index {empty[0]}); set batch.negative_share=0, or distill.empty=skip to leave "
            f"them out"
        )
