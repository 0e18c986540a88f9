"""What a focus head reads: the mean over a box of a linear map of features.

Letters: B images, C channels, h x w cells of a map, N boxes over all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torchvision.ops import roi_align

from comoto.detectors.base import BoxTensors, Features
from comoto.detectors.focus_head import FocusHead

_BINS = 5
"""A box is averaged over so many places along either side."""


def signed_parts(level: Tensor) -> Tensor:
    """Return log(1 + max(F, 0)) and log(1 + max(-F, 0)) of a map F (B, C, h, w) as float32 (B, 2 C, h, w).

    A feature that is large where the lesion is sharp must not outweigh all others.
    """
    values = level.float()
    return torch.cat([values.clamp_min(0).log1p(), (-values).clamp_min(0).log1p()], dim=1)


def focus_map(head: FocusHead, features: Features) -> Tensor:
    """Return the map (B, 1, h, w) whose mean over a box is its focus."""
    parts = signed_parts(features.levels[head.level])
    weights = torch.tensor(head.weights, dtype=parts.dtype, device=parts.device)
    return conv2d(parts, weights.reshape(1, -1, 1, 1))


def box_means(maps: Tensor, boxes_xyxy: Sequence[Tensor], image_shape: tuple[int, int]) -> Tensor:
    """Return the means (N, C) of maps (B, C, h, w) over boxes.

    Args:
        maps: of the images.
        boxes_xyxy: per image (N, 4), pixels of the grid.
        image_shape: (H, W) of the images.
    """
    (rows, columns), (height, width) = maps.shape[-2:], image_shape
    x, y = columns / width, rows / height
    cells = maps.new_tensor([x, y, x, y])
    places = [boxes.to(cells) * cells for boxes in boxes_xyxy]
    means: Tensor = roi_align(maps, places, _BINS, aligned=True).mean(dim=(2, 3))
    return means


def with_focus(maps: Tensor, found: Sequence[BoxTensors], image_shape: tuple[int, int]) -> list[BoxTensors]:
    """Return detections with their focus.

    Args:
        maps: what ``focus_map`` returned.
        found: per image, on the grid.
        image_shape: (H, W) of the images.
    """
    values = box_means(maps, [one.boxes_xyxy for one in found], image_shape)[:, 0]
    parts = torch.split(values, [len(one.scores) for one in found])
    return [replace(one, focus=part) for one, part in zip(found, parts, strict=True)]
