"""From stored values to grey: rescale, lookup tables, windows, which end is bright (PS3.3 C.11, C.7.6.16).

What a file says about its greys comes in four steps: the modality step (rescale or Modality LUT), the values
of interest (window or VOI LUT), the presentation step (Presentation LUT Shape) and the photometric
interpretation. Only the first changes the values of frames, and only where one (slope, intercept) cannot say
it: frames with rescales of their own, and tables. The others decide what is shown bright and which range is
shown:

- Every step that falls (MONOCHROME1, a negative slope, a falling VOI LUT, the shape INVERSE of MONOCHROME2)
  turns black and white round, so an odd number of them makes the picture inverted.
- A VOI LUT becomes the window between the values at which it leaves its darkest and reaches its brightest
  grey.
- A SIGMOID window is taken as its tangent in the middle, the line of the same centre and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from comoto.dicom.attributes import Attributes, number_of, numbers_of, text_of
from comoto.dicom.layout import GreyMap, PixelLayout, common_scale
from comoto.dicom.log_once import warn_once
from comoto.errors import DicomError

Window = tuple[float, float]
_LINEAR = ("", "LINEAR", "LINEAR_EXACT")
_EDGE_SHARE = 0.02
"""A VOI LUT has left its darkest grey, or reached its brightest, at this share of its range."""
_LUT_BITS = range(8, 17)


@dataclass(frozen=True)
class Grey:
    """What the frames of a file are, and how they are shown.

    Attributes:
        rescale: (slope, intercept) of frame values before any inversion.
        window: (centre, width) in rescaled values, None where there is none to trust.
        is_exact: the window runs from centre - width / 2 to centre + width / 2.
        is_inverted: dark and bright are to be exchanged within ``bits``.
        bits: of frame values.
        mapped: what is done with stored values first; None where nothing is.
    """

    rescale: tuple[float, float]
    window: Window | None
    is_exact: bool
    is_inverted: bool
    bits: int
    mapped: GreyMap | None = None


def grey_of(attributes: Attributes, layout: PixelLayout, num_frames: int) -> Grey:
    """Read everything about greys.

    Raises:
        DicomError: a rescale or a table that pixels depend on is no such thing.
    """
    rescale, mapped = _modality(attributes, layout, num_frames)
    values = _frame_values(layout, mapped, rescale)
    window, is_exact = _window(attributes)
    falls = _table_of_interest(attributes, values, window is None)
    if falls is not None:
        window, is_exact, is_falling = falls
    else:
        is_falling = False
    inverting = [
        text_of(attributes.top, "PhotometricInterpretation") == "MONOCHROME1",
        rescale[0] < 0,
        is_falling,
        _has_inverse_shape(attributes),
    ]
    bits = layout.stored if mapped is None else mapped.bits
    return Grey(rescale, window, is_exact, sum(inverting) % 2 == 1, bits, mapped)


def _modality(
    attributes: Attributes, layout: PixelLayout, num_frames: int
) -> tuple[tuple[float, float], GreyMap | None]:
    """Return the rescale of frame values, and what makes them of stored ones."""
    path = attributes.path
    tables = list(attributes.top.get("ModalityLUTSequence") or [])
    if tables:
        first, entries = _lookup_table(path, tables[0], "Modality LUT", layout.is_signed)
        places = np.clip(np.arange(layout.largest + 1) - layout.half - first, 0, len(entries) - 1)
        warn_once("Modality LUT", f"{path}: grey values go through the file's Modality LUT")
        bits = max(1, int(entries.max()).bit_length())
        return (1.0, 0.0), GreyMap(bits, table=entries[places].astype("<u2").tobytes())
    at_top = _rescale(path, attributes.top) or (1.0, 0.0)
    own = [value or at_top for value in attributes.of_frames(lambda group: _rescale(path, group))]
    shared = next((value for group in attributes.shared if (value := _rescale(path, group))), None)
    if shared is None and len(own) == num_frames and len(set(own)) > 1:
        mapped, rescale = common_scale([(s, i - s * layout.half) for s, i in own], layout.largest)
        warn_once(
            "rescales of frames",
            f"{path}: Rescale Slope and Intercept differ between frames; each frame is brought to one scale "
            f"(slope {rescale[0]:g}, intercept {rescale[1]:g})",
        )
        return rescale, mapped
    if shared is not None and own and set(own) != {shared}:
        raise DicomError(
            f"{path}: Rescale Slope and Intercept stand for all frames {shared} and otherwise for single "
            "ones; what the pixels mean cannot be told: export the file again"
        )
    slope, intercept = shared or (own[0] if own else at_top)
    if slope < 0:
        warn_once(
            "negative slope", f"{path}: Rescale Slope {slope:g} turns dark and bright round; this is done"
        )
    return (slope, intercept - slope * layout.half), None


def _rescale(path: Path, group: Dataset) -> tuple[float, float] | None:
    slope, intercept = number_of(path, group, "RescaleSlope"), number_of(path, group, "RescaleIntercept")
    if slope is None or intercept is None:
        return None
    if slope == 0:
        raise DicomError(f"{path}: rescale slope 0 would make every pixel equal; correct the tag")
    return slope, intercept


def _frame_values(
    layout: PixelLayout, mapped: GreyMap | None, rescale: tuple[float, float]
) -> tuple[float, float]:
    """Return the least and the largest rescaled value that a frame can have."""
    largest = layout.largest if mapped is None else (1 << mapped.bits) - 1
    ends = (rescale[1], rescale[0] * largest + rescale[1])
    return min(ends), max(ends)


def _window(attributes: Attributes) -> tuple[Window | None, bool]:
    """Return the window of a file and whether its edges are exact."""
    window = attributes.one_for_all(
        "windows", lambda group: _valid_window(attributes.path, group), middle_window
    )
    function = (attributes.first(lambda group: text_of(group, "VOILUTFunction")) or "").upper()
    if window is not None and function not in _LINEAR:
        named = function if function == "SIGMOID" else "of another name"
        warn_once(
            "VOI LUT",
            f"{attributes.path}: VOI LUT function {named} is taken as a line of the same centre and width",
        )
    return window, function == "LINEAR_EXACT"


def _valid_window(path: Path, group: Dataset) -> Window | None:
    """Return the first window of a data set that has a positive width."""
    centers, widths = numbers_of(group, "WindowCenter"), numbers_of(group, "WindowWidth")
    for center, width in zip(centers, widths, strict=False):
        if center is not None and width is not None and width > 0:
            return center, width
    if centers or widths:
        center, width = (values[0] if values else None for values in (centers, widths))
        said = "no number" if center is None or width is None else f"{center:g}, width {width:g}"
        warn_once(
            "impossible window",
            f"{path}: the window ({said}) is none, a width is a positive number; it is not used",
        )
    return None


def middle_window(windows: Sequence[Window]) -> Window | None:
    """Return the window between the median edges of those of frames or slices.

    None where more than a quarter of them have less than half in common with it: then no window is that of
    the whole image, and its own values have to tell.
    """
    edges = [(center - width / 2, center + width / 2) for center, width in windows]
    low, high = median(low for low, _ in edges), median(high for _, high in edges)
    agreeing = sum(
        min(high, own_high) - max(low, own_low) >= 0.5 * (max(high, own_high) - min(low, own_low))
        for own_low, own_high in edges
    )
    return ((low + high) / 2, high - low) if 4 * agreeing >= 3 * len(windows) and high > low else None


def _table_of_interest(
    attributes: Attributes, values: tuple[float, float], is_wanted: bool
) -> tuple[Window, bool, bool] | None:
    """Return (window, exact edges, falls) of the file's VOI LUT where it decides.

    A window that the file has too is another way to show the same (C.11.2), so it is preferred to a table
    that rises. One that falls says which end is bright, and a window does not.
    """
    items = attributes.first(lambda group: list(group.get("VOILUTSequence") or []) or None)
    if not items:
        return None
    first, entries = _lookup_table(attributes.path, items[0], "VOI LUT", values[0] < 0)
    low, high = int(entries.min()), int(entries.max())
    falls = int(entries[0]) > int(entries[-1])
    rising = (entries[::-1] if falls else entries).astype(np.int64)
    if low == high or int((np.maximum.accumulate(rising) - rising).max()) > 0.1 * (high - low):
        warn_once(
            "VOI LUT shape",
            f"{attributes.path}: its VOI LUT neither rises nor falls from end to end; it is not used",
        )
        return None
    if not (is_wanted or falls):
        return None
    edge = _EDGE_SHARE * (high - low)
    left = int(np.searchsorted(np.maximum.accumulate(rising), low + edge, side="left"))
    right = int(np.searchsorted(np.maximum.accumulate(rising), high - edge, side="left"))
    if falls:
        left, right = len(entries) - 1 - right, len(entries) - 1 - left
    done = "turns dark and bright round; this is done, and it" if falls else "is taken as a window: it"
    warn_once(
        f"VOI LUT {falls}",
        f"{attributes.path}: the file's VOI LUT {done} shows values from {first + left} to {first + right}",
    )
    width = max(right - left, 1)
    return (first + left + width / 2, float(width)), True, falls


def _lookup_table(path: Path, item: Dataset, what: str, is_signed: bool) -> tuple[int, NDArray[np.int64]]:
    """Return the first value that a table maps, and its entries (C.11.1.1 and C.11.2.1.1).

    Raises:
        DicomError: descriptor and data do not fit.
    """
    descriptor = [None if value is None else int(value) for value in numbers_of(item, "LUTDescriptor")]
    data: Any = item.get("LUTData")
    if len(descriptor) != 3 or None in descriptor or data is None:
        raise DicomError(f"{path}: the {what} has no complete descriptor or no data; export the file again")
    count, first, bits = (value or 0 for value in descriptor)
    count = count or 1 << 16
    if is_signed and first >= 1 << 15:  # often given as an unsigned number
        first -= 1 << 16
    entries = _table_entries(data, count)
    if bits not in _LUT_BITS or len(entries) != count:
        raise DicomError(
            f"{path}: the {what} claims {count} entries of {bits} bits and has {len(entries)}; the file is "
            "damaged or was written wrongly: export it again"
        )
    return first, entries


def _table_entries(data: Any, count: int) -> NDArray[np.int64]:
    if isinstance(data, bytes):
        size = 1 if len(data) in (count, count + count % 2) else 2
        values = np.frombuffer(data[: len(data) // size * size], dtype=f"<u{size}")
        return values[:count].astype(np.int64)
    values = np.atleast_1d(np.asarray(data, dtype=np.int64))
    if 2 * len(values) in (count, count + 1):  # two entries of 8 bits in each word
        packed = values.astype("<u2").view(np.uint8)
        return packed[:count].astype(np.int64)
    return np.where(values < 0, values + (1 << 16), values)


def _has_inverse_shape(attributes: Attributes) -> bool:
    """Say whether the shape INVERSE stands where it adds to the photometric interpretation.

    MONOCHROME1 comes with INVERSE, and both say the same once (C.8.11.3.1.2); only with MONOCHROME2 it is
    news.
    """
    shape = (text_of(attributes.top, "PresentationLUTShape") or "").upper()
    if shape != "INVERSE" or text_of(attributes.top, "PhotometricInterpretation") != "MONOCHROME2":
        return False
    warn_once(
        "INVERSE",
        f"{attributes.path}: MONOCHROME2 with Presentation LUT Shape INVERSE; dark and bright are exchanged, "
        "as the shape says",
    )
    return True
