"""Cone-beam projection of a stack of planes, and the detector's noise.

Frame of reference: ``x`` in mm from the chest wall (column 0), ``y`` in mm along the chest wall from the
first row, ``height`` in mm above the detector. Sample ``i`` of a grid lies at ``(i + 0.5) * pixel_mm``.
Every plane is parallel to the detector, so the projection of a plane is a shift and a magnification.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

SOURCE_TO_DETECTOR_MM = 650.0
DETECTOR_GAP_MM = 15.0
"""Between the lower face of the breast and the detector."""
_BILINEAR = cv2.INTER_LINEAR
_INVERSE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True)
class XraySource:
    """Position of the X-ray source in mm; ``height`` above the detector."""

    x: float
    y: float
    height: float

    def magnification(self, height: float) -> float:
        """Return the enlargement of a plane at ``height`` on the detector."""
        return self.height / (self.height - height)

    def onto_detector(self, x: float, y: float, height: float) -> tuple[float, float]:
        """Return where the ray through a point (mm) meets the detector (mm)."""
        factor = self.magnification(height)
        return self.x + (x - self.x) * factor, self.y + (y - self.y) * factor


def mammography_source(rows: int, pixel_mm: float) -> XraySource:
    """Return the source above the chest-wall edge, half way along it."""
    return XraySource(0.0, rows * pixel_mm / 2, SOURCE_TO_DETECTOR_MM)


def tomosynthesis_sources(rows: int, pixel_mm: float, angle_deg: float, num_views: int) -> list[XraySource]:
    """Return ``num_views`` sources on an arc of +-``angle_deg`` along the chest wall."""
    angles = np.radians(np.linspace(-angle_deg, angle_deg, num_views))
    middle = rows * pixel_mm / 2
    return [
        XraySource(0.0, middle + SOURCE_TO_DETECTOR_MM * math.sin(a), SOURCE_TO_DETECTOR_MM * math.cos(a))
        for a in angles
    ]


def _plane_to_detector(source: XraySource, height: float, pixel_mm: float) -> NDArray[np.float64]:
    """Return the (2, 3) affine map of pixel indices of a plane at ``height`` to those of the detector."""
    factor = source.magnification(height)
    shift_x = ((1 - factor) * source.x + 0.5 * (factor - 1) * pixel_mm) / pixel_mm
    shift_y = ((1 - factor) * source.y + 0.5 * (factor - 1) * pixel_mm) / pixel_mm
    return np.array([[factor, 0.0, shift_x], [0.0, factor, shift_y]])


class LineIntegrals:
    """Sums attenuation along the rays of several sources while planes arrive one at a time.

    Args:
        sources: where the rays start.
        shape: (rows, columns) of planes and detector.
        pixel_mm: sample distance of planes and detector.
    """

    def __init__(self, sources: list[XraySource], shape: tuple[int, int], pixel_mm: float) -> None:
        self.sources = sources
        self.shape = shape
        self.pixel_mm = pixel_mm
        self._sums = np.zeros((len(sources), *shape), np.float32)

    def add(self, attenuation: FloatImage, height: float, thickness_mm: float) -> None:
        """Add a plane of linear attenuation coefficients (1/mm), ``thickness_mm`` thick, at ``height``."""
        size = (self.shape[1], self.shape[0])
        for total, source in zip(self._sums, self.sources, strict=True):
            matrix = _plane_to_detector(source, height, self.pixel_mm)
            # A breast goes on where the field cuts it; otherwise the cut would cast a shadow.
            warped = cv2.warpAffine(
                attenuation, matrix, size, flags=_BILINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            cv2.scaleAdd(warped, thickness_mm, total, dst=total)

    def images(self) -> NDArray[np.float32]:
        """Return the line integrals (sources, rows, columns): sums times the slant of each ray."""
        for total, source in zip(self._sums, self.sources, strict=True):
            total *= slant(source, self.shape, self.pixel_mm)
        return self._sums


def slant(source: XraySource, shape: tuple[int, int], pixel_mm: float) -> FloatImage:
    """Return 1 / cos of the angle between each detector pixel's ray and the detector's normal."""
    x = (np.arange(shape[1]) + 0.5) * pixel_mm - source.x
    y = (np.arange(shape[0]) + 0.5) * pixel_mm - source.y
    squared = (x[None, :] ** 2 + y[:, None] ** 2) / source.height**2
    return np.sqrt(1 + squared).astype(np.float32)


def detect(line_integrals: FloatImage, quanta: float, blur_px: float, rng: np.random.Generator) -> FloatImage:
    """Return noisy line integrals as a counting detector measures them.

    Counts are Poisson with mean ``quanta * exp(-line integral)``, drawn from the normal approximation: the
    mean is a hundred or more even in one projection of many on the finest grid.

    Args:
        line_integrals: (H, W).
        quanta: counts of a pixel in air.
        blur_px: sigma of the detector's blur.
        rng: the noise.
    """
    counts = np.exp(-line_integrals) * np.float32(quanta)
    if blur_px > 0:
        counts = cv2.GaussianBlur(counts, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE)
    counts += np.sqrt(counts) * rng.standard_normal(counts.shape, dtype=np.float32)
    return -np.log(np.maximum(counts, 1.0) / np.float32(quanta))


def backproject(
    filtered: Iterable[FloatImage], sources: list[XraySource], height: float, pixel_mm: float
) -> FloatImage:
    """Return the slice at ``height``: the mean of the filtered projections along the rays through it."""
    total: FloatImage | None = None
    for image, source in zip(filtered, sources, strict=True):
        matrix = _plane_to_detector(source, height, pixel_mm)
        rows, columns = image.shape
        warped = cv2.warpAffine(
            image, matrix, (columns, rows), flags=_INVERSE, borderMode=cv2.BORDER_REPLICATE
        )
        total = warped if total is None else cv2.add(total, warped)
    if total is None:
        raise ValueError("no projection to reconstruct from")
    return total / np.float32(len(sources))
