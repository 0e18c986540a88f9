"""From line integrals to stored values: peripheral equalisation, edge enhancement and a window."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
_EQUALISE_MM = 10.0
_COARSE_MM = 1.6
_AIR_POWER = 0.55
_SHARPEN = 0.25
_SHARPEN_MM = 2.5
_AIR = 0.05


@dataclass(frozen=True)
class Tones:
    """How processed values become grey.

    Attributes:
        equalise: how much the thin edge of the breast is lifted.
        darkest, brightest: quantiles of the tissue at the ends of the window.
    """

    equalise: float
    darkest: float
    brightest: float


def tissue_mask(line_integrals: FloatImage) -> NDArray[np.bool_]:
    """Return which pixels of a mammogram lie behind tissue."""
    return np.asarray(cv2.GaussianBlur(line_integrals, (0, 0), 1.0) > _AIR)


def surroundings(image: FloatImage, mask: NDArray[np.bool_], pixel_mm: float) -> FloatImage:
    """Return the mean of ``image`` within 10 mm, partly corrected for the air among it.

    Counting air as tissue of value 0 finds the thin periphery; counting all of it makes the nipple glare.
    """
    tissue = mask.astype(np.float32)
    share = _smooth(tissue, pixel_mm)
    counted = np.maximum(share, np.float32(0.1)) ** np.float32(_AIR_POWER)
    return np.asarray(_smooth(image * tissue, pixel_mm) / counted, np.float32)


def _smooth(image: FloatImage, pixel_mm: float) -> FloatImage:
    """Return ``image`` blurred by 10 mm, computed on a coarse grid."""
    shrink = max(1.0, _COARSE_MM / pixel_mm)
    size = (round(image.shape[1] / shrink), round(image.shape[0] / shrink))
    coarse = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if shrink > 1 else image
    coarse = cv2.GaussianBlur(
        coarse, (0, 0), _EQUALISE_MM / (pixel_mm * shrink), borderType=cv2.BORDER_REFLECT_101
    )
    if shrink > 1:
        coarse = cv2.resize(coarse, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(coarse, np.float32)


def inner_level(blurred: FloatImage, mask: NDArray[np.bool_]) -> float:
    """Return the median of a blurred image over the inner part of the breast."""
    values = blurred[mask]
    if values.size == 0:
        return 0.0
    return float(np.median(values[values > np.quantile(values, 0.4)]))


def equalise(
    image: FloatImage,
    mask: NDArray[np.bool_],
    blurred: FloatImage,
    level: float,
    strength: float,
) -> FloatImage:
    """Lift the thin periphery towards ``level``; air stays 0."""
    lifted = image + np.float32(strength) * np.maximum(np.float32(level) - blurred, 0)
    return np.where(mask, lifted, 0).astype(np.float32)


def present_mammogram(
    line_integrals: FloatImage, pixel_mm: float, strength: float
) -> tuple[FloatImage, NDArray[np.bool_]]:
    """Return the processed mammogram and its tissue mask; ``strength`` is that of ``equalise``."""
    mask = tissue_mask(line_integrals)
    blurred = surroundings(line_integrals, mask, pixel_mm)
    image = equalise(line_integrals, mask, blurred, inner_level(blurred, mask), strength)
    soft = cv2.GaussianBlur(image, (0, 0), _SHARPEN_MM / pixel_mm)
    return image + np.float32(_SHARPEN) * (image - soft) * mask, mask


@dataclass(frozen=True)
class StoredRange:
    """Linear map of processed values to stored integers; air is 0.

    Attributes:
        low, high: processed values at the window's ends.
        stored_low, stored_high: stored values at the window's ends.
        bits: bits stored.
    """

    low: float
    high: float
    stored_low: float
    stored_high: float
    bits: int

    @property
    def window(self) -> tuple[float, float]:
        """(center, width) in stored values."""
        return (self.stored_low + self.stored_high) / 2, self.stored_high - self.stored_low

    def store(self, image: FloatImage, mask: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Return stored values (H, W); tissue is at least 1, air 0."""
        scale = (self.stored_high - self.stored_low) / (self.high - self.low)
        values = np.rint((image - np.float32(self.low)) * np.float32(scale) + np.float32(self.stored_low))
        return np.where(mask, np.clip(values, 1, 2**self.bits - 1), 0).astype(np.uint16)


def stored_range(values: FloatImage, bits: int, tones: Tones, rng: np.random.Generator) -> StoredRange:
    """Choose a map for an image or a volume.

    Args:
        values: processed values of its tissue, at least one.
        bits: bits stored.
        tones: whose quantiles lie at the window's ends.
        rng: decides where in the stored range the window lies, so that a reader needs it.
    """
    low, high = (float(value) for value in np.quantile(values, [tones.darkest, tones.brightest]))
    top = 2.0**bits
    return StoredRange(
        low=low,
        high=max(high, low + 1e-3),
        stored_low=round(top * float(rng.uniform(0.08, 0.20))),
        stored_high=round(top * float(rng.uniform(0.80, 0.92))),
        bits=bits,
    )
