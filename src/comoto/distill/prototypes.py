"""Class prototypes with a memory of past batches, in the spirit of PaGKD (arXiv 2601.09209).

The two modalities share no image, but they share classes: lesion and background. The contrast is InfoNCE
(arXiv 1807.03748). Letters: C channels, P points, N lesions, K vectors of a memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from comoto.detectors.base import LevelSpecs
from comoto.distill.background import cells_off_lesions
from comoto.distill.base import Distiller, DistillInput
from comoto.distill.lesions import lesion_matrices
from comoto.distill.levels import FIT, level_channels
from comoto.distill.points import point_reader
from comoto.distill.settings import PrototypesConfig
from comoto.errors import ConfigError


class Memory(nn.Module):
    """The last K vectors of length 1, newest last; saved with the run's state."""

    vectors: Tensor
    filled: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(size, channels))
        self.register_buffer("filled", torch.zeros(size, dtype=torch.bool))

    @torch.no_grad()
    def add(self, vectors: Tensor) -> None:
        """Append (N, C); the oldest fall out."""
        size = len(self.vectors)
        fresh = functional.normalize(vectors.to(self.vectors), dim=1)
        self.vectors = torch.cat((self.vectors, fresh))[-size:]
        self.filled = torch.cat((self.filled, self.filled.new_ones(len(fresh))))[-size:]


class PrototypeDistiller(Distiller):
    """The student's lesions look like the teacher's mean lesion and unlike the teacher's background.

    z_n (C) is a lesion's vector, p the mean of the remembered lesions and b_k the remembered background
    cells, all brought to length 1. The loss is
    alpha mean_n -log(exp(z_n p / tau) / (exp(z_n p / tau) + sum_k exp(z_n b_k / tau))).
    Nothing is drawn at random: the background cells are those nearest to the lesions of their own image.
    """

    Config = PrototypesConfig

    def __init__(self, config: PrototypesConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        """Make room for the memories.

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__()
        if config.level == FIT:
            raise ConfigError("distill.level=fit: background cells have no size to fit; name one level")
        channels = level_channels(config.level, specs, "distill.level")
        self.config = config
        self.levels = (config.level,)
        self.read = point_reader(config.num_points, "bilinear")
        self.lesions = Memory(config.memory, channels)
        self.backgrounds = Memory(config.memory, channels)

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        """Remember what the teacher sees, then return ``distill/prototypes``.

        Nothing if the student shows no lesion, or the teacher never showed any.
        """
        with torch.autocast(self.lesions.vectors.device.type, enabled=False):
            teachers = self._vectors(teacher)
            for image, vectors in teachers.items():
                self.lesions.add(vectors)
                self.backgrounds.add(self._background(teacher, image, vectors))
            students = list(self._vectors(student).values())
            if not students or not (teachers or bool(self.lesions.filled.any())):
                return {}
            loss = self._contrast(functional.normalize(torch.cat(students), dim=1))
        return {"distill/prototypes": self.config.weight * loss}

    def _contrast(self, lesions: Tensor) -> Tensor:
        """Return the mean InfoNCE loss of lesions (N, C) of length 1."""
        prototype = functional.normalize(self.lesions.vectors.sum(dim=0), dim=0)  # unfilled vectors are 0
        alike = lesions @ prototype / self.config.temperature  # (N,)
        unlike = lesions @ self.backgrounds.vectors.T / self.config.temperature  # (N, K)
        unlike = unlike.masked_fill(~self.backgrounds.filled, -torch.inf)
        return (torch.logsumexp(torch.cat((alike[:, None], unlike), dim=1), dim=1) - alike).mean()

    def _vectors(self, side: DistillInput) -> dict[int, Tensor]:
        """Return the vectors (N, C) of the lesions of each image that shows any."""
        images = [index for index, boxes in enumerate(side.boxes) if len(boxes)]
        matrices = lesion_matrices(side, self.config.level, self.read)
        return {index: each.mean(dim=2) for index, each in zip(images, matrices, strict=True)}

    def _background(self, side: DistillInput, image: int, lesions: Tensor) -> Tensor:
        """Return the background cells (at most ``background_cells``, C) most like the image's mean lesion."""
        maps = side.features.levels[self.config.level][image].float()
        height, width = maps.shape[-2:]
        free = cells_off_lesions(
            side.boxes[image], (height, width), side.features.image_shape, self.config.margin
        )
        cells = functional.normalize(maps.flatten(1)[:, free.flatten().to(maps.device)].T, dim=1)
        nearness = cells @ lesions.mean(dim=0)
        return cells[nearness.topk(min(self.config.background_cells, len(cells))).indices]
