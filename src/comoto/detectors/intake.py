"""From grey pictures on the grid to what the backbone sees: range, channels, normalisation, a second resize.

Letters: B images, C channels, H x W pixels of the grid, N boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.nn.functional import pad as padded
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from comoto.detectors.settings import InnerResizeConfig

Shape = tuple[int, int]

# Mean and spread of the three ImageNet channels, and their averages for networks with one channel
MEAN = {3: [0.485, 0.456, 0.406], 1: [0.449]}
STD = {3: [0.229, 0.224, 0.225], 1: [0.226]}


@dataclass(frozen=True)
class InnerShape:
    """What a picture of the grid has become inside.

    Attributes:
        image: rows and columns of the picture itself.
        padded: rows and columns with the padding at the bottom and on the right.
    """

    image: Shape
    padded: Shape


class Intake:
    """Prepares pictures for a backbone; boxes go in and come out in pixels of the grid."""

    def __init__(
        self, channels: Literal[1, 3], pixel_range: Literal[1, 255], inner_resize: InnerResizeConfig | None
    ) -> None:
        """Keep the settings.

        Args:
            channels: of the backbone's input; a grey picture is repeated.
            pixel_range: largest pixel value before the normalisation, which is meant for 1.
            inner_resize: None resizes nothing.
        """
        self._channels = channels
        self._pixel_range = pixel_range
        self._resizes = inner_resize is not None
        self._inner: dict[Shape, InnerShape] = {}
        sides = inner_resize or InnerResizeConfig()
        # in eval mode for good: in training it would draw its only size from torch's generator
        self._transform = GeneralizedRCNNTransform(
            sides.min_side, sides.max_side, MEAN[channels], STD[channels]
        ).eval()

    def __call__(self, images: Tensor) -> Tensor:
        """Return (B, C, H', W') of images (B, 1, H, W) between 0 and 1."""
        if self._pixel_range != 1:
            images = images * self._pixel_range
        images = images.expand(-1, self._channels, -1, -1)
        normalised: Tensor = self._transform.normalize(images)
        if not self._resizes:
            return normalised
        inner = self.inner_shape((int(images.shape[-2]), int(images.shape[-1])))
        # torchvision resizes and pads picture by picture; a batch at once gives the same bits
        resized = interpolate(normalised, size=inner.image, mode="bilinear", align_corners=False)
        right, below = inner.padded[1] - inner.image[1], inner.padded[0] - inner.image[0]
        return padded(resized, (0, right, 0, below))

    def inner_shape(self, shape: Shape) -> InnerShape:
        """Return what becomes of a picture of the grid with ``shape`` (H, W)."""
        if not self._resizes:
            return InnerShape(shape, shape)
        if shape not in self._inner:
            # torchvision's own rule, without pixels
            blank = torch.empty(self._channels, *shape, device="meta")
            inner = self._transform([blank])[0]
            rows, columns = inner.image_sizes[0]
            padding = (inner.tensors.shape[-2], inner.tensors.shape[-1])
            self._inner[shape] = InnerShape((int(rows), int(columns)), padding)
        return self._inner[shape]

    def boxes_inwards(self, boxes: Tensor, shape: Shape) -> Tensor:
        """Return boxes (N, 4) of the grid with ``shape`` in pixels of the inner picture."""
        return self._resized(boxes, shape, self.inner_shape(shape).image)

    def boxes_outwards(self, boxes: Tensor, shape: Shape) -> Tensor:
        """Return boxes (N, 4) of the inner picture in pixels of the grid with ``shape``."""
        return self._resized(boxes, self.inner_shape(shape).image, shape)

    def _resized(self, boxes: Tensor, old: Shape, new: Shape) -> Tensor:
        if not self._resizes:
            return boxes
        resized: Tensor = resize_boxes(boxes, old, new)
        return resized
