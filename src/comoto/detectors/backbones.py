"""Backbones: the thin one of the demo, torchvision's ResNets as published, and what timm has to offer.

All give maps at strides 8, 16 and 32. Letters: B images, C channels, H x W pixels.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.resnet import BasicBlock

from comoto.components import suggest
from comoto.detectors.base import LevelSpec
from comoto.detectors.settings import BackboneConfig
from comoto.detectors.weights import load_matching, read_weights
from comoto.errors import ConfigError

LEVELS = ("c3", "c4", "c5")
STRIDES = (8, 16, 32)
THIN_WIDTHS = (32, 64, 128, 256)
TORCHVISION = "torchvision/"
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")


class Backbone(nn.Module):
    """A network with three named maps.

    Attributes:
        level_specs: channels and stride of each map, in pixels of what enters.
    """

    def __init__(self, body: nn.Module, channels: tuple[int, ...], *, channels_last: bool = False) -> None:
        """Wrap a network.

        Args:
            body: returns three maps.
            channels: C of each.
            channels_last: the maps come as (B, h, w, C).
        """
        super().__init__()
        self.body = body
        self._channels_last = channels_last
        self.level_specs = {
            level: LevelSpec(width, stride)
            for level, width, stride in zip(LEVELS, channels, STRIDES, strict=True)
        }

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps ``c3``, ``c4``, ``c5`` of normalised images (B, ``input_channels``, H, W)."""
        maps = self.body(images)
        if self._channels_last:
            maps = [each.permute(0, 3, 1, 2).contiguous() for each in maps]
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


class CompleteResNet(nn.Module):
    """torchvision's ResNet with all its layers, also the classifier that a detector never uses.

    The published model carries those 2,049,000 parameters (of ResNet-50) in its checkpoints.
    """

    def __init__(self, resnet: nn.Module) -> None:
        super().__init__()
        self.resnet: Any = resnet

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps after ``layer2``, ``layer3`` and ``layer4``."""
        net = self.resnet
        x = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(images)))))
        c3 = net.layer2(x)
        c4 = net.layer3(c3)
        return [c3, c4, net.layer4(c4)]


def input_channels(config: BackboneConfig) -> Literal[1, 3]:
    """Return the channels of the images that the configured backbone takes."""
    return 3 if config.name.startswith(TORCHVISION) else 1


def build_backbone(config: BackboneConfig, image_shape: tuple[int, int] | None = None) -> Backbone:
    """Build the configured backbone with its initial weights.

    Args:
        config: name and weights.
        image_shape: (H, W) of the images that will enter; if given, it is checked that they can.

    Raises:
        ConfigError: the name is unknown, its strides do not fit, the weights cannot be had, or images of
            this shape cannot enter.
    """
    pretrained = config.weights == "imagenet"
    weights = read_weights(config.weights) if isinstance(config.weights, Path) else None
    ours = weights is None or all(key.startswith("body.") for key in weights)
    if config.name == "thin":
        if pretrained:
            raise ConfigError(
                "detector.backbone.weights: the thin backbone has no ImageNet weights; use 'none'"
            )
        backbone = Backbone(ThinResNet(), THIN_WIDTHS[1:])
    elif config.name.startswith(TORCHVISION):
        backbone = _torchvision_backbone(config.name, pretrained=pretrained)
        if weights is not None and not ours:
            weights = {f"body.resnet.{key}": value for key, value in weights.items()}
    else:
        file = None if ours else config.weights
        backbone = _timm_backbone(config.name, pretrained=pretrained, file=file)
        weights = weights if ours else None
        if image_shape is not None and _fixed_size(config.name):
            _check_shape(backbone, (1, 1, *image_shape), config.name)
    if weights is not None:
        load_matching(backbone, weights, str(config.weights))
    return backbone


def _torchvision_backbone(name: str, *, pretrained: bool) -> Backbone:
    kind = name.removeprefix(TORCHVISION)
    if kind not in RESNETS:
        known = [TORCHVISION + each for each in RESNETS]
        raise ConfigError(f"detector.backbone.name: unknown '{name}'; {suggest(name, known)}")
    try:
        resnet = get_model(kind, weights="IMAGENET1K_V1" if pretrained else None)
    except (OSError, RuntimeError) as error:
        if pretrained:
            raise _unfetched(name, error) from error
        raise
    width = resnet.fc.in_features  # that of the last stage; every stage doubles it
    return Backbone(CompleteResNet(resnet), (width // 4, width // 2, width))


def _timm_backbone(name: str, *, pretrained: bool, file: str | Path | None) -> Backbone:
    import timm  # here and below: the other backbones do without it

    if not timm.is_model(name):
        raise ConfigError(f"detector.backbone.name: timm knows no model '{name}'; 'resnet50' is the default")
    if file is not None:
        # timm takes what fits and does not mention the rest, so the whole model is compared first
        load_matching(timm.create_model(name), read_weights(Path(file)), str(file))
    try:
        body = _timm_body(name, pretrained, file)
    except (OSError, RuntimeError, ValueError) as error:
        if pretrained:
            raise _unfetched(name, error) from error
        raise ConfigError(f"detector.backbone.name: '{name}' gives no feature maps: {error}") from error
    reductions = tuple(body.feature_info.reduction())
    if reductions != STRIDES:
        raise ConfigError(f"detector.backbone.name: '{name}' has strides {reductions}, needed are {STRIDES}")
    channels_last = str(getattr(body, "output_fmt", "NCHW")).endswith("NHWC")
    return Backbone(body, tuple(body.feature_info.channels()), channels_last=channels_last)


def _fixed_size(name: str) -> bool:
    import timm

    return bool(timm.get_pretrained_cfg(name).fixed_input_size)


def _timm_body(name: str, pretrained: bool, file: str | Path | None) -> Any:
    import timm

    options = {"features_only": True, "in_chans": 1, "out_indices": (-3, -2, -1)}
    options |= {"pretrained": pretrained or file is not None}
    if file is not None:
        options |= {"pretrained_cfg_overlay": {"file": str(file)}}
    if _fixed_size(name):
        try:  # window attention (Swin) that pads its windows takes any size
            return timm.create_model(name, strict_img_size=False, **options)
        except TypeError:
            pass  # the model has no such switch; whether it can do without is seen when images enter
    return timm.create_model(name, **options)


def _check_shape(backbone: Backbone, shape: tuple[int, ...], name: str) -> None:
    """Refuse a network that cannot take images of this shape (B, C, H, W); a copy without memory tries."""
    trial = copy.deepcopy(backbone).to("meta").eval()
    try:
        with torch.no_grad():
            trial(torch.empty(shape, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"detector.backbone.name: '{name}' cannot take images of {shape[-2]} x {shape[-1]} "
            f"pixels ({error}); change preprocess.rows and columns, or take another backbone"
        ) from error


def _unfetched(name: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"ImageNet weights of '{name}' cannot be fetched ({type(error).__name__}); "
        "without internet access set detector.backbone.weights to a .safetensors file, or to 'none'"
    )


def _stage(before: int, after: int) -> nn.Module:
    shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after))
    block: nn.Module = BasicBlock(before, after, stride=2, downsample=shortcut)
    return block
