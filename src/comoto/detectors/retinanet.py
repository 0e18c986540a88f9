"""RetinaNet on a feature pyramid: torchvision's head, anchors, loss and NMS, without its hidden resize."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from comoto.config import ComponentConfig
from comoto.detectors.backbones import Backbone, BackboneConfig, build_backbone
from comoto.detectors.base import Detections, Detector, Features, LevelSpec
from comoto.errors import ConfigError

LESION = 0
"""The only class."""


class RetinaNetConfig(ComponentConfig):
    """RetinaNet (Lin et al. 2017, arXiv 1708.02002) on the levels p3 to p5, or p3 to p7."""

    kind: Literal["retinanet"] = "retinanet"
    backbone: BackboneConfig = BackboneConfig()
    pyramid_channels: Annotated[int, Field(ge=8)] = 256
    coarse_levels: bool = True
    """Add p6 and p7 (strides 64 and 128)."""
    tower_convolutions: Annotated[int, Field(ge=1, le=4)] = 4
    anchor_sizes: tuple[tuple[int, ...], ...] = (
        (32, 40, 51),
        (64, 81, 102),
        (128, 161, 203),
        (256, 323, 406),
        (512, 645, 813),
    )
    """Sides of the square anchors in pixels of the grid, one tuple per level from p3 on."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    foreground_iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    background_iou: Annotated[float, Field(gt=0, le=1)] = 0.4
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.01
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.3
    max_detections: Annotated[int, Field(ge=1)] = 50
    """Detections kept per slice."""


class _Pyramid(nn.Module):
    """Backbone and feature pyramid; returns the maps of both."""

    def __init__(self, backbone: Backbone, config: RetinaNetConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_channels = config.pyramid_channels
        extra = (
            LastLevelP6P7(config.pyramid_channels, config.pyramid_channels) if config.coarse_levels else None
        )
        widths = [spec.channels for spec in backbone.level_specs.values()]
        self.fpn = FeaturePyramidNetwork(widths, config.pyramid_channels, extra_blocks=extra)
        self.level_names = tuple(f"p{k}" for k in range(3, 8 if config.coarse_levels else 6))

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return c3, c4, c5, then the pyramid's levels, of images (B, 1, H, W)."""
        maps = self.backbone(images)
        pyramid = self.fpn(maps).values()
        return OrderedDict([*maps.items(), *zip(self.level_names, pyramid, strict=True)])


class RetinaNetDetector(Detector):
    """The default detector; one forward for features and losses."""

    Config: ClassVar[type[ComponentConfig]] = RetinaNetConfig

    def __init__(self, config: RetinaNetConfig) -> None:
        """Build the network with fresh (or ImageNet) weights.

        Raises:
            ConfigError: the backbone is unknown, or the anchor sizes do not fit the levels.
        """
        super().__init__()
        pyramid = _Pyramid(build_backbone(config.backbone), config)
        _check_anchors(config, pyramid.level_names)
        anchors = AnchorGenerator(config.anchor_sizes, (config.aspect_ratios,) * len(config.anchor_sizes))
        per_cell = anchors.num_anchors_per_location()[0]
        head = RetinaNetHead(config.pyramid_channels, per_cell, num_classes=1)
        for branch in (head.classification_head, head.regression_head):
            branch.conv = branch.conv[: config.tower_convolutions]
        self.net = RetinaNet(
            pyramid,
            num_classes=1,
            anchor_generator=anchors,
            head=head,
            fg_iou_thresh=config.foreground_iou,
            bg_iou_thresh=config.background_iou,
            score_thresh=config.score_threshold,
            nms_thresh=config.nms_iou,
            detections_per_img=config.max_detections,
        )
        self.pyramid_levels = pyramid.level_names
        self.level_specs = dict(pyramid.backbone.level_specs) | {
            name: LevelSpec(config.pyramid_channels, 8 * 2**k) for k, name in enumerate(pyramid.level_names)
        }

    def features(self, images: Tensor) -> Features:
        """See ``Detector.features``."""
        return Features(dict(self.net.backbone(images)), (int(images.shape[-2]), int(images.shape[-1])))

    def losses(self, features: Features, boxes: list[Tensor]) -> dict[str, Tensor]:
        """See ``Detector.losses``; focal loss and L1 of torchvision, in float32."""
        outputs, anchors = self._head(features)
        targets = [
            {"boxes": b, "labels": torch.full((len(b),), LESION, dtype=torch.int64, device=b.device)}
            for b in boxes
        ]
        with torch.autocast(outputs["cls_logits"].device.type, enabled=False):
            losses = self.net.compute_loss(targets, outputs, anchors)
        return {"detection/class": losses["classification"], "detection/box": losses["bbox_regression"]}

    def predict(self, features: Features) -> list[Detections]:
        """See ``Detector.predict``."""
        outputs, anchors = self._head(features)
        per_level = [
            features.levels[name].shape[-2] * features.levels[name].shape[-1] for name in self.pyramid_levels
        ]
        per_cell = self.net.anchor_generator.num_anchors_per_location()[0]
        counts = [cells * per_cell for cells in per_level]
        split_outputs = {key: list(torch.split(value, counts, dim=1)) for key, value in outputs.items()}
        split_anchors = [list(torch.split(a, counts)) for a in anchors]
        shapes = [features.image_shape] * len(anchors)
        found: list[dict[str, Any]] = self.net.postprocess_detections(split_outputs, split_anchors, shapes)
        return [Detections(one["boxes"], one["scores"]) for one in found]

    def _head(self, features: Features) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Return float32 head outputs, (B, anchors, 1 or 4), and the anchors of each image."""
        maps = [features.levels[name] for name in self.pyramid_levels]
        outputs = {key: value.float() for key, value in self.net.head(maps).items()}
        size = len(maps[0])
        blank = maps[0].new_zeros(()).float().expand(size, 1, *features.image_shape)  # only its shape is read
        return outputs, self.net.anchor_generator(ImageList(blank, [features.image_shape] * size), maps)


def _check_anchors(config: RetinaNetConfig, levels: tuple[str, ...]) -> None:
    if len(config.anchor_sizes) != len(levels):
        raise ConfigError(
            f"detector.anchor_sizes: {len(config.anchor_sizes)} tuples for the levels {', '.join(levels)}"
        )
    if len({len(sizes) for sizes in config.anchor_sizes}) != 1:
        raise ConfigError("detector.anchor_sizes: every level needs the same number of sizes")
