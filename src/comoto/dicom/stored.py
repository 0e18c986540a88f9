"""Stored values of a decoded frame: the bits that carry them, without what else a pixel may hold.

Nothing may be assumed of the bits of a pixel above and below the stored ones (PS3.5 section 8.1.1): old
mammograms hold overlays there, and some exports garbage. But values beyond the stored bits are also what a
header makes of a picture when it states too few bits, and dropping bits would then fold bright tissue to
dark. The picture tells them apart: where only unused bits change from a pixel to its neighbour, the value
goes on smoothly; where a value is folded, it jumps by nearly its whole range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from comoto.dicom.layout import PixelLayout
from comoto.dicom.log_once import warn_once
from comoto.errors import DicomError

_SMOOTH = 1 / 8
"""Largest mean step between neighbours, as a share of the range, that still counts as smooth."""


def stored_values(
    layout: PixelLayout, what: str, values: NDArray[Any], precision: int, overshoots: bool
) -> NDArray[Any]:
    """Return the values that the stored bits hold; signed ones are shifted by half their range.

    Args:
        layout: bits of a pixel.
        what: names the frame, for messages.
        values: (H, W) as decoded.
        precision: bits of a value that the decoder knew of.
        overshoots: leaving out a wavelet's finest resolution may overshoot the range at edges; such values
            are clipped.

    Raises:
        DicomError: values go beyond the stored bits, and the picture needs these bits.
    """
    if layout.unused_below and precision > layout.stored:
        values = _moved_down(layout, what, values)
        precision -= layout.unused_below
    if layout.is_signed:
        values = _sign_extended(values, precision)
    half = layout.half
    if overshoots:
        values = np.clip(np.asarray(values, dtype=np.int32), -half, layout.largest - half)
    elif (worst := _beyond(values, -half, layout.largest)) is not None:
        return _without_unused_bits(layout, what, values, worst)
    if half:  # negative values may come with or without their sign bits above the stored ones
        values = np.asarray(values, dtype=np.int32) + half & layout.largest
    return values


def _moved_down(layout: PixelLayout, what: str, values: NDArray[Any]) -> NDArray[Any]:
    """Drop the bits below the value, unless the file has no value where its High Bit says."""
    wide = np.asarray(values, dtype=np.int64) & ((1 << layout.allocated) - 1)
    if (wide & ((1 << layout.unused_below) - 1)).any() and int(wide.max()) <= layout.largest:
        raise DicomError(
            f"{what}: high bit {layout.high_bit} with {layout.stored} bits stored, but the values lie in the "
            f"lowest {layout.stored} bits; the header is wrong"
        )
    return wide >> layout.unused_below


def _without_unused_bits(layout: PixelLayout, what: str, values: NDArray[Any], worst: int) -> NDArray[Any]:
    wide = np.asarray(values, dtype=np.int32)
    kept = wide + layout.half & layout.largest
    if not _is_smooth(kept, wide + layout.half >> layout.stored, layout.largest):
        raise DicomError(
            f"{what} holds the value {worst}, beyond the {layout.stored} bits that the "
            "header says are stored; the header or the pixels are damaged"
        )
    warn_once(
        "unused bits",
        f"{what} uses bits above the {layout.stored} stored ones for something else, such as an overlay; "
        "they are passed over",
    )
    return kept


def _is_smooth(kept: NDArray[np.int32], above: NDArray[np.int32], largest: int) -> bool:
    """Say whether values go on smoothly between neighbours that differ in the bits above."""
    steps = [np.abs(np.diff(kept, axis=axis))[np.diff(above, axis=axis) != 0] for axis in (0, 1)]
    crossing = np.concatenate(steps)
    return not crossing.size or float(crossing.mean()) <= _SMOOTH * largest


def _beyond(values: NDArray[Any], lowest: int, largest: int) -> int | None:
    """Return a value outside the range, or None; looking through a frame takes time, so once if it can be."""
    if int(values.max()) > largest:
        return int(values.max())
    if values.dtype.kind == "i" and int(values.min()) < lowest:
        return int(values.min())
    return None


def _sign_extended(values: NDArray[Any], precision: int) -> NDArray[np.int32]:
    """Read two's complement numbers of so many bits; decoders of JPEG hand them out as if unsigned."""
    wide = np.asarray(values, dtype=np.int32)
    return np.where(wide >= 1 << (precision - 1), wide - (1 << precision), wide)
