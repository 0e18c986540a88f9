"""Backbones: the thin one of the demo, and every timm backbone that gives maps at strides 8, 16 and 32."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Literal

import timm
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from comoto.config import StrictModel
from comoto.detectors.base import LevelSpec
from comoto.detectors.weights import load_matching, read_weights
from comoto.errors import ConfigError

LEVELS = ("c3", "c4", "c5")
STRIDES = (8, 16, 32)
THIN_WIDTHS = (32, 64, 128, 256)

# Mean and spread of the three ImageNet channels, averaged: the pictures are grey.
PIXEL_MEAN, PIXEL_STD = 0.449, 0.226


class BackboneConfig(StrictModel):
    """Which backbone, and where its weights come from."""

    name: str = "resnet50"
    """``thin`` or any timm model that supports ``features_only`` (resnet18, convnext_tiny, ...)."""
    weights: Literal["none", "imagenet"] | Path = "none"
    """``imagenet`` lets timm fetch its weights; a path is a ``.safetensors`` file of this backbone."""


class Backbone(nn.Module):
    """A network with three named maps, fed with grey images between 0 and 1."""

    def __init__(self, body: nn.Module, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.body = body
        self.level_specs = {
            level: LevelSpec(width, stride)
            for level, width, stride in zip(LEVELS, channels, STRIDES, strict=True)
        }

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps ``c3``, ``c4``, ``c5`` of images (B, 1, H, W)."""
        maps = self.body((images - PIXEL_MEAN) / PIXEL_STD)
        return OrderedDict(zip(LEVELS, maps, strict=True))


class ThinResNet(nn.Module):
    """One residual block a stage, widths 32 to 256, for small grids and slow machines."""

    def __init__(self) -> None:
        super().__init__()
        widths = THIN_WIDTHS
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        inputs = (widths[0], *widths[:-1])
        self.stages = nn.ModuleList(
            _stage(before, after) for before, after in zip(inputs, widths, strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the last three stages."""
        x = self.stem(images)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[1:]


def build_backbone(config: BackboneConfig) -> Backbone:
    """Build the configured backbone with its initial weights.

    Raises:
        ConfigError: the name is unknown, its strides do not fit, or the weights cannot be had.
    """
    if config.name == "thin":
        backbone = Backbone(ThinResNet(), THIN_WIDTHS[1:])
        if config.weights == "imagenet":
            raise ConfigError(
                "detector.backbone.weights: the thin backbone has no ImageNet weights; use 'none'"
            )
    else:
        backbone = _timm_backbone(config.name, pretrained=config.weights == "imagenet")
    if isinstance(config.weights, Path):
        load_matching(backbone, read_weights(config.weights), str(config.weights))
    return backbone


def _timm_backbone(name: str, *, pretrained: bool) -> Backbone:
    if not timm.is_model(name):
        raise ConfigError(f"detector.backbone.name: timm knows no model '{name}'; 'resnet50' is the default")
    try:
        body = timm.create_model(
            name, pretrained=pretrained, features_only=True, in_chans=1, out_indices=(-3, -2, -1)
        )
    except (OSError, RuntimeError, ValueError) as error:
        if pretrained:
            raise ConfigError(
                f"ImageNet weights of '{name}' cannot be fetched ({type(error).__name__}); "
                "without internet access set detector.backbone.weights to a .safetensors file, or to 'none'"
            ) from error
        raise ConfigError(f"detector.backbone.name: '{name}' gives no feature maps: {error}") from error
    reductions = tuple(body.feature_info.reduction())
    if reductions != STRIDES:
        raise ConfigError(f"detector.backbone.name: '{name}' has strides {reductions}, needed are {STRIDES}")
    return Backbone(body, tuple(body.feature_info.channels()))


def _stage(before: int, after: int) -> nn.Module:
    shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after))
    block: nn.Module = BasicBlock(before, after, stride=2, downsample=shortcut)
    return block
