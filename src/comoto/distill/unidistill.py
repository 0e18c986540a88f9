"""UniDistill (arXiv 2303.15083), adapted to unpaired data.

There, teacher and student see one scene, and each box is compared with itself: an L1 distance between the
features at nine points of the box, and an L1 distance between the matrices of cosines among those points.
Here the patients differ, so the batch means of both are compared.
Letters: C channels, P points, N boxes of an image.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from comoto.detectors.base import LevelSpecs
from comoto.distill.lesion_based import LesionDistiller
from comoto.distill.lesions import mean_profile
from comoto.distill.points import point_reader
from comoto.distill.settings import UniDistillConfig


class UniDistiller(LesionDistiller):
    """Features at the points, and how alike the points are, follow the batch means of the teacher.

    F (C, P) is the mean of the lesions' matrices over each image, then over the images; R (P, P) is the same
    mean of the cosines between the columns of each. The loss is
    alpha [mean |F_student - F_teacher| + gamma mean |R_student - R_teacher|].
    """

    Config = UniDistillConfig

    def __init__(self, config: UniDistillConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        """Check the level.

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__(config, config.level, specs, point_reader(config.num_points, "bilinear"))
        self.config: UniDistillConfig = config

    def compare(self, student: list[Tensor], teacher: list[Tensor]) -> dict[str, Tensor]:
        """Return ``distill/unidistill_points`` and ``distill/unidistill_relations``."""
        points = functional.l1_loss(mean_profile(student), mean_profile(teacher).detach())
        relations = functional.l1_loss(mean_relation(student), mean_relation(teacher).detach())
        return {
            "distill/unidistill_points": self.config.weight * points,
            "distill/unidistill_relations": self.config.weight * self.config.relation_weight * relations,
        }


def mean_relation(matrices: list[Tensor]) -> Tensor:
    """Return the cosines (P, P) between the columns of lesion matrices (N, C, P), averaged like a profile."""
    columns = [functional.normalize(each, dim=1) for each in matrices]
    return mean_profile([each.transpose(1, 2) @ each for each in columns])
