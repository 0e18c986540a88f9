"""ImPA, intra-modal point alignment: lesions of different patients together, away from background.

CoMoTo, arXiv 2407.17620; part of the teacher's training only.
Letters: B images with lesions, C channels, h x w cells of a map, P points.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from comoto.config import ImpaConfig
from comoto.detectors.base import Features, LevelSpecs
from comoto.distill.background import cells_off_lesions, cells_outside_rectangles
from comoto.distill.levels import FIT, level_channels
from comoto.distill.points import Shape, point_reader
from comoto.errors import ConfigError

_FREE_CELLS = {"bilinear": cells_off_lesions, "cells": cells_outside_rectangles}


class PointAlignment(nn.Module):
    """u_b: features at the lesion points of image b, flattened; v_b: features of P of its background cells.

    With ``sampling=cells`` and ``margin=0`` both are read as published: whole cells, the width's ratio along
    both axes, and background outside half-open rectangles of cells.
    L = beta [mean_{b,b'} relu(1 - cos(u_b, u_b')) + mean_{b,b'} relu(cos(u_b, v_b'))], the diagonal included.
    """

    def __init__(self, config: ImpaConfig, specs: LevelSpecs) -> None:
        """Check the level.

        Raises:
            ConfigError: the detector has no such level.
        """
        super().__init__()
        if config.level == FIT:
            raise ConfigError("impa.level=fit: background cells have no size to fit; name one level")
        level_channels(config.level, specs, "impa.level")
        self.config = config
        self.read = point_reader(config.num_points, config.sampling, width_ratio=config.sampling == "cells")

    def forward(
        self, features: Features, boxes: list[Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return ``impa/alignment``; nothing if no image shows a lesion or has enough background.

        Args:
            features: the teacher's maps.
            boxes: per image (N, 4) pixels of the grid.
            generator: draws the background cells, on the CPU.

        Raises:
            ConfigError: an image shows no lesion or too little background, and ``empty=refuse``.
        """
        lesions: list[Tensor] = []
        backgrounds: list[Tensor] = []
        for number, (image, image_boxes) in enumerate(
            zip(features.levels[self.config.level], boxes, strict=True)
        ):
            background = None
            if len(image_boxes):
                background = self._background(image, image_boxes, features.image_shape, generator)
            if background is None and self.config.empty == "refuse":
                raise ConfigError(
                    f"impa.empty=refuse: image {number} of the batch shows "
                    + ("too little background" if len(image_boxes) else "no lesion")
                    + "; set batch.negative_share=0 and a smaller impa.margin, or impa.empty=skip"
                )
            if background is not None:
                lesions.append(self.read(image, image_boxes, features.image_shape).mean(dim=0).flatten())
                backgrounds.append(background.float().flatten())  # channel by channel, in the order drawn
        if self.config.weight == 0 or not lesions:
            return {}
        u, v = (functional.normalize(torch.stack(rows), dim=1) for rows in (lesions, backgrounds))
        with torch.autocast(u.device.type, enabled=False):
            loss = functional.relu(1 - u @ u.T).mean() + functional.relu(u @ v.T).mean()
        return {"impa/alignment": self.config.weight * loss}

    def _background(
        self, image: Tensor, boxes: Tensor, image_shape: Shape, generator: torch.Generator
    ) -> Tensor | None:
        """Return the features (C, P) of cells drawn without replacement off the lesions, None if too few."""
        height, width = image.shape[-2:]
        free = _FREE_CELLS[self.config.sampling](boxes, (height, width), image_shape, self.config.margin)
        cells = free.flatten().nonzero().flatten()
        if len(cells) < self.config.num_points:
            return None
        chosen = cells[torch.randperm(len(cells), generator=generator)[: self.config.num_points]]
        return image.flatten(1)[:, chosen.to(image.device)]
