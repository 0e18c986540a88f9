"""LsKD lesion by lesion: each follows the lesion of the teacher's batch that is most like it.

The divergence is that of CoMoTo (arXiv 2407.17620); the matching replaces its mean over the batch.
Letters: C channels, P points, N lesions of the student's batch, M of the teacher's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from comoto.detectors.base import LevelSpecs
from comoto.distill.divergence import softened_divergence
from comoto.distill.lesion_based import LesionDistiller, point_projection
from comoto.distill.points import point_reader
from comoto.distill.settings import LesionMatchingConfig


class LesionMatchingDistiller(LesionDistiller):
    """Each lesion of the student follows its most similar lesion of the teacher, of whatever patient.

    S_n and T_m (C, P) are lesion matrices, m(n) = argmax_m cos(S_n, T_m) of the flattened ones; with
    S'_n = S_n A^T + a, q = softmax_P(T_m(n) / tau) and r = softmax_P(S'_n / tau) the loss is
    alpha tau^2 mean_n mean_C sum_P q (log q - log r).
    """

    Config = LesionMatchingConfig

    def __init__(self, config: LesionMatchingConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        """Build the projection over the points.

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__(config, config.level, specs, point_reader(config.num_points, "bilinear"))
        self.config: LesionMatchingConfig = config
        self.projection = point_projection(config.num_points, config.projection_init)

    def compare(self, student: list[Tensor], teacher: list[Tensor]) -> dict[str, Tensor]:
        """Return ``distill/lesion_matching``."""
        lesions, candidates = torch.cat(student), torch.cat(teacher).detach()  # (N, C, P), (M, C, P)
        followed = candidates[most_similar(lesions, candidates)]  # (N, C, P)
        projected = self.projection(lesions)
        loss = softened_divergence(projected.flatten(0, 1), followed.flatten(0, 1), self.config.temperature)
        return {"distill/lesion_matching": self.config.weight * loss}


def most_similar(lesions: Tensor, candidates: Tensor) -> Tensor:
    """Return for each of (N, C, P) the index (N,) of the candidate (M, C, P) with the highest cosine."""
    rows, columns = (functional.normalize(each.detach().flatten(1), dim=1) for each in (lesions, candidates))
    return (rows @ columns.T).argmax(dim=1)
