"""Systems: three of tomosynthesis and two of mammography, each with its own geometry, filter and window.

None copies a product. The tomosynthesis systems span the angles on the market; filter, noise and window are
chosen so that the spectra come near to those of real slices (``benchmarks/exam_spectra.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from comoto.simulation.presentation import Tones

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class TomosynthesisStyle:
    """A tomosynthesis system.

    Attributes:
        angle_deg: half the sweep.
        num_views: projections.
        slice_factor: distance of the slices relative to ``grid.slice_mm``.
        floor, ramp_per_mm, cap: the filter's gain along the sweep is ``floor`` at frequency 0, grows by 1 a
            ``ramp_per_mm`` and stops at ``cap``.
        across: the same gain, damped to this share, across the sweep; real reconstructions end sharp in both.
        end_per_mm: frequency at which the Hann window is 0, in both directions.
        quanta_per_mm2: counts in air, shared by all projections.
        tones: how slices become grey.
    """

    angle_deg: float
    num_views: int
    slice_factor: float
    floor: float
    ramp_per_mm: float
    cap: float
    across: float
    end_per_mm: float
    quanta_per_mm2: float
    tones: Tones


TOMOSYNTHESIS: dict[str, TomosynthesisStyle] = {
    "narrow": TomosynthesisStyle(7.5, 15, 1.0, 0.12, 0.24, 4.0, 0.40, 3.0, 1.5e6, Tones(0.85, 0.02, 0.997)),
    "medium": TomosynthesisStyle(12.5, 9, 0.8, 0.19, 0.25, 2.8, 0.12, 2.6, 3.0e6, Tones(0.65, 0.05, 0.998)),
    "wide": TomosynthesisStyle(25.0, 25, 1.25, 0.13, 0.20, 3.6, 0.30, 2.2, 3.0e6, Tones(0.95, 0.01, 0.994)),
}


@dataclass(frozen=True)
class MammographyStyle:
    """A look of mammograms.

    Attributes:
        quanta_per_mm2: counts in air.
        blur_mm: sigma of the detector's blur.
        sharpen: (sigma in mm, weight) of each unsharp mask.
        gamma: exponent of the curve from processed to shown values within the window.
        tones: how mammograms become grey before that curve.
    """

    quanta_per_mm2: float
    blur_mm: float
    sharpen: tuple[tuple[float, float], ...]
    gamma: float
    tones: Tones


MAMMOGRAPHY: dict[str, MammographyStyle] = {
    "plain": MammographyStyle(4.0e6, 0.22, ((2.5, 0.35), (0.6, 0.5)), 1.0, Tones(0.80, 0.05, 0.997)),
    "crisp": MammographyStyle(2.5e6, 0.17, ((4.0, 0.8), (0.8, 0.9)), 1.25, Tones(0.95, 0.02, 0.999)),
}


def filter_sweep(projections: NDArray[np.float32], pixel_mm: float, style: TomosynthesisStyle) -> FloatImage:
    """Return ``projections`` (V, H, W) filtered along the sweep (H) and, more weakly, across it."""
    gains = (
        _gain(projections.shape[1], pixel_mm, style, 1.0),
        _gain(projections.shape[2], pixel_mm, style, style.across),
    )
    out = np.empty_like(projections)
    for filtered, projection in zip(out, projections, strict=True):
        filtered[:] = _along(_along(projection, *gains[0], axis=0), *gains[1], axis=1)
    return out


def _gain(samples: int, pixel_mm: float, style: TomosynthesisStyle, share: float) -> tuple[int, FloatImage]:
    """Return the padded length and the gain at its frequencies; across the sweep the mean is kept."""
    padded = scipy.fft.next_fast_len(samples + samples // 2, real=True)
    frequency = np.fft.rfftfreq(padded, pixel_mm)
    ramp = style.floor + (1 - style.floor) * np.minimum(frequency / style.ramp_per_mm, style.cap)
    gain = ramp if share == 1.0 else 1 + share * np.maximum(ramp - 1, 0)
    end = min(style.end_per_mm, 0.7 / pixel_mm)
    gain = gain * np.where(frequency < end, 0.5 + 0.5 * np.cos(np.pi * frequency / end), 0.0)
    return padded, gain.astype(np.float32)


def _along(image: FloatImage, padded: int, gain: FloatImage, *, axis: int) -> FloatImage:
    samples = image.shape[axis]
    before = (padded - samples) // 2
    margins = [(0, 0), (0, 0)]
    margins[axis] = (before, padded - samples - before)
    wide = np.pad(image, margins, mode="edge")
    spectrum = scipy.fft.rfft(wide, axis=axis, workers=1) * (gain[:, None] if axis == 0 else gain)
    back = scipy.fft.irfft(spectrum, padded, axis=axis, workers=1)
    return np.asarray(np.take(back, np.arange(before, before + samples), axis=axis), np.float32)


def sharpen(
    image: FloatImage, mask: NDArray[np.bool_], pixel_mm: float, style: MammographyStyle
) -> FloatImage:
    """Return a mammogram with the style's unsharp masks added inside the breast."""
    result = image.copy()
    for sigma, weight in style.sharpen:
        soft = cv2.GaussianBlur(image, (0, 0), sigma / pixel_mm)
        result += np.float32(weight) * (image - soft) * mask
    return result
