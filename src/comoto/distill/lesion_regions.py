"""LsKD over the cells of a lesion's region instead of its nine points.

The region is read by RoIAlign (Mask R-CNN, arXiv 1703.06870); all else is LsKD (CoMoTo, arXiv 2407.17620).
Letters: C channels, H x W pixels of the grid, h x w cells of a map, k x k cells of a region, N boxes.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torchvision.ops import roi_align

from comoto.detectors.base import LevelSpecs
from comoto.distill.lesion_based import LesionDistiller, point_projection, profile_divergence
from comoto.distill.points import Shape
from comoto.distill.settings import LesionRegionsConfig

SAMPLES = 2
"""Samples per cell along each axis, averaged; a fixed number, so that equal boxes cost and read alike."""


class LesionRegionsDistiller(LesionDistiller):
    """The student's mean lesion region follows the teacher's, whoever the patients are.

    S and T (C, k k) are the batch means of the regions of student and teacher, S' = S A^T + a is learned;
    with q = softmax over the cells of T / tau and r of S' / tau the loss is
    alpha tau^2 mean_C sum q (log q - log r).
    """

    Config = LesionRegionsConfig

    def __init__(self, config: LesionRegionsConfig, specs: LevelSpecs, grid_shape: tuple[int, int]) -> None:
        """Build the projection over the cells of a region.

        Raises:
            ConfigError: the detector has no such level.
        """
        read = partial(read_regions, region_cells=config.region_cells)
        super().__init__(config, config.level, specs, read)
        self.config: LesionRegionsConfig = config
        self.projection = point_projection(config.region_cells**2, config.projection_init)

    def compare(self, student: list[Tensor], teacher: list[Tensor]) -> dict[str, Tensor]:
        """Return ``distill/lesion_regions``."""
        loss = profile_divergence(student, teacher, self.projection, self.config.temperature)
        return {"distill/lesion_regions": self.config.weight * loss}


def read_regions(feature_map: Tensor, boxes_xyxy: Tensor, image_shape: Shape, region_cells: int) -> Tensor:
    """Return (N, C, k k): the map over the regions of boxes (N, 4), row by row."""
    height, width = feature_map.shape[-2:]
    ratio = boxes_xyxy.new_tensor((width / image_shape[1], height / image_shape[0]) * 2)
    regions = roi_align(
        feature_map.float().unsqueeze(0),
        [(boxes_xyxy * ratio).float()],
        region_cells,
        sampling_ratio=SAMPLES,
        aligned=True,
    )
    return torch.as_tensor(regions).flatten(2)
