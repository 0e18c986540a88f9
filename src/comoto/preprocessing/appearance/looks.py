"""What changes how one plane looks: a filter and grey values for the breast, nothing for the air.

Letters: P pixels along a side of a patch, h x w a plane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.preprocessing.appearance.sample import Appearance
from comoto.preprocessing.appearance.spectra import PATCH, RADIUS, ByteImage, Floats, breast_region

Look = Callable[[ByteImage, np.random.Generator], ByteImage]
"""(plane, what draws for this plane) -> the plane as it is to look, air untouched."""

LARGEST_GAIN = 16.0
"""Of a filter, and the reciprocal of the smallest. A power law's exponent changed by 2 needs 16 at the finest
structure; more would show the steps of the 8-bit grey values."""
_QUADRANT = PATCH // 2 + 1
_COARSE = (RADIUS > 0) & (RADIUS <= 2 / PATCH)
_FROM_EDGE = np.minimum(np.arange(1, PATCH), np.arange(PATCH - 1, 0, -1))
_RAMP = (1 - np.cos(np.pi * np.minimum(_FROM_EDGE * 4 / PATCH, 1))) / 2
_TAPER = np.outer(_RAMP, _RAMP)
"""Flat in the middle, where the kernel is large, so that the gain of coarse structure is not smeared."""
_FINEST_STEP = 8
"""Grey values after a filter are told apart to an eighth."""
_FILL_SIGMA = 8.0  # pixels, in which a filter's window at the skin meets the breast again
_CLAHE_CLIP, _CLAHE_TILES = 2.0, (8, 8)
_RANDOM_SMOOTHNESS = 3.0  # entries of the spectrum within which random gains are alike


@dataclass(frozen=True)
class Matched:
    """A filter, and then the histogram of the slices.

    Attributes:
        gain: (P, P) of every frequency in the order of ``numpy.fft``, real (zero phase) and even in both
            directions; None does without a filter.
        shares: (256,), of grey values in the breast on slices.
    """

    gain: Floats | None
    shares: Floats

    def __call__(self, plane: ByteImage, rng: np.random.Generator) -> ByteImage:
        """Return the plane (h, w) changed inside the breast."""
        region = breast_region(plane)
        if not region.any():
            return plane.copy()
        values = plane[region] if self.gain is None else filtered(plane, region, self.gain)[region]
        out = plane.copy()
        out[region] = with_histogram(values, self.shares)
        return out


@dataclass(frozen=True)
class RandomlyFiltered:
    """The control: another filter for every plane, whose gains are those of a fitted one in random places."""

    gain: Floats
    shares: Floats

    def __call__(self, plane: ByteImage, rng: np.random.Generator) -> ByteImage:
        """Return the plane (h, w) changed inside the breast."""
        return Matched(shuffled_gain(self.gain, rng), self.shares)(plane, rng)


def equalised(plane: ByteImage, rng: np.random.Generator) -> ByteImage:
    """Return the plane with its contrast evened out in tiles (CLAHE); it knows nothing of slices."""
    region = breast_region(plane)
    out = plane.copy()
    out[region] = cv2.createCLAHE(_CLAHE_CLIP, _CLAHE_TILES).apply(plane)[region]
    return out


def fitted_gain(mammograms: Appearance, slices: Appearance) -> Floats:
    """Return the gain (P, P) that gives mammograms the mean amplitude spectrum of slices.

    Its unit is the gain of the coarsest structure, for what follows sets the contrast.
    """
    ratio = _even(slices.powers.mean(axis=0)) / _even(mammograms.powers.mean(axis=0))
    gain = np.sqrt(ratio)
    gain[0, 0] = gain[_COARSE].mean()  # patches have no mean
    gain /= gain[_COARSE].mean()
    return np.asarray(np.clip(gain, 1 / LARGEST_GAIN, LARGEST_GAIN))


def kernel_of(gain: Floats) -> Floats:
    """Return the symmetric kernel (P - 1, P - 1) of a gain; a taper lets it end gently."""
    whole = np.fft.fftshift(np.real(np.fft.ifft2(gain)))
    return np.asarray(whole[1:, 1:] * _TAPER)


def filtered(plane: ByteImage, region: NDArray[np.bool_], gain: Floats) -> NDArray[np.float32]:
    """Return a plane (h, w) filtered as if the breast went on beyond the skin; right inside ``region``."""
    inside = region.astype(np.float32)
    values = plane * inside
    near = cv2.GaussianBlur(inside, (0, 0), _FILL_SIGMA)
    around = cv2.GaussianBlur(values, (0, 0), _FILL_SIGMA) / np.maximum(near, 1e-3)
    filled = np.where(region, values, around)
    return np.asarray(cv2.filter2D(filled, cv2.CV_32F, kernel_of(gain), borderType=cv2.BORDER_REFLECT))


def with_histogram(values: NDArray[np.uint8] | NDArray[np.float32], shares: Floats) -> ByteImage:
    """Return values (N,) moved to other grey values, in their order, so that these have the wanted shares.

    Equal values stay equal: each takes the grey value at the middle of its own shares.
    """
    steps = np.rint(values.astype(np.float64) * _FINEST_STEP).astype(np.int64)
    steps -= steps.min()
    counts = np.bincount(steps)
    ranks = (np.cumsum(counts) - counts / 2) / len(values)
    table = np.searchsorted(np.cumsum(shares), ranks).clip(0, 255).astype(np.uint8)
    return np.asarray(table[steps])


def shuffled_gain(gain: Floats, rng: np.random.Generator) -> Floats:
    """Return a smooth random gain (P, P), even in both directions, that holds the same values as ``gain``."""
    field = cv2.GaussianBlur(
        rng.standard_normal((_QUADRANT, _QUADRANT)), (0, 0), _RANDOM_SMOOTHNESS, borderType=cv2.BORDER_REFLECT
    )
    quadrant = np.empty(_QUADRANT**2)
    quadrant[np.argsort(field, axis=None)] = np.sort(gain[:_QUADRANT, :_QUADRANT], axis=None)
    distance = np.abs(np.rint(np.fft.fftfreq(PATCH) * PATCH)).astype(int)
    return np.asarray(quadrant.reshape(_QUADRANT, _QUADRANT)[np.ix_(distance, distance)])


def _even(power: Floats) -> Floats:
    """Return a spectrum (P, P) that is the same for a mirrored picture."""
    back = -np.arange(PATCH) % PATCH
    return np.asarray((power + power[back] + power[:, back] + power[np.ix_(back, back)]) / 4)
