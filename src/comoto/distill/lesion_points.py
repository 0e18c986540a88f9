"""LsKD, lesion-specific knowledge distillation at the points of a box (CoMoTo, arXiv 2407.17620)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from comoto.detectors.base import LevelSpec
from comoto.distill.base import Distiller, DistillerConfig, Side, check_level
from comoto.distill.divergence import softened_divergence
from comoto.distill.points import lesion_matrix


class LesionPointsConfig(DistillerConfig):
    """LsKD with its repairs: points read bilinearly, a level of one's choice, an identity start."""

    kind: Literal["lesion_points"] = "lesion_points"
    weight: Annotated[float, Field(ge=0)] = 0.2
    level: str = "p3"
    """A map on which a lesion covers about three cells or more (docs/method.md)."""
    num_points: Literal[4, 5, 9] = 9
    temperature: Annotated[float, Field(gt=0)] = 4.0
    projection_init: Literal["identity", "default"] = "identity"
    """``default`` is torch's random start, as published."""


class LesionPointsDistiller(Distiller):
    r"""The student's mean lesion profile follows the teacher's, whoever the patients are.

    S and T (C, P) are the batch means of ``lesion_matrix`` of student and teacher, S' = S A^T + a is learned;
    with q = softmax_P(T / tau) and r = softmax_P(S' / tau) the loss is
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
        super().__init__()
        check_level(config.level, specs, "distill.level")
        self.config = config
        self.projection = nn.Linear(config.num_points, config.num_points)
        if config.projection_init == "identity":
            nn.init.eye_(self.projection.weight)
            nn.init.zeros_(self.projection.bias)

    def forward(self, student: Side, teacher: Side) -> dict[str, Tensor]:
        """Return ``distill/lesion_points``; nothing if either side shows no lesion."""
        student_profile, teacher_profile = self._profile(student), self._profile(teacher)
        if student_profile is None or teacher_profile is None:
            return {}
        with torch.autocast(student_profile.device.type, enabled=False):
            projected = self.projection(student_profile)  # (C, P)
            loss = softened_divergence(projected, teacher_profile, self.config.temperature)
        return {"distill/lesion_points": self.config.weight * loss}

    def _profile(self, side: Side) -> Tensor | None:
        """Return the mean lesion matrix (C, P) over the images that show lesions."""
        level = side.features.levels[self.config.level]
        shape = side.features.image_shape
        each = [
            lesion_matrix(image, boxes, self.config.num_points, shape)
            for image, boxes in zip(level, side.boxes, strict=True)
            if len(boxes)
        ]
        return torch.stack(each).mean(dim=0) if each else None
