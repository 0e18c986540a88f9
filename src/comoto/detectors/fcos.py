"""FCOS: every point of a map that lies well inside a lesion predicts the distances to its four sides.

Letters: A points of all levels, N boxes, B images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from comoto.detectors.base import Features, Tensors
from comoto.detectors.intake import Shape
from comoto.detectors.settings import FcosConfig
from comoto.detectors.towers import TowerDetector, flattened
from comoto.errors import ConfigError

GROUPS = 32
"""Of torchvision's group norm in the towers."""
LIMIT_STRIDES = 8
"""Strides of a level at which the next coarser one takes over."""


class FcosDetector(TowerDetector):
    """torchvision's head, losses and NMS; which point answers for which lesion is chosen here."""

    Config = FcosConfig
    _modules_per_convolution = 3  # the group norm and the activation belong to the convolution before them

    def __init__(self, config: FcosConfig, grid_shape: Shape | None = None) -> None:
        """Build the network with fresh (or ImageNet) weights.

        Args:
            config: what to build.
            grid_shape: (H, W) of the images; needed where the detector resizes inside.

        Raises:
            ConfigError: the backbone is unknown or cannot take the images, or the scale limits do not fit.
        """
        super().__init__(config, grid_shape, config.tower_convolutions, label=0)
        pyramid = self._build_pyramid(config)
        # one square of a stride's side around each point: distances are divided by its side
        self._sides = [int(pyramid.level_specs[name].stride) for name in self.head_levels]
        self._limits = _scale_limits(config, self.head_levels, self._sides)
        _check_channels(pyramid.out_channels)
        anchors = AnchorGenerator(tuple((side,) for side in self._sides), ((1.0,),) * len(self._sides))
        self.config = config
        head = FCOSHead(pyramid.out_channels, 1, 1, config.tower_convolutions)
        # distances end in a ReLU, which can die in the first steps from torchvision's start at 0
        nn.init.ones_(head.regression_head.bbox_reg.bias)
        self.net = FCOS(
            pyramid,
            num_classes=1,
            anchor_generator=anchors,
            head=head,
            score_thresh=config.score_threshold,
            nms_thresh=config.nms_iou,
            detections_per_img=config.max_detections,
        )

    def _losses(self, features: Features, outputs: Tensors, targets: list[Tensors]) -> Tensors:
        anchors = self._anchors(features)
        limits = [0.0, *self._limits, float("inf")]
        counts = torch.tensor(self._cells(features))
        lower, upper, radius = (
            torch.tensor(values).repeat_interleave(counts).to(anchors[0])
            for values in (limits[:-1], limits[1:], [self.config.center_radius * s for s in self._sides])
        )
        matched = [
            match_points((own[:, :2] + own[:, 2:]) / 2, target["boxes"], radius, (lower, upper))
            for own, target in zip(anchors, targets, strict=True)
        ]
        losses = self.net.head.compute_loss(targets, outputs, anchors, matched)
        return {
            "detection/class": losses["classification"],
            "detection/box": losses["bbox_regression"],
            "detection/center": losses["bbox_ctrness"],
        }

    def _last_layers(self, classes: list[Tensor], boxes: list[Tensor]) -> Tensors:
        head = self.net.head
        distances = [torch.relu(head.regression_head.bbox_reg(each)) for each in boxes]
        return {
            "cls_logits": flattened([head.classification_head.cls_logits(each) for each in classes], 1),
            "bbox_regression": flattened(distances, 4),
            "bbox_ctrness": flattened([head.regression_head.bbox_ctrness(each) for each in boxes], 1),
        }


def match_points(points: Tensor, boxes: Tensor, radius: Tensor, limits: tuple[Tensor, Tensor]) -> Tensor:
    """Say which box each point answers for.

    A point answers for a box that it lies in, nearer than ``radius`` to the centre along both axes, if its
    distance to the farthest side is within the limits; of several such boxes for the smallest. A box for
    which no point would answer drops the limits.

    Args:
        points: (A, 2).
        boxes: (N, 4); N may be 0.
        radius: (A,).
        limits: least and greatest distance, (A,) each; half-open.

    Returns:
        int64 (A,): the index of the box, -1 for none.
    """
    if len(boxes) == 0:
        return torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    low, high = boxes[None, :, :2], boxes[None, :, 2:]  # (1, N, 2)
    where = points[:, None]  # (A, 1, 2)
    distances = torch.cat((where - low, high - where), dim=2)  # (A, N, 4)
    farthest = distances.amax(dim=2)
    belongs = distances.amin(dim=2) > 0
    belongs &= (where - (low + high) / 2).abs().amax(dim=2) < radius[:, None]
    fits = belongs & (farthest >= limits[0][:, None]) & (farthest < limits[1][:, None])
    fits |= belongs & ~fits.any(dim=0)  # a long narrow box may lie between the points of its own level
    areas = (high - low).prod(dim=2).expand_as(fits)
    smallest, index = torch.where(fits, areas, torch.inf).min(dim=1)
    return torch.where(smallest.isinf(), -1, index)


def _scale_limits(config: FcosConfig, levels: tuple[str, ...], strides: list[int]) -> tuple[float, ...]:
    """Return the limits that are set, or those that follow from the strides."""
    if config.scale_limits is None:
        return tuple(float(LIMIT_STRIDES * stride) for stride in strides[:-1])
    limits = config.scale_limits
    if len(limits) != len(levels) - 1:
        raise ConfigError(
            f"detector.scale_limits: {len(limits)} numbers for the levels {', '.join(levels)}; "
            f"needed are {len(levels) - 1}, one per level but the last"
        )
    if any(a >= b for a, b in zip((0.0, *limits), limits, strict=False)):
        raise ConfigError(f"detector.scale_limits: {list(limits)} must be positive and rise")
    return limits


def _check_channels(channels: int) -> None:
    if channels % GROUPS:
        raise ConfigError(
            f"detector.pyramid_channels: FCOS normalises {GROUPS} groups of channels, {channels} cannot be "
            "divided into them"
        )
