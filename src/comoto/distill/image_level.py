"""Image-level distillation: the whole map instead of its lesions (the baseline of arXiv 2407.17620).

Letters: B images, C channels, H x W pixels of the grid, h x w cells of a map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from comoto.detectors.base import Detector, LevelSpecs
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.divergence import softened_divergence
from comoto.distill.levels import FIT, level_channels, num_cells
from comoto.distill.settings import ImageLevelConfig
from comoto.errors import ConfigError


class ImageLevelDistiller(Distiller):
    """The batch mean of the student's flattened map follows the teacher's, softmax over the cells.

    S (C, h w) and T (C, h' w') are the means over the batches, S' = S A^T + a is a learned map over the
    cells; with q = softmax over the cells of T / tau and r of S' / tau the loss is
    alpha tau^2 mean_C sum q (log q - log r).
    """

    Config = ImageLevelConfig

    def __init__(self, config: ImageLevelConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        """Build the projection over the cells of a grid (H, W), for a teacher with as many.

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__()
        if config.level == FIT:
            raise ConfigError("distill.level=fit: a whole map has no lesion to fit; name one level")
        level_channels(config.level, specs, "distill.level")
        self.config = config
        self.levels = (config.level,)
        self.grid_shape = grid_shape
        cells = num_cells(specs[config.level], grid_shape)
        self.projection = nn.Linear(cells, cells)

    def check(self, student: Detector, teacher: Detector) -> None:
        """See ``Distiller.check``; fit the projection to a teacher whose map has another number of cells."""
        super().check(student, teacher)
        cells = num_cells(teacher.level_specs[self.config.level], self.grid_shape)
        if cells != self.projection.out_features:
            self.projection = nn.Linear(self.projection.in_features, cells)

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Return ``distill/image_level``.

        Raises:
            ConfigError: the maps have other numbers of cells than the strides promise.
        """
        students, teachers = (
            side.features.levels[self.config.level].float().mean(dim=0).flatten(1)
            for side in (student, teacher)
        )
        cells, promised = (students.shape[1], teachers.shape[1]), tuple(self.projection.weight.shape[::-1])
        if cells != promised:
            raise ConfigError(
                f"distill.kind=image_level: student and teacher have {cells} cells, by their strides "
                f"{promised}; a detector that resizes inside needs a grid of the shape it resizes to"
            )
        with torch.autocast(students.device.type, enabled=False):
            loss = softened_divergence(self.projection(students), teachers, self.config.temperature)
        return {"distill/image_level": self.config.weight * loss}
