"""Power spectra of 8-bit pictures inside the breast, and the figures that are read from them.

Letters: P pixels along a side of a patch, h x w a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ByteImage = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

PATCH = 32
PATCHES = 40
"""Of a picture."""
_FEWEST = 1 / 250
"""Of all places in a picture, where a patch lies inside the breast; with fewer they are nearly one patch."""
_INSIDE = 0.95  # of a patch
_CLOSING = np.ones((7, 7), np.uint8)
_TAPER = np.outer(np.hanning(PATCH), np.hanning(PATCH))
_Y = np.abs(np.fft.fftfreq(PATCH))[:, None]
_X = np.abs(np.fft.fftfreq(PATCH))[None, :]
RADIUS = np.hypot(_Y, _X)
"""Cycles a pixel of every entry of a spectrum (P, P), in the order of ``numpy.fft``."""
_EDGES = np.arange(1.0, 15.0) / PATCH
_MIDDLE = (_EDGES[:-1] + _EDGES[1:]) / 2
_RINGS = np.array([((a <= RADIUS) & (b > RADIUS)).ravel() for a, b in pairwise(_EDGES)], dtype=float)
_RINGS /= _RINGS.sum(axis=1, keepdims=True)
_ALONG, _ACROSS = (_Y > 0.06) & (_X < 0.04), (_X > 0.06) & (_Y < 0.04)


@dataclass(frozen=True)
class Spectrum:
    """What is read from a power spectrum.

    Attributes:
        exponent: of the power law below 0.2 cycles a pixel; larger is smoother.
        fine_exponent: the same above 0.2.
        fine_share: of the variance, above 0.15 cycles a pixel.
        y_over_x: energy along the chest wall over across it.
    """

    exponent: float
    fine_exponent: float
    fine_share: float
    y_over_x: float


def breast_region(picture: ByteImage) -> Mask:
    """Return the largest bright region (h, w) of a picture, its dark holes included.

    What is left is air, letters in it, and black that reaches the air: nothing of that is ever changed.
    """
    outline = _largest(cv2.morphologyEx(_bright(picture), cv2.MORPH_CLOSE, _CLOSING))
    contours, _ = cv2.findContours(outline.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(picture.shape, np.uint8), contours, -1, 1, cv2.FILLED) > 0
    dark = (picture == 0) | ~filled
    _, labels = cv2.connectedComponents(dark.astype(np.uint8), connectivity=4)
    return np.asarray(~np.isin(labels, np.unique(labels[~filled])))


def breast_inside(picture: ByteImage) -> Mask:
    """Return the largest bright region (h, w) of a picture without its edge, where patches are taken."""
    return _largest(cv2.erode(cv2.morphologyEx(_bright(picture), cv2.MORPH_CLOSE, _CLOSING), _CLOSING))


def patch_power(picture: ByteImage, rng: np.random.Generator) -> Floats | None:
    """Return the mean power (P, P) of patches inside the breast, of grey values over the breast's spread.

    Args:
        picture: uint8 (h, w), air dark.
        rng: draws the places.

    Returns:
        In the order of ``numpy.fft``; None where hardly a patch fits, or all grey values are the same.
    """
    mask = breast_inside(picture)
    fits = _fits(mask)
    spread = float(picture[mask].std()) if mask.any() else 0.0
    if not fits.size or fits.mean() < _FEWEST or spread == 0:
        return None
    places = np.argwhere(fits)
    chosen = places[rng.choice(len(places), PATCHES, replace=len(places) < PATCHES)]
    patches = np.array([picture[y : y + PATCH, x : x + PATCH] for y, x in chosen], dtype=np.float64)
    patches = (patches - patches.mean(axis=(1, 2), keepdims=True)) / spread
    return np.asarray(np.mean(np.abs(np.fft.fft2(patches * _TAPER)) ** 2, axis=0))


def read_spectrum(power: Floats) -> Spectrum:
    """Return the figures of a mean power (P, P)."""
    return Spectrum(*read_spectra(power[None])[0].tolist())


def read_spectra(powers: Floats) -> Floats:
    """Return the figures (N, 4), in the order of ``Spectrum``, of powers (N, P, P)."""
    rings = powers.reshape(len(powers), -1) @ _RINGS.T  # (N, rings)
    variance = rings * _MIDDLE
    columns = [
        _slopes(rings, _MIDDLE < 0.2),
        _slopes(rings, _MIDDLE > 0.2),
        variance[:, _MIDDLE > 0.15].sum(axis=1) / variance.sum(axis=1),
        powers[:, _ALONG].mean(axis=1) / powers[:, _ACROSS].mean(axis=1),
    ]
    return np.stack(columns, axis=1)


def _slopes(rings: Floats, chosen: Mask) -> Floats:
    return np.asarray(-np.polyfit(np.log(_MIDDLE[chosen]), np.log(rings[:, chosen]).T, 1)[0])


def _bright(picture: ByteImage) -> ByteImage:
    return (picture > max(8.0, 0.06 * float(np.percentile(picture, 99)))).astype(np.uint8)


def _largest(mask: NDArray[Any]) -> Mask:
    count, labels, areas, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return np.zeros(mask.shape, bool)
    return np.asarray(labels == 1 + int(np.argmax(areas[1:, cv2.CC_STAT_AREA])))


def _fits(mask: Mask) -> Mask:
    """Say of each upper left corner whether a patch there lies inside a mask for the greater part."""
    if min(mask.shape) < PATCH:
        return np.zeros((0, 0), bool)
    sums = cv2.integral(mask.astype(np.uint8))
    inside = sums[PATCH:, PATCH:] - sums[:-PATCH, PATCH:] - sums[PATCH:, :-PATCH] + sums[:-PATCH, :-PATCH]
    return np.asarray(inside > _INSIDE * PATCH**2)
