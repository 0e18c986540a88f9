"""What every detector is: features first, then losses or detections from them.

Letters: B images, C channels, H x W pixels of the grid, h x w cells of a feature map, N boxes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from comoto.config import ComponentConfig

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class LevelSpec:
    """One feature map of a detector.

    Attributes:
        channels: C.
        stride: pixels of the grid per cell, the same along both axes. A whole number, unless the detector
            resizes inside; then W / w, the width ratio that the published code takes for both axes.
    """

    channels: int
    stride: float


LevelSpecs = dict[str, LevelSpec]
"""By the name of the level."""


@dataclass(frozen=True)
class Features:
    """Feature maps of a batch.

    Attributes:
        levels: name -> (B, C, h, w). ``c3`` to ``c5`` come from the backbone, ``p3`` and up from the pyramid.
        image_shape: (H, W) of the images.
    """

    levels: dict[str, Tensor]
    image_shape: tuple[int, int]


@dataclass(frozen=True)
class BoxTensors:
    """What a network finds on one image: tensors, where it computed them; ``Model.detect`` checks them.

    Attributes:
        boxes_xyxy: (N, 4), pixels of the grid.
        scores: (N,), between 0 and 1, highest first.
        focus: (N,), what a focus head reads; None without one.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    focus: Tensor | None = None


@dataclass(frozen=True)
class HeadMaps:
    """What the two towers of a head hold after some of their convolutions.

    Attributes:
        classes: per level of the head (B, C, h, w), of the classification tower.
        boxes: the same of the regression tower.
    """

    classes: list[Tensor]
    boxes: list[Tensor]


@dataclass(frozen=True)
class Answers:
    """What a head says of everything that it is asked about: A anchors, points or proposals of a batch.

    Attributes:
        logits: float32 (A, K) of the classes; their sigmoid is a probability.
        offsets: float32 (A, 4), boxes as the head encodes them.
        proposals: per image (N, 4), what a second stage was asked about; empty where there is none.
    """

    logits: Tensor
    offsets: Tensor
    proposals: list[Tensor] = field(default_factory=list)


class Detector(nn.Module, ABC):
    """Base of the detectors. Features are returned, never caught by hooks.

    A detector is built from its ``Config`` and the shape (H, W) of the grid it will see.
    ``head_depth`` is the number of convolutions of the head's towers; 0: the head cannot be cut.
    """

    Config: ClassVar[type[ComponentConfig]]
    level_specs: LevelSpecs
    head_depth: int = 0

    @abstractmethod
    def features(self, images: Tensor) -> Features:
        """Run backbone and neck, not the head.

        Args:
            images: float (B, 1, H, W), 0 to 1; H and W are multiples of the coarsest stride.
        """

    @abstractmethod
    def losses(self, features: Features, boxes: list[Tensor]) -> dict[str, Tensor]:
        """Return the detection losses as scalars, keys ``detection/...``.

        Args:
            features: what ``features`` returned.
            boxes: per image (N, 4) pixels of the grid; N may be 0: such an image teaches what no lesion is.
        """

    @abstractmethod
    def predict(self, features: Features) -> list[BoxTensors]:
        """Return the detections of each image."""

    def head_outputs(self, features: Features) -> dict[str, Tensor]:
        """Run the whole head: what is left of a prediction has no weights.

        Returns:
            Float32, as ``head_outer`` returns them.

        Raises:
            ValueError: the head is not a plain network on feature maps.
        """
        raise ValueError(f"{type(self).__name__} has no head apart from its proposals")

    def answers(self, features: Features, proposals: list[Tensor] | None = None) -> Answers:
        """Return what the head says, with gradient; two detectors of one kind can be compared by it.

        Args:
            features: what ``features`` returned.
            proposals: what a second stage is asked about; None is what the first one proposes.

        Raises:
            ValueError: the head cannot be asked.
        """
        outputs = self.head_outputs(features)
        return Answers(outputs["cls_logits"].flatten(0, 1), outputs["bbox_regression"].flatten(0, 1))

    def decode(self, outputs: dict[str, Tensor], features: Features) -> list[BoxTensors]:
        """Return the detections of each image from what ``head_outputs`` returned.

        Args:
            outputs: of the head.
            features: only the shapes of the maps that the head sees are read, and where they lie.

        Raises:
            ValueError: the head is not a plain network on feature maps.
        """
        raise ValueError(f"{type(self).__name__} has no head apart from its proposals")

    def head_inner(self, features: Features, layer: int) -> HeadMaps:
        """Return what both towers hold after ``layer`` convolutions, 0 to ``head_depth``.

        Raises:
            ValueError: the head cannot be cut there.
        """
        raise ValueError(f"the head of {type(self).__name__} cannot be cut")

    def head_outer(self, maps: HeadMaps, layer: int) -> dict[str, Tensor]:
        """Run the rest of the head, from after ``layer`` convolutions on.

        Returns:
            Float32: ``cls_logits`` (B, A, K) and ``bbox_regression`` (B, A, 4), where A counts the anchors or
            points of all levels; a detector may add its own.

        Raises:
            ValueError: the head cannot be cut there.
        """
        raise ValueError(f"the head of {type(self).__name__} cannot be cut")
