"""Filtered back-projection of limited-angle projections, one slice at a time.

The source moves along the chest wall, so the ramp filter acts along the rows' axis. It keeps a floor at
low frequencies (a pure ramp makes the breast look like an emboss), grows up to a cap and is damped by a Hann
window, as sketched for tomosynthesis by Mertelmeier et al., Proc. SPIE 6142 (2006).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from comoto.simulation.projection import XraySource, backproject

FloatImage = NDArray[np.float32]
_FLOOR = 0.12
_RAMP_UNIT_PER_MM = 0.25
_RAMP_CAP = 4.0
_HANN_END_PER_MM = 2.5
_AIR = 0.05


def filter_projections(projections: NDArray[np.float32], pixel_mm: float) -> NDArray[np.float32]:
    """Return ``projections`` (V, H, W) filtered along H, the direction in which the source moves."""
    rows = projections.shape[1]
    padded = scipy.fft.next_fast_len(2 * rows, real=True)
    frequency = np.fft.rfftfreq(padded, pixel_mm)
    gain = _FLOOR + (1 - _FLOOR) * np.minimum(frequency / _RAMP_UNIT_PER_MM, _RAMP_CAP)
    end = min(_HANN_END_PER_MM, 0.5 / pixel_mm)
    gain *= np.where(frequency < end, 0.5 + 0.5 * np.cos(np.pi * frequency / end), 0.0)
    response = gain.astype(np.float32)[:, None]
    out = np.empty_like(projections)
    for filtered, projection in zip(out, projections, strict=True):
        before = padded // 4 - rows // 4
        wide = np.pad(projection, ((before, padded - rows - before), (0, 0)), mode="edge")
        spectrum = scipy.fft.rfft(wide, axis=0, workers=1) * response
        filtered[:] = scipy.fft.irfft(spectrum, padded, axis=0, workers=1)[before : before + rows]
    return out


class Reconstruction:
    """Slices of a volume on demand.

    Args:
        projections: noisy line integrals (V, H, W).
        sources: of the projections.
        pixel_mm: sample distance of detector and slices.
        filtered: the projections after another filter than ``filter_projections``.
    """

    def __init__(
        self,
        projections: NDArray[np.float32],
        sources: list[XraySource],
        pixel_mm: float,
        filtered: NDArray[np.float32] | None = None,
    ) -> None:
        self._filtered = filter_projections(projections, pixel_mm) if filtered is None else filtered
        self._sources = sources
        self._pixel_mm = pixel_mm
        outer = sorted({0, len(sources) // 2, len(sources) - 1})
        self._shadow_sources = [sources[index] for index in outer]
        self._shadows = [(projections[index] > _AIR).astype(np.float32) for index in outer]

    def slice_at(self, height: float) -> tuple[FloatImage, NDArray[np.bool_]]:
        """Return the slice (H, W) at ``height`` (mm) above the detector, and which pixels are not air.

        A pixel is air if the ray through it meets no tissue in the first, middle or last projection.
        """
        values = backproject(self._filtered, self._sources, height, self._pixel_mm)
        covered = backproject(self._shadows, self._shadow_sources, height, self._pixel_mm)
        return values, covered > 0.99

    def same_geometry(self, filtered: NDArray[np.float32], height: float) -> FloatImage:
        """Return the slice (H, W) at ``height`` of other filtered projections of the same sources."""
        return backproject(filtered, self._sources, height, self._pixel_mm)
