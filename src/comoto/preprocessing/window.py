"""The grey window: which frame values become black and white.

A window in a DICOM file speaks about rescaled stored values (PS3.3 C.11.2). The reader hands out frames
with MONOCHROME1 inverted and without the rescale, so the file's window is carried over to those values once,
here, and the plan keeps plain frame values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from comoto.errors import DicomError
from comoto.image_header import ImageHeader
from comoto.records import Modality

WindowSource = Literal["file", "percentile", "frame"]

PERCENTILES = (0.5, 99.8)
_SMALLEST_SHARE = 0.05
_INSTEAD = "percentiles of the breast are used"


@dataclass(frozen=True)
class Window:
    """Values that become black and white.

    Attributes:
        low, high: frame values (MONOCHROME1 already inverted, not rescaled), ``low < high``.
        source: where they come from; ``frame``: every frame is rendered from its own minimum to its own
            maximum, and the values here are those of the breast in the frames that were looked at.
        note: why a window that the file has was not taken although it was asked for; empty otherwise.
    """

    low: float
    high: float
    source: WindowSource
    note: str = ""


def file_window(header: ImageHeader, modality: Modality) -> tuple[float, float] | None:
    """Return (low, high) of the file's window in frame values, or None where the file has no usable one.

    Mammograms follow the linear function of PS3.3 C.11.2.1.2, which spans ``c - 0.5`` plus or minus
    ``(w - 1) / 2``. Tomosynthesis follows the reading rule of BCS-DBT, ``c`` plus or minus ``w / 2``, and so
    does every window of which the file says that it is exact.

    Raises:
        DicomError: the rescale slope is 0.
    """
    if header.window is None:
        return None
    center, width = header.window
    slope, intercept = header.rescale
    if slope == 0:
        raise DicomError(f"{header.path}: rescale slope 0; the file cannot be windowed")
    if modality is Modality.MAMMOGRAM and not header.window_is_exact:
        center, width = center - 0.5, width - 1
    if not np.isfinite([center, width]).all() or width <= 0:
        return None
    low, high = sorted((edge - intercept) / slope for edge in (center - width / 2, center + width / 2))
    if header.photometric == "MONOCHROME1":
        top = float(2**header.bits_stored - 1)
        low, high = top - high, top - low
    return low, high


def percentile_window(values: NDArray[Any]) -> tuple[float, float]:
    """Return (low, high) that clip 0.5 % and 0.2 % of the breast's values."""
    low, high = (float(edge) for edge in np.percentile(values, PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)


def frame_window(frame: NDArray[Any]) -> tuple[float, float]:
    """Return (low, high), the least and the largest value of a frame; one grey alone becomes black."""
    low, high = float(frame.min()), float(frame.max())
    return (low, high) if high > low else (low, low + 1.0)


def windowed(frame: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Return a new array of values from 0 to 255: ``low`` and less becomes 0, ``high`` and more 255."""
    grey = np.array(frame, dtype=np.float32, order="C")
    grey -= low
    grey *= 255.0 / (high - low)
    return np.clip(grey, 0, 255, out=grey)


def to_bytes(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return values from 0 to 255 rounded to whole ones."""
    return np.asarray(np.rint(grey), dtype=np.uint8)


def choose_window(
    header: ImageHeader, modality: Modality, prefer: WindowSource, values: NDArray[Any]
) -> Window:
    """Take the file's window if it is wanted, present and plausible, else the percentiles.

    A window is implausible if its overlap with the range of the breast is under 5 % of either: then nearly
    every pixel would be black or white, or all of them the same grey.

    Args:
        header: of the file.
        modality: decides how centre and width are read.
        prefer: ``preprocess.window`` of the configuration.
        values: frame values of the breast, any shape, not empty.
    """
    if prefer == "frame":
        return Window(*frame_window(values), "frame")
    low, high = percentile_window(values)
    if prefer == "percentile":
        return Window(low, high, "percentile")
    stored = file_window(header, modality)
    if stored is None:
        note = "" if header.window is None else f"the file's window {header.window} is empty; {_INSTEAD}"
        return Window(low, high, "percentile", note)
    shared = min(high, stored[1]) - max(low, stored[0])
    if shared < _SMALLEST_SHARE * max(high - low, stored[1] - stored[0]):
        note = (
            f"the file's window covers {stored[0]:.0f} to {stored[1]:.0f}, "
            f"but the breast {low:.0f} to {high:.0f}; {_INSTEAD}"
        )
        return Window(low, high, "percentile", note)
    return Window(stored[0], stored[1], "file")
