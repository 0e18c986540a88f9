"""Random changes of training images; boxes follow. NumPy only.

A shift along the columns only moves the breast towards the chest wall at column 0, so that no air opens
between the two. The columns are reversed, where that is wanted at all, after everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from comoto.config import AugmentConfig
from comoto.geometry.boxes import Float64Array, as_boxes, visible_boxes
from comoto.records import FloatArray

ByteImage = NDArray[np.uint8]


@dataclass(frozen=True)
class Change:
    """One drawn change of an image.

    Attributes:
        flip: reverse the rows of the image proper (not of the padding).
        mirror: reverse its columns, last of all; the chest wall is then at the image's last column.
        down, left: whole pixels by which the content moves; ``down`` may be negative, ``left`` not.
        gain, gamma: grey value v in 0..1 becomes ``gain * v ** gamma``, cut at 1.
    """

    flip: bool = False
    mirror: bool = False
    down: int = 0
    left: int = 0
    gain: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if self.left < 0:
            raise ValueError("a shift away from the chest wall would open a gap")

    def place(self, pixels: ByteImage, out: ByteImage) -> None:
        """Write the moved image into a batch, in one pass over its pixels; grey values stay as they are.

        Args:
            pixels: uint8 (h, w), the image proper; may be mapped from a file.
            out: uint8 (rows, columns), all zeros, at least as large; what the image leaves stays zero.
        """
        height, width = pixels.shape
        top, bottom = max(0, -self.down), min(height, out.shape[0] - self.down)
        if bottom <= top or self.left >= width:
            return
        kept = (pixels[::-1] if self.flip else pixels)[top:bottom, self.left :]
        rows = slice(top + self.down, bottom + self.down)
        if self.mirror:
            out[rows, self.left : width] = kept[:, ::-1]
        else:
            out[rows, : width - self.left] = kept

    def lut(self) -> FloatArray:
        """Return what each of the 256 grey values becomes, float32 (256,)."""
        values = np.arange(256) / 255
        return np.asarray(np.minimum(self.gain * values**self.gamma, 1.0), dtype=np.float32)

    def boxes(self, boxes_xyxy: ArrayLike, shape: tuple[int, int]) -> Float64Array:
        """Return the boxes (N, 4) as ``place`` moves them before it reverses the columns; nothing is cut."""
        boxes = as_boxes(boxes_xyxy)
        if self.flip:
            boxes[:, [1, 3]] = shape[0] - boxes[:, [3, 1]]
        return np.asarray(boxes + np.array([-self.left, self.down, -self.left, self.down]))


def draw_change(config: AugmentConfig, shape: tuple[int, int], rng: np.random.Generator) -> Change:
    """Draw a change; gain and gamma are log-uniform, so that brighter and darker are equally likely.

    Args:
        config: ranges.
        shape: (h, w) of the image proper, of which the shift is a share.
        rng: always advanced by the same number of draws.
    """
    flip, down, left, gain, gamma, mirror = rng.random(6)
    reach = [int(config.shift * side) for side in shape]
    return Change(
        flip=bool(flip < config.vertical_flip),
        mirror=bool(mirror < config.horizontal_flip),
        down=int(down * (2 * reach[0] + 1)) - reach[0],
        left=int(left * (reach[1] + 1)),
        gain=float((1 + config.gain) ** (2 * gain - 1)),
        gamma=float((1 + config.gamma) ** (2 * gamma - 1)),
    )


def moved_boxes(
    change: Change, boxes_xyxy: ArrayLike, shape: tuple[int, int], grid: tuple[int, int]
) -> FloatArray:
    """Move boxes with their image and cut them to the grid.

    Args:
        change: what is done to the image.
        boxes_xyxy: (N, 4) on the image.
        shape: (h, w) of the image proper.
        grid: (rows, columns) of the padded image.

    Returns:
        float32 (M, 4); a box of which less than a quarter is left is dropped.
    """
    boxes, _ = visible_boxes(change.boxes(boxes_xyxy, shape), grid)
    if change.mirror:  # after the cut: what left the image at column 0 must not come back at its last column
        boxes[:, [0, 2]] = shape[1] - boxes[:, [2, 0]]
    return boxes.astype(np.float32)
