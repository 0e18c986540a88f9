"""Mammograms in the student's batches: the student goes on detecting in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from comoto.detectors.base import Detector, Features


@contextmanager
def own_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch normalisation in train mode use the batch's statistics without noting them.

    The running statistics, which prediction uses, keep belonging to the slices.
    """
    noting = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    for one in noting:
        one.track_running_stats = False
    try:
        yield
    finally:
        for one in noting:
            one.track_running_stats = True


def joint_losses(
    detector: Detector, images: Tensor, boxes: list[Tensor], weight: float, features: Features | None = None
) -> dict[str, Tensor]:
    """Return the detection losses of mammograms under ``mammograms/...``, times a weight.

    Args:
        detector: the student, in train mode.
        images: (B, 1, H, W), 0 to 1.
        boxes: per image (N, 4), pixels of the grid.
        weight: factor.
        features: of the images, where they went through the network with the slices; None runs a pass of
            their own, with their own batch statistics.
    """
    if features is None:
        with own_statistics(detector):
            losses = detector.losses(detector.features(images), boxes)
    else:
        losses = detector.losses(features, boxes)
    return {f"mammograms/{key.split('/', 1)[1]}": weight * loss for key, loss in losses.items()}


def mixed_features(detector: Detector, slices: Tensor, mammograms: Tensor) -> tuple[Features, Features]:
    """Run slices and mammograms through the network in one pass, and part their features again."""
    features = detector.features(torch.cat([slices, mammograms]))
    number = len(slices)
    shape = features.image_shape
    return (
        Features({name: level[:number] for name, level in features.levels.items()}, shape),
        Features({name: level[number:] for name, level in features.levels.items()}, shape),
    )
