"""A batch of images as bytes, with what each grey value becomes: a quarter of the size of what it stands for.

Batches travel from the loading processes to the device like this and turn into floating point there. The
values come from a table either way, so where it is done changes no bit.

Shapes: B images, (rows, columns) the padded grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import torch
from torch import Tensor


class GreyBatch(NamedTuple):
    """Images before their grey values are looked up.

    Attributes:
        pixels: uint8 (B, 1, rows, columns).
        tones: float32 (B, 256), what each grey value of an image becomes.
    """

    pixels: Tensor
    tones: Tensor

    def images(self) -> Tensor:
        """Return float32 (B, 1, rows, columns) on the device where the pixels are, laid out channels last."""
        look_up = _on_this_machine if self.pixels.device.type == "cpu" else _on_device
        return look_up(self).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def joined(batches: Sequence[GreyBatch]) -> GreyBatch:
        """Return several batches as one."""
        return GreyBatch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def _on_this_machine(batch: GreyBatch) -> Tensor:
    images = torch.empty(batch.pixels.shape, dtype=torch.float32)
    for pixels, tones, image in zip(batch.pixels, batch.tones, images, strict=True):
        cv2.LUT(pixels[0].numpy(), tones.numpy(), dst=image[0].numpy())  # three times as fast as NumPy's take
    return images


def _on_device(batch: GreyBatch) -> Tensor:
    """Look up one image after the other: indices take four bytes a pixel, which a whole batch need not."""
    images = [
        torch.index_select(tones, 0, pixels.reshape(-1).int()).reshape(pixels.shape)
        for pixels, tones in zip(batch.pixels, batch.tones, strict=True)
    ]
    return torch.stack(images)
