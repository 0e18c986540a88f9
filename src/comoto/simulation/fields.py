"""Random fields with a power law spectrum, the raw material of tissue texture."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray


def power_law_field(
    shape: tuple[int, ...],
    spacing_mm: tuple[float, ...],
    exponent: float,
    rng: np.random.Generator,
    *,
    cuts_per_mm: tuple[float, float | None] = (0.012, None),
    periodic: bool = False,
) -> NDArray[np.float32]:
    """Draw a Gaussian field whose power falls with the frequency f as ``1 / f**exponent``.

    Args:
        shape: samples along each axis.
        spacing_mm: sample distances; stretch one to stretch the texture along that axis.
        exponent: of the power spectrum.
        rng: the source of randomness; the number of draws depends only on ``shape``.
        cuts_per_mm: the frequency below which the power stays constant, and the sigma of a Gaussian that
            damps the amplitude of high frequencies, if any.
        periodic: whether opposite faces fit together.

    Returns:
        float32 of ``shape``, mean 0, standard deviation 1.
    """
    padded = shape
    if not periodic:
        padded = tuple(scipy.fft.next_fast_len(n + max(2, n // 8), real=True) for n in shape)
    squared = np.zeros((1,) * len(padded), np.float32)
    for axis, (samples, spacing) in enumerate(zip(padded, spacing_mm, strict=True)):
        last = axis == len(padded) - 1
        frequency = (np.fft.rfftfreq if last else np.fft.fftfreq)(samples, spacing).astype(np.float32)
        squared = squared + np.expand_dims(
            frequency**2, tuple(other for other in range(len(padded)) if other != axis)
        )
    low_cut_per_mm, high_cut_per_mm = cuts_per_mm
    amplitude = np.maximum(squared, np.float32(low_cut_per_mm**2)) ** np.float32(-exponent / 4)
    if high_cut_per_mm is not None:
        amplitude *= np.exp(squared / np.float32(-2 * high_cut_per_mm**2))
    amplitude.flat[0] = 0.0
    noise = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32)
    spectrum = noise.view(np.complex64)[..., 0]
    spectrum *= amplitude
    field = scipy.fft.irfftn(spectrum, padded, workers=1)[tuple(slice(n) for n in shape)]
    field = np.ascontiguousarray(field, dtype=np.float32)
    field -= field.mean(dtype=np.float64)
    field /= field.std(dtype=np.float64)
    return field
