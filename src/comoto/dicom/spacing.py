"""How large a pixel is in the breast, and how far slices lie apart.

No pixel depends on it, so what is no spacing is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from pydicom.dataset import Dataset

from comoto.dicom.attributes import Attributes, numbers_of
from comoto.dicom.frame_order import frame_places
from comoto.dicom.log_once import warn_once
from comoto.dicom.tags import quoted

Spacing = tuple[float, float]


def spacing_of(attributes: Attributes) -> Spacing | None:
    """Return (row, column) distance of pixels in mm, None where the file does not say it.

    Pixel Spacing is measured in the breast, or in a slice. Imager Pixel Spacing is that of the detector
    (PS3.3 C.8.4.9): where Estimated Radiographic Magnification Factor is given, the breast's is smaller by
    it.
    """
    spacing = _read(attributes, "PixelSpacing")
    if spacing is not None:
        return spacing
    spacing = _read(attributes, "ImagerPixelSpacing")
    factors = numbers_of(attributes.top, "EstimatedRadiographicMagnificationFactor")
    factor = factors[0] if factors and factors[0] and factors[0] >= 1 else 1.0
    return None if spacing is None else (spacing[0] / factor, spacing[1] / factor)


def slice_distance_of(attributes: Attributes) -> float | None:
    """Return the distance of neighbouring slices in mm, None where the file does not say it.

    Spacing Between Slices says it (PS3.3 C.7.6.16.2.1), else the places of the frames; else Slice Thickness
    is taken, which is the distance where slices touch each other, as those of tomosynthesis do.
    """
    between = _positive(attributes, "SpacingBetweenSlices")
    if between is not None:
        return between
    places = sorted(set(frame_places(attributes) or ()))
    return float(np.median(np.diff(places))) if len(places) > 1 else _positive(attributes, "SliceThickness")


def _positive(attributes: Attributes, keyword: str) -> float | None:
    def read(group: Dataset) -> float | None:
        values = numbers_of(group, keyword)
        value = values[0] if len(values) == 1 else None
        return value if value is not None and value > 0 else None

    return attributes.one_for_all(keyword, read, lambda values: float(median(values)))


def _read(attributes: Attributes, keyword: str) -> Spacing | None:
    def read(group: Dataset) -> Spacing | None:
        values = numbers_of(group, keyword)
        if not values:
            return None
        if len(values) != 2 or any(value is None or value <= 0 for value in values):
            warn_once(
                keyword,
                f"{attributes.path}: {keyword} is {_said(values)}, two positive numbers were expected; sizes "
                "in mm are not known",
            )
            return None
        return float(values[0] or 0), float(values[1] or 0)

    return attributes.one_for_all(keyword, read, _median)


def _said(values: Sequence[float | None]) -> str:
    return quoted(", ".join("text" if value is None else f"{value:g}" for value in values))


def _median(spacings: Sequence[Spacing]) -> Spacing:
    return median(row for row, _ in spacings), median(column for _, column in spacings)
