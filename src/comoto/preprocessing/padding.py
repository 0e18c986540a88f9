"""Padding: pixels that a device added around the picture, made black where they would be shown bright.

A file names their value, or a range of values, in Pixel Padding Value and Pixel Padding Range Limit (PS3.3
C.7.5.1.1.2). The Standard wants values there that no real pixel has. Files keep to it or not, so the picture
decides: padding is flat up to its rim, tissue is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.preprocessing.detector_data import DetectorCurve

Image = NDArray[Any]

_EXTREMES = (0.5, 99.5)
"""Percentiles of the other pixels between which their range is taken, so that a few odd ones do not count."""
_JUMP_SHARE = 0.05
_SPREAD_SHARE = 0.1
_SMALLEST_SHARE = 0.001
_VALUES_PER_SIDE = 512


@dataclass(frozen=True)
class Padding:
    """Values that may be padding, and what tells padding from tissue.

    A connected region of such values is padding if it reaches the border of the picture, covers at least
    0.1 % of it, has values within ``spread`` of each other, and is brighter than ``black`` and apart from the
    median of the pixels at its rim, both by at least ``jump``. All others keep their values: tissue that
    happens to have the value (single pixels, regions that are not flat or end gradually, such as overexposed
    ones), letters, and padding as dark as air.

    Attributes:
        low, high: frame values as read, inclusive.
        spread: the largest difference of the frame values of a region.
        black: the grey value, after the curve of detector data, that padding gets.
        jump: the smallest difference of grey values, after the curve.
    """

    low: int
    high: int
    spread: float
    black: int
    jump: float

    def blackened(self, frame: Image, shades: Image) -> Image:
        """Return the grey values of a frame with its padding black.

        Args:
            frame: (H, W) as read.
            shades: (H, W), the same after the curve of detector data; not changed.
        """
        wanted = _within(frame, self.low, self.high)
        if not wanted.any():
            return shades
        _, regions, table, _ = cv2.connectedComponentsWithStats(wanted.astype(np.uint8), connectivity=4)
        result = shades
        for number in _large_at_border(table, frame.shape):
            left, top, width, height, _ = (int(value) for value in table[number])
            part = slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)
            region = regions[part] == number
            if np.ptp(frame[part][region]) <= self.spread and self._is_apart(region, shades[part]):
                result = shades.copy() if result is shades else result
                result[part][region] = self.black
        return result

    def _is_apart(self, region: NDArray[np.bool_], shades: Image) -> bool:
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        rim = cv2.dilate(region.astype(np.uint8), cross).astype(np.bool_) & ~region
        if not rim.any():
            return False
        inside, beside = shades[region], float(np.median(shades[rim]))
        low, high = float(inside.min()), float(inside.max())
        return low >= self.black + self.jump and max(low - beside, beside - high) >= self.jump


def find_padding(
    values: tuple[int, int] | None, frames: Sequence[Image], curve: DetectorCurve | None
) -> tuple[Padding | None, str]:
    """Look for bright padding in a few frames of one image.

    Args:
        values: ``ImageHeader.padding``.
        frames: (H, W) each, as read.
        curve: what is done with detector data before they are shown.

    Returns:
        The padding, None where there is nothing to make black; and a note, empty where there is none.
    """
    if values is None:
        return None, ""
    low, high = values
    shades = [frame if curve is None else curve.values(frame) for frame in frames]
    few = [(thinned(frame), thinned(shown)) for frame, shown in zip(frames, shades, strict=True)]
    others = np.concatenate([shown[~_within(frame, low, high)] for frame, shown in few])
    if not others.size:
        return None, ""
    dark, bright = (float(edge) for edge in np.percentile(others, _EXTREMES))
    span = max(int(frame.max()) for frame in frames) - min(int(frame.min()) for frame in frames)
    jump = max(1.0, _JUMP_SHARE * (bright - dark))
    padding = Padding(low, high, _SPREAD_SHARE * span, round(dark), jump)
    ends = np.array([values], frames[0].dtype)
    if int((ends if curve is None else curve.values(ends)).max()) < padding.black + jump:
        return None, ""  # as dark as air, the usual case
    changed = max(
        float(np.mean(padding.blackened(frame, before) != before))
        for frame, before in zip(frames, shades, strict=True)
    )
    if not changed:
        return None, ""
    return padding, f"bright padding on {changed:.1%} of the picture is made black"


def _within(frame: Image, low: int, high: int) -> NDArray[np.bool_]:
    return np.asarray((frame >= low) & (frame <= high))


def _large_at_border(table: NDArray[Any], shape: tuple[int, ...]) -> list[int]:
    """Return the numbers of the regions that may be padding; region 0 is all that is no region."""
    left, top, width, height, size = table.T
    touches = (left == 0) | (top == 0) | (left + width == shape[1]) | (top + height == shape[0])
    chosen = np.flatnonzero(touches & (size >= _SMALLEST_SHARE * shape[0] * shape[1]))
    return [int(number) for number in chosen if number > 0]


def thinned(image: Image) -> Image:
    """Return every n-th pixel of an image, at least 512 along each side where it has as many."""
    step = max(1, min(image.shape) // _VALUES_PER_SIDE)
    return image[::step, ::step]
