"""Random changes of training images; boxes follow. NumPy only.

The chest wall stays at column 0: rows may be flipped, columns never, and a shift along the columns only
moves the breast towards the chest wall, so that no air opens between the two.
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
        down, left: whole pixels by which the content moves; ``down`` may be negative, ``left`` not.
        gain, gamma: grey value v in 0..1 becomes ``gain * v ** gamma``, cut at 1.
    """

    flip: bool = False
    down: int = 0
    left: int = 0
    gain: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if self.left < 0:
            raise ValueError("a shift away from the chest wall would open a gap")

    def image(self, image: ByteImage, height: int) -> FloatArray:
        """Return the changed image, float32 (rows, columns) in 0..1.

        Args:
            image: padded, uint8 (rows, columns).
            height: rows of the image proper; padding lies below.
        """
        rows, columns = image.shape
        source = image
        if self.flip:
            source = np.concatenate([image[:height][::-1], image[height:]])
        moved = np.zeros_like(source)
        top, bottom = max(0, self.down), min(rows, rows + self.down)
        moved[top:bottom, : columns - self.left] = source[top - self.down : bottom - self.down, self.left :]
        return self.tones()[moved]

    def tones(self) -> FloatArray:
        """Return what each of the 256 grey values becomes, float32 (256,)."""
        values = np.arange(256) / 255
        return np.asarray(np.minimum(self.gain * values**self.gamma, 1.0), dtype=np.float32)

    def boxes(self, boxes_xyxy: ArrayLike, height: int) -> Float64Array:
        """Return the boxes (N, 4) as ``image`` moves them; nothing is cut."""
        boxes = as_boxes(boxes_xyxy)
        if self.flip:
            boxes[:, [1, 3]] = height - boxes[:, [3, 1]]
        return np.asarray(boxes + np.array([-self.left, self.down, -self.left, self.down]))


def draw_change(config: AugmentConfig, shape: tuple[int, int], rng: np.random.Generator) -> Change:
    """Draw a change; gain and gamma are log-uniform, so that brighter and darker are equally likely.

    Args:
        config: ranges.
        shape: (h, w) of the image proper, of which the shift is a share.
        rng: always advanced by the same number of draws.
    """
    flip, down, left, gain, gamma = rng.random(5)
    reach = [int(config.shift * side) for side in shape]
    return Change(
        flip=bool(flip < config.vertical_flip),
        down=int(down * (2 * reach[0] + 1)) - reach[0],
        left=int(left * (reach[1] + 1)),
        gain=float((1 + config.gain) ** (2 * gain - 1)),
        gamma=float((1 + config.gamma) ** (2 * gamma - 1)),
    )


def apply_change(
    change: Change, image: ByteImage, boxes_xyxy: ArrayLike, height: int
) -> tuple[FloatArray, FloatArray]:
    """Change an image and its boxes.

    Args:
        change: what to do.
        image: padded, uint8 (rows, columns).
        boxes_xyxy: (N, 4) on the padded image.
        height: rows of the image proper.

    Returns:
        The image as float32 in 0..1, and the boxes cut to it as float32 (M, 4); a box of which less than a
        quarter is left is dropped.
    """
    moved = change.image(image, height)
    boxes, _ = visible_boxes(change.boxes(boxes_xyxy, height), (image.shape[0], image.shape[1]))
    return moved, boxes.astype(np.float32)
