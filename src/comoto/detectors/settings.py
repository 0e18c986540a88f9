"""The settings of every detector, apart from their code: a typo is told before torch is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from comoto.components import suggest
from comoto.config import ComponentConfig, StrictModel
from comoto.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")

ANCHOR_SIZES = ((32, 40, 51), (64, 81, 102), (128, 161, 203), (256, 323, 406), (512, 645, 813))
"""RetinaNet's own, three sizes on each of p3 to p7."""


class BackboneConfig(StrictModel):
    """Which backbone, and where its weights come from."""

    name: str = "resnet50"
    """``thin``; ``torchvision/resnet50`` (18, 34, 101), as published, with three input channels; or a timm
    model with maps at strides 8, 16, 32 (resnet50, convnext_tiny, swin_tiny_patch4_window7_224, ...)."""
    weights: Literal["none", "imagenet"] | Path = "none"
    """``imagenet`` fetches the weights. A path is a ``.safetensors`` file of this backbone, as torchvision or
    timm publish it, or as saved from one of ours."""


class InnerResizeConfig(StrictModel):
    """torchvision's own resize inside the detector.

    The shorter side becomes ``min_side`` unless the longer one would then exceed ``max_side``; the result is
    padded to a multiple of 32. The published code has it, and 2048 x 1024 pixels become 1333 x 666.
    """

    min_side: Annotated[int, Field(ge=32)] = 800
    """What the shorter side becomes, pixels."""
    max_side: Annotated[int, Field(ge=32)] = 1333
    """What the longer side may become at most, pixels."""


class PyramidConfig(ComponentConfig):
    """From pixels to feature maps; the same for every kind of detector."""

    backbone: BackboneConfig = BackboneConfig()
    neck: Literal["fpn", "none"] = "fpn"
    """``none``: the head sees one map, the backbone's c5 (stride 32), as published."""
    pyramid_channels: Annotated[int, Field(ge=8)] = 256
    """Channels of each level of the pyramid."""
    coarse_levels: bool = True
    """Add p6 and p7 (strides 64 and 128) to the pyramid."""
    pixel_range: Literal[1, 255] = 1
    """255 multiplies the pixels before a normalisation that is meant for 0 to 1, as published."""
    inner_resize: InnerResizeConfig | None = None
    """A resize inside the detector, as published; None leaves the grid as it is."""


class RetinaNetConfig(PyramidConfig):
    """RetinaNet (Lin et al. 2017, arXiv 1708.02002) on the levels p3 to p5, p3 to p7, or on c5 alone.

    The published detector has ``neck: none``, ``classes: 2``, ``anchor_sizes: [[32, 64, 128, 256, 512]]`` and
    torchvision's thresholds (preset ``paper``).
    """

    kind: Literal["retinanet"] = "retinanet"
    classes: Literal[1, 2] = 1
    """2: lesions are label 1, label 0 is never a target and left out of the detections, as published."""
    tower_convolutions: Annotated[int, Field(ge=1, le=4)] = 4
    """Convolutions of each branch of the head."""
    anchor_sizes: tuple[tuple[int, ...], ...] = ANCHOR_SIZES
    """Sides of the square anchors in pixels (after an inner resize), one tuple per level of the head."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width of the anchors."""
    foreground_iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Overlap with a lesion from which an anchor is a positive example."""
    background_iou: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Overlap below which it is a negative one."""
    normaliser: Literal["image", "batch"] = "image"
    """The classification loss of an image is divided by its own number of positive anchors, at least 1
    (torchvision's rule), or by the mean number over the batch, at least 1."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Least score of a detection."""
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Overlap above which detections of a slice compete."""
    max_detections: Annotated[int, Field(ge=1)] = 50
    """Detections kept per slice."""


class FcosConfig(PyramidConfig):
    """FCOS (Tian et al. 2019, arXiv 1904.01355) on the levels p3 to p5, p3 to p7, or on c5 alone.

    A lesion smaller than the finest stride may hold no point, and then teaches nothing.
    """

    kind: Literal["fcos"] = "fcos"
    tower_convolutions: Annotated[int, Field(ge=1, le=4)] = 4
    """Convolutions of each branch of the head."""
    scale_limits: tuple[float, ...] | None = None
    """Distance in pixels from a point to the farthest side of its box at which the next coarser level takes
    over, one number per level but the last: 64 gives p3 the boxes up to about 128 pixels. None is eight
    strides of each level, as published: 64, 128, 256 and 512 with the coarse levels."""
    center_radius: Annotated[float, Field(gt=0)] = 1.5
    """Only points within so many strides of a box's centre belong to it."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Least score of a detection."""
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Overlap above which detections of a slice compete."""
    max_detections: Annotated[int, Field(ge=1)] = 50
    """Detections kept per slice."""


class FasterRcnnConfig(PyramidConfig):
    """Faster R-CNN (Ren et al. 2015, arXiv 1506.01497) on the levels p3 to p5, p3 to p7, or on c5 alone."""

    kind: Literal["faster_rcnn"] = "faster_rcnn"
    anchor_sizes: tuple[tuple[int, ...], ...] = ANCHOR_SIZES
    """Sides of the square anchors in pixels (after an inner resize), one tuple per level of the head."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width of the anchors."""
    foreground_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    """From which an anchor is a positive example of the first stage; the second stage's is 0.5."""
    background_iou: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Below which an anchor is a negative example of the first stage."""
    proposals: Annotated[int, Field(ge=1)] = 1000
    """Of the first stage, per image."""
    proposal_nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Overlap above which proposals compete."""
    sampled_anchors: Annotated[int, Field(ge=2)] = 256
    """Of an image that train the first stage; at most half of them are positive."""
    sampled_proposals: Annotated[int, Field(ge=4)] = 512
    """Of an image that train the second stage; at most a quarter of them are positive."""
    canonical_side: Annotated[int, Field(ge=1)] = 224
    """Side in pixels from which a proposal is read from p4; half of that is read from p3."""
    box_features: Annotated[int, Field(ge=8)] = 1024
    """Width of the second stage's two layers."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Least score of a detection."""
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Overlap above which detections of a slice compete."""
    max_detections: Annotated[int, Field(ge=1)] = 50
    """Detections kept per slice."""


SETTINGS = {"faster_rcnn": FasterRcnnConfig, "fcos": FcosConfig, "retinanet": RetinaNetConfig}
"""By ``kind``; ``comoto.components`` looks here."""


def check_device(word: str) -> None:
    """Refuse what names no device; whether there is a GPU only torch can say.

    Raises:
        ConfigError: the word is unknown.
    """
    if word not in DEVICES:
        raise ConfigError(f"unknown device '{word}'; {suggest(word, DEVICES)}")
