"""The lesions of a batch as matrices: what the maps say of each, and of the batch on average.

Letters: B images, N boxes of an image, C channels, P points (or cells) of a lesion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from comoto.distill.base import DistillInput
from comoto.distill.levels import FIT, fitting_levels
from comoto.distill.points import FeatureReader


def lesion_matrices(side: DistillInput, level: str, read: FeatureReader) -> list[Tensor]:
    """Return the matrices (N, C, P) of the lesions of each image that shows any.

    Args:
        side: images and boxes.
        level: name of the map, or ``fit``.
        read: looks at the lesions of one image on one map.
    """
    shape = side.features.image_shape
    found = []
    for index, boxes in enumerate(side.boxes):
        if not len(boxes):
            continue
        names = fitting_levels(boxes, side.features) if level == FIT else [level]
        if len(set(names)) == 1:
            found.append(read(side.features.levels[names[0]][index], boxes, shape))
        else:
            each = zip(names, boxes, strict=True)
            found.append(torch.cat([read(side.features.levels[n][index], b[None], shape) for n, b in each]))
    return found


def mean_profile(matrices: list[Tensor]) -> Tensor:
    """Return the mean over images (one or more) of the mean over each image's lesions: (C, P)."""
    return torch.stack([each.mean(dim=0) for each in matrices]).mean(dim=0)
