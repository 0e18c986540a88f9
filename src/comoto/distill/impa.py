"""ImPA, intra-modal point alignment: lesions of different patients together, away from background.

CoMoTo, arXiv 2407.17620; part of the teacher's training only.
Letters: B images with lesions, C channels, P points.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from comoto.config import ImpaConfig
from comoto.detectors.base import Features, LevelSpec
from comoto.distill.base import check_level
from comoto.distill.points import lesion_matrix


class PointAlignment(nn.Module):
    """u_b: features at the lesion points of image b, flattened; v_b: features of P of its background cells.

    L = beta [mean_{b,b'} relu(1 - cos(u_b, u_b')) + mean_{b,b'} relu(cos(u_b, v_b'))], the diagonal included.
    """

    def __init__(self, config: ImpaConfig, specs: dict[str, LevelSpec]) -> None:
        """Check the level.

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__()
        check_level(config.level, specs, "impa.level")
        self.config = config
        self.stride = specs[config.level].stride

    def forward(
        self, features: Features, boxes: list[Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return ``impa/alignment``; nothing if no image shows a lesion or has enough background.

        Args:
            features: the teacher's maps.
            boxes: per image (N, 4) pixels of the grid.
            generator: draws the background cells, on the CPU.
        """
        lesions, backgrounds = [], []
        for image, own in zip(features.levels[self.config.level], boxes, strict=True):
            background = self._background(image, own, generator) if len(own) else None
            if background is not None:
                matrix = lesion_matrix(image, own, self.config.num_points, features.image_shape)
                lesions.append(matrix.flatten())
                backgrounds.append(background)
        if self.config.weight == 0 or not lesions:
            return {}
        u, v = (functional.normalize(torch.stack(rows).float(), dim=1) for rows in (lesions, backgrounds))
        with torch.autocast(u.device.type, enabled=False):
            loss = functional.relu(1 - u @ u.T).mean() + functional.relu(u @ v.T).mean()
        return {"impa/alignment": self.config.weight * loss}

    def _background(self, image: Tensor, boxes: Tensor, generator: torch.Generator) -> Tensor | None:
        """Return the features of P cells outside every box and its margin, None if there are fewer."""
        height, width = image.shape[-2:]
        y = (torch.arange(height) + 0.5) * self.stride
        x = (torch.arange(width) + 0.5) * self.stride
        free = torch.ones(height, width, dtype=torch.bool)
        margin = self.config.margin
        for x1, y1, x2, y2 in boxes.tolist():
            rows = (y >= y1 - margin) & (y < y2 + margin)
            columns = (x >= x1 - margin) & (x < x2 + margin)
            free &= ~(rows[:, None] & columns[None, :])
        cells = free.flatten().nonzero().flatten()
        if len(cells) < self.config.num_points:
            return None
        chosen = cells[torch.randperm(len(cells), generator=generator)[: self.config.num_points]]
        return image.flatten(1)[:, chosen.to(image.device)].flatten()
