"""Backbone and neck, shared by all detectors: the maps that heads, losses and distillers read.

Letters: B images, C channels, H x W pixels of the grid, h x w cells of a map.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from comoto.detectors.backbones import build_backbone, input_channels
from comoto.detectors.base import BoxTensors, Detector, Features, LevelSpec, LevelSpecs
from comoto.detectors.intake import Intake, Shape
from comoto.detectors.settings import PyramidConfig
from comoto.errors import ConfigError


class Pyramid(nn.Module):
    """Backbone and neck; returns the maps of both.

    Attributes:
        level_names: the maps that a head sees.
        out_channels: C of each of them.
    """

    def __init__(self, config: PyramidConfig, image_shape: Shape | None) -> None:
        """Build both.

        Args:
            config: what to build.
            image_shape: (H, W) of the images that will enter, if it is known.
        """
        super().__init__()
        self.backbone = build_backbone(config.backbone, image_shape)
        widths = [spec.channels for spec in self.backbone.level_specs.values()]
        self.fpn: FeaturePyramidNetwork | None = None
        if config.neck == "none":
            self.out_channels = widths[-1]
            self.level_names: tuple[str, ...] = ("c5",)
        else:
            self.out_channels = config.pyramid_channels
            extra = LastLevelP6P7(self.out_channels, self.out_channels) if config.coarse_levels else None
            self.fpn = FeaturePyramidNetwork(widths, self.out_channels, extra_blocks=extra)
            self.level_names = tuple(f"p{k}" for k in range(3, 8 if config.coarse_levels else 6))

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return c3, c4, c5, then the neck's levels, of normalised images (B, C, H, W)."""
        maps: OrderedDict[str, Tensor] = self.backbone(images)
        if self.fpn is None:
            return maps
        return OrderedDict([*maps.items(), *zip(self.level_names, self.fpn(maps).values(), strict=True)])

    @property
    def level_specs(self) -> LevelSpecs:
        """All maps, with strides in pixels of what enters."""
        if self.fpn is None:
            return dict(self.backbone.level_specs)
        return dict(self.backbone.level_specs) | {
            name: LevelSpec(self.out_channels, 8 * 2**k) for k, name in enumerate(self.level_names)
        }


class PyramidDetector(Detector):
    """A detector of torchvision on a ``Pyramid``; subclasses build ``net`` around it.

    Attributes:
        head_levels: names of the maps that the head sees.
    """

    net: Any
    head_levels: tuple[str, ...]

    def __init__(self, config: PyramidConfig, grid_shape: Shape | None) -> None:
        """Keep how pictures enter.

        Raises:
            ConfigError: the detector resizes inside, and the grid's shape is not known.
        """
        super().__init__()
        if config.inner_resize is not None and grid_shape is None:
            raise ConfigError("detector.inner_resize: a detector that resizes needs to know the grid's shape")
        self.intake = Intake(input_channels(config.backbone), config.pixel_range, config.inner_resize)
        self._grid_shape = grid_shape

    def features(self, images: Tensor) -> Features:
        """See ``Detector.features``."""
        maps = self.net.backbone(self.intake(images))
        return Features(dict(maps), (int(images.shape[-2]), int(images.shape[-1])))

    def _build_pyramid(self, config: PyramidConfig) -> Pyramid:
        """Build backbone and neck, and state their maps."""
        grid = self._grid_shape
        inner = None if grid is None else self.intake.inner_shape(grid).padded
        pyramid = Pyramid(config, inner)
        self.head_levels = pyramid.level_names
        self.level_specs = pyramid.level_specs
        if config.inner_resize is not None and grid is not None and inner is not None:
            self.level_specs = {
                name: LevelSpec(spec.channels, grid[1] / -(-inner[1] // spec.stride))
                for name, spec in pyramid.level_specs.items()
            }
        return pyramid

    def _head_maps(self, features: Features) -> list[Tensor]:
        return [features.levels[name] for name in self.head_levels]

    def _image_list(self, features: Features) -> ImageList:
        """Return the shapes of the pictures inside, in the form that torchvision's parts read them."""
        maps = self._head_maps(features)
        inner = self.intake.inner_shape(features.image_shape)
        pixels = maps[0].new_zeros(()).expand(len(maps[0]), 1, *inner.padded)  # only its shape is read
        return ImageList(pixels, [inner.image] * len(maps[0]))

    def _anchors(self, features: Features) -> list[Tensor]:
        """Return the anchors (A, 4) of each picture, float32, in inner pixels."""
        maps = self._head_maps(features)
        # maps in bfloat16 would give anchors in bfloat16, which cannot tell pixel 513 from pixel 512
        shapes = [each.new_zeros((), dtype=torch.float32).expand(each.shape) for each in maps]
        anchors: list[Tensor] = self.net.anchor_generator(self._image_list(features), shapes)
        return anchors

    def _targets(self, features: Features, boxes: list[Tensor], label: int) -> list[dict[str, Tensor]]:
        """Return boxes of the grid as torchvision's parts take them."""
        return [
            {
                "boxes": self.intake.boxes_inwards(own, features.image_shape),
                "labels": torch.full((len(own),), label, dtype=torch.int64, device=own.device),
            }
            for own in boxes
        ]

    def _lesions(self, found: list[dict[str, Tensor]], features: Features, label: int) -> list[BoxTensors]:
        """Return torchvision's detections of one label, in pixels of the grid."""
        results = []
        for one in found:
            ours = one["labels"] == label
            boxes = self.intake.boxes_outwards(one["boxes"][ours], features.image_shape)
            results.append(BoxTensors(boxes, one["scores"][ours]))
        return results


def check_anchors(sizes: tuple[tuple[int, ...], ...], levels: tuple[str, ...]) -> None:
    """Refuse anchor sizes that do not fit the maps.

    Raises:
        ConfigError: another number of levels, or levels with different numbers of sizes.
    """
    if len(sizes) != len(levels):
        raise ConfigError(f"detector.anchor_sizes: {len(sizes)} tuples for the levels {', '.join(levels)}")
    if len({len(each) for each in sizes}) != 1:
        raise ConfigError("detector.anchor_sizes: every level needs the same number of sizes")
