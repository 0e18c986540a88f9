"""Where the breast is: a mask on a small copy of the image, found without assuming that air is black.

The mask serves three questions of the plan: which air to crop, which side the chest wall is on, and which
pixels the percentile window looks at. It errs on the side of too much: a mask that takes in some air costs
resolution, a mask that loses breast costs lesions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.records import IntArray, Laterality

Image = NDArray[Any]
BoolImage = NDArray[np.bool_]

# No fit of these values to data is on record. What they did to eight real films, and what was tried in their
# place, stands in docs/log.md (2026-11-22, "Real screen-film mammograms go through").
_LONG_SIDE = 256
"""A pixel of the copy is then 0.4 % of the long side, less than the margin that ``bounds`` adds."""
_CORNER_SHARE = 1 / 16
_BLOCK_SHARE = 1 / 8
"""Blocks all over the image, because every corner of a film may hold a label or a light leak: with corners
alone the threshold of two of the eight films lay above the breast's fat."""
_NOISE_STEPS = 6.0
"""Where air is noisy the threshold lies beyond what its noise reaches."""
_CONTRAST_SHARE = 0.04
"""Where air has no noise, values just above it are not yet breast. With 4 % two crops ended before the tip of
an overexposed nipple; 2 % keeps it, and moves 4 of 24 simulated crops by a pixel."""
_FRAME_SHARE = 0.02
"""Bright frames of films are thinner. A breast whose region comes so near to the edge reaches it: what was
left out for the frame is not taken for air."""
_SMALLEST_SHARE = 0.02
"""A smaller region is rather a label, and cropping to it would lose the breast: none is found then."""
_MARGIN_SHARE = 0.01
"""Too much air costs resolution, too little costs lesions."""
_SIDE_RATIO = 2.0
"""A region that touches both edges for about as long says nothing of the side."""


@dataclass(frozen=True)
class BreastRegion:
    """The breast on a small copy of an image.

    Attributes:
        mask: bool (h, w), the largest connected region brighter than air; all false where there is none.
        shape: (rows, columns) of the full image.
    """

    mask: BoolImage
    shape: tuple[int, int]

    @property
    def found(self) -> bool:
        """Whether there is a breast at all."""
        return bool(self.mask.any())

    def bounds(self) -> tuple[int, int, int, int]:
        """Return (top, left, bottom, right) in full pixels, with a margin; everything if none was found."""
        rows, columns = self.shape
        if not self.found:
            return 0, 0, rows, columns
        top, bottom = _extent(np.flatnonzero(self.mask.any(axis=1)), rows / self.mask.shape[0], rows)
        left, right = _extent(np.flatnonzero(self.mask.any(axis=0)), columns / self.mask.shape[1], columns)
        return top, left, bottom, right

    def on(self, shape: tuple[int, int]) -> BoolImage:
        """Return the mask enlarged to ``shape``; everything if no breast was found."""
        if not self.found:
            return np.ones(shape, dtype=np.bool_)
        size = (shape[1], shape[0])
        enlarged = cv2.resize(self.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(enlarged, dtype=np.bool_)

    def side(self) -> Laterality | None:
        """Return the side of the image that the breast leans on; None where neither side clearly wins.

        The breast's contact with an edge is its number of mask rows within 2 % of the edge. Labels and film
        frames are not part of the mask, which a plain column sum would count.
        """
        strip = max(1, round(2 * _FRAME_SHARE * self.mask.shape[1]))
        left = int(self.mask[:, :strip].any(axis=1).sum())
        right = int(self.mask[:, -strip:].any(axis=1).sum())
        if left > _SIDE_RATIO * right:
            return Laterality.LEFT
        if right > _SIDE_RATIO * left:
            return Laterality.RIGHT
        return None


def find_breast(frames: list[Image]) -> BreastRegion:
    """Find the breast on the brightest values of a few frames of one image.

    Air is the darkest and calmest of the four corners and of blocks all over the image: the corners of a
    scanned film may all hold labels or light leaks. Pixels clearly above air (six times its noise and 4 % of
    the image's contrast) are opened, and the largest connected region is kept. Thin frames along the border
    are left out first, so that they do not tie labels to the breast.

    Args:
        frames: (H, W) each, of one shape; air darker than breast.
    """
    small = np.max([small_copy(frame) for frame in frames], axis=0)
    air, noise = _air(small)
    contrast = float(np.percentile(small, 99)) - air
    bright = small > air + max(_NOISE_STEPS * noise, _CONTRAST_SHARE * contrast)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    inside = _without_border(cv2.morphologyEx(bright.astype(np.uint8), cv2.MORPH_OPEN, kernel))
    return BreastRegion(_largest_region(inside), frames[0].shape)


def small_copy(frame: Image) -> NDArray[np.float32]:
    """Return area averages of a frame, its long side at most 256 pixels."""
    rows, columns = frame.shape
    factor = min(1.0, _LONG_SIDE / max(rows, columns))
    size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    reduced = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.float32)


def _air(small: NDArray[np.float32]) -> tuple[float, float]:
    """Return the level and the noise (robust standard deviation) of the block with the lowest threshold."""
    measured = [_level_and_noise(block) for block in _corners(small) + _blocks(small)]
    return min(measured, key=lambda air: air[0] + _NOISE_STEPS * air[1])


def _corners(small: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    rows, columns = (max(2, round(side * _CORNER_SHARE)) for side in small.shape)
    return [
        small[y, x]
        for y in (slice(rows), slice(-rows, None))
        for x in (slice(columns), slice(-columns, None))
    ]


def _blocks(small: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Cut the image into whole blocks; what remains at the bottom and at the right is left out."""
    height, width = small.shape
    rows, columns = (max(2, round(side * _BLOCK_SHARE)) for side in small.shape)
    return [
        small[y : y + rows, x : x + columns]
        for y in range(0, height - rows + 1, rows)
        for x in range(0, width - columns + 1, columns)
    ]


def _level_and_noise(block: NDArray[np.float32]) -> tuple[float, float]:
    level = float(np.median(block))
    return level, 1.4826 * float(np.median(np.abs(block - level)))


def _without_border(mask: NDArray[Any]) -> NDArray[np.uint8]:
    inside = np.array(mask, dtype=np.uint8)
    rows, columns = (max(1, round(side * _FRAME_SHARE)) for side in inside.shape)
    inside[:rows], inside[-rows:], inside[:, :columns], inside[:, -columns:] = 0, 0, 0, 0
    return inside


def _largest_region(mask: NDArray[np.uint8]) -> BoolImage:
    count, regions, table, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, dtype=np.bool_)
    largest = 1 + int(np.argmax(table[1:, cv2.CC_STAT_AREA]))
    if table[largest, cv2.CC_STAT_AREA] < _SMALLEST_SHARE * mask.size:
        return np.zeros(mask.shape, dtype=np.bool_)
    return np.asarray(regions == largest)


def _extent(hits: IntArray, scale: float, full: int) -> tuple[int, int]:
    """Return first and last full pixel (half-open) of a projected mask; near an edge it reaches the edge."""
    margin = scale + _MARGIN_SHARE * full
    first = int(np.floor(hits[0] * scale - margin))
    last = int(np.ceil((hits[-1] + 1) * scale + margin))
    snap = _FRAME_SHARE * full
    return (0 if first <= snap else first), (full if last >= full - snap else last)
