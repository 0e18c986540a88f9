"""The header of a DICOM image: read without pixels, checked before anything is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom.dataset import Dataset

from comoto.dicom.attributes import Attributes, integer_of, text_of, uid_of
from comoto.dicom.frame_order import frame_order
from comoto.dicom.grey import Grey, grey_of
from comoto.dicom.layout import GreyMap, PixelLayout
from comoto.dicom.orientation import anatomical_directions
from comoto.dicom.raw_length import check_raw_length
from comoto.dicom.spacing import slice_distance_of, spacing_of
from comoto.dicom.syntaxes import ACCEPTED, Codec, TransferSyntax
from comoto.dicom.tags import (
    CAUSES_OF_DAMAGE,
    one_error,
    open_dicom,
    read_dataset,
    transfer_syntax_uid,
    unsupported,
)
from comoto.dicom.views import modifiers_of, view_of
from comoto.errors import DicomError
from comoto.image_header import ImageHeader

MAX_SIDE = 8192
"""Largest number of rows or columns; the largest mammography detectors have about 6,000."""
MAX_FRAMES = 2000
MAX_PIXELS = 10**10
"""Largest rows x columns x frames."""

_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF
_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "VOILUTSequence", "PresentationLUTShape"),
    *("ImageLaterality", "FrameLaterality", "Laterality", "ViewPosition", "ViewCodeSequence"),
    *("PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor"),
    *("SpacingBetweenSlices", "SliceThickness"),
    *("PatientOrientation", "ImageOrientationPatient"),
    "PresentationIntentType",
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read; names and dates of patients are passed over."""
_FOR_PROCESSING = ("1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.1.1.1")
"""Classes of mammograms and of X-ray images whose values no vendor has processed yet (PS3.4, table B.5-1)."""


@dataclass(frozen=True)
class PixelElement:
    """Where the value of Pixel Data begins in the file, and its length in bytes (None: fragments)."""

    offset: int
    length: int | None


@dataclass(frozen=True, kw_only=True)
class DicomHeader(ImageHeader):
    """What a DICOM file says about its pixels, checked; see ``ImageHeader``.

    The window is the first of several that can be one; shared, then per-frame, then top-level attribute. The
    spacing is that of Pixel Spacing, else of Imager Pixel Spacing over the magnification, if that is known.

    Attributes:
        sop_class_uid: empty where the file does not say (VinDr-Mammo removes it).
        transfer_syntax_uid: one of ``comoto.dicom.syntaxes.ACCEPTED``.
        layout: bits of a pixel in the file. Signed values are shifted by half the range of the stored bits,
            so that frames start at 0; ``rescale`` is that of the shifted values.
        mapped: what is done with stored values before they are frames; None where nothing is.
        frame_order: number in the file of each slice, None where the file is in order.
        pixels: where Pixel Data lies.
    """

    sop_class_uid: str
    transfer_syntax_uid: str
    layout: PixelLayout
    pixels: PixelElement
    mapped: GreyMap | None = None
    frame_order: tuple[int, ...] | None = None

    @property
    def syntax(self) -> TransferSyntax:
        """Meaning of ``transfer_syntax_uid``."""
        return ACCEPTED[self.transfer_syntax_uid]

    @property
    def bytes_per_pixel(self) -> int:
        """1 or 2, in the file."""
        return self.layout.allocated // 8

    @property
    def bytes_per_frame(self) -> int:
        """Of an uncompressed one."""
        return self.rows * self.columns * self.bytes_per_pixel

    @property
    def stored_type(self) -> np.dtype[Any]:
        """Of uncompressed pixels in the file, their sign aside."""
        return np.dtype(f"{'<' if self.syntax.little_endian else '>'}u{self.bytes_per_pixel}")


def read_header(path: Path | str) -> DicomHeader:
    """Read and check everything that needs no pixels.

    Args:
        path: a DICOM file with its preamble; the file name does not matter.

    Raises:
        DicomError: not a DICOM file, damaged, or not a kind of image that this package reads.
    """
    path = Path(path)
    with one_error(path):
        return _checked_header(path)


def _checked_header(path: Path) -> DicomHeader:
    with open_dicom(path) as file:
        syntax = _transfer_syntax(path, file)
        dataset = read_dataset(path, file, _KEYWORDS)
        pixels = _pixel_element(path, file, syntax, implicit=bool(dataset.original_encoding[0]))
    attributes = Attributes(path, dataset)
    layout = _layout(path, dataset, syntax)
    num_frames = integer_of(path, dataset, "NumberOfFrames", default=1)
    grey = grey_of(attributes, layout, num_frames)
    header = DicomHeader(
        path=path,
        layout=layout,
        sop_class_uid=uid_of(dataset, "SOPClassUID"),
        transfer_syntax_uid=syntax.uid,
        rows=integer_of(path, dataset, "Rows"),
        columns=integer_of(path, dataset, "Columns"),
        num_frames=num_frames,
        bits_allocated=layout.allocated if grey.mapped is None else 16,
        bits_stored=grey.bits,
        photometric="MONOCHROME1" if grey.is_inverted else "MONOCHROME2",
        window=grey.window,
        window_is_exact=grey.is_exact,
        rescale=grey.rescale,
        mapped=grey.mapped,
        laterality_tag=_first_text(attributes, "ImageLaterality", "FrameLaterality", "Laterality"),
        view_position=view_of(attributes),
        view_modifiers=modifiers_of(attributes),
        patient_id=text_of(dataset, "PatientID") or "",
        study_instance_uid=uid_of(dataset, "StudyInstanceUID"),
        series_instance_uid=uid_of(dataset, "SeriesInstanceUID"),
        sop_instance_uid=uid_of(dataset, "SOPInstanceUID"),
        spacing_mm=spacing_of(attributes),
        slice_mm=slice_distance_of(attributes),
        directions=anatomical_directions(attributes.all),
        for_processing=_is_for_processing(dataset),
        padding=_padding(path, dataset, layout, grey),
        frame_order=frame_order(attributes, num_frames),
        pixels=pixels,
    )
    _check_size(header, dataset)
    return header


def _transfer_syntax(path: Path, file: BinaryIO) -> TransferSyntax:
    """Read the file's meta information alone: a deflated file is refused before it is inflated."""
    uid = transfer_syntax_uid(path, file)
    if uid not in ACCEPTED:
        raise unsupported(path, uid)
    return ACCEPTED[uid]


def _pixel_element(path: Path, file: BinaryIO, syntax: TransferSyntax, *, implicit: bool) -> PixelElement:
    """Parse the element header at which pydicom stopped (PS3.5 section 7.1)."""
    order = "<" if syntax.little_endian else ">"
    beginning = file.read(8 if implicit else 12)
    if len(beginning) < (8 if implicit else 12):
        raise DicomError(f"{path}: no pixel data; {CAUSES_OF_DAMAGE}")
    group, element = struct.unpack_from(f"{order}HH", beginning)
    if group << 16 | element != _PIXEL_DATA:
        raise DicomError(
            f"{path}: no pixel data, tag {group:04x},{element:04x} stands in its place; {CAUSES_OF_DAMAGE}"
        )
    (length,) = struct.unpack_from(f"{order}I", beginning, 4 if implicit else 8)
    if syntax.encapsulated != (length == _UNDEFINED_LENGTH):
        raise DicomError(
            f"{path}: transfer syntax {syntax.uid} ({syntax.codec.value}) does not fit the pixel data, which "
            f"{'are in fragments' if length == _UNDEFINED_LENGTH else f'claim {length} bytes in one piece'}; "
            "the file is mislabelled or damaged"
        )
    return PixelElement(file.tell(), None if length == _UNDEFINED_LENGTH else length)


def _layout(path: Path, dataset: Dataset, syntax: TransferSyntax) -> PixelLayout:
    """Refuse pixel layouts other than grey values of 8 or 16 bits."""
    samples = integer_of(path, dataset, "SamplesPerPixel", default=1)
    photometric = text_of(dataset, "PhotometricInterpretation") or "(missing)"
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise DicomError(
            f"{path}: {photometric} with {samples} samples per pixel; "
            "only grey images (MONOCHROME1 or MONOCHROME2) are read"
        )
    allocated, stored = (integer_of(path, dataset, keyword) for keyword in ("BitsAllocated", "BitsStored"))
    if allocated not in (8, 16):
        raise DicomError(f"{path}: {allocated} bits allocated; only 8 and 16 are read")
    if not 1 <= stored <= allocated:
        raise DicomError(f"{path}: {stored} of {allocated} bits cannot be")
    high_bit = integer_of(path, dataset, "HighBit", default=stored - 1)
    if not stored - 1 <= high_bit < allocated:
        raise DicomError(f"{path}: high bit {high_bit} with {stored} of {allocated} bits stored cannot be")
    representation = integer_of(path, dataset, "PixelRepresentation", default=0)
    if representation not in (0, 1) or (representation == 1 and syntax.codec is Codec.JPEG):
        raise DicomError(
            f"{path}: PixelRepresentation {representation} with {syntax.codec.value} cannot be; "
            "the header is damaged"
        )
    return PixelLayout(allocated, stored, high_bit, representation == 1)


def _check_size(header: DicomHeader, dataset: Dataset) -> None:
    """Bound the memory that decoding can take, and compare the numbers of frames."""
    path, rows, columns, frames = header.path, header.rows, header.columns, header.num_frames
    if frames < 1:
        raise DicomError(f"{path}: {frames} frames; there is nothing to read")
    if rows < 1 or columns < 1:
        raise DicomError(f"{path}: {rows} x {columns} pixels; there is nothing to read")
    if max(rows, columns) > MAX_SIDE or frames > MAX_FRAMES or rows * columns * frames > MAX_PIXELS:
        raise DicomError(
            f"{path}: {frames} frames of {rows} x {columns} pixels are more than any breast image has "
            f"(limits: {MAX_FRAMES} frames, {MAX_SIDE} rows or columns, {MAX_PIXELS:.0e} pixels); "
            "the header is damaged"
        )
    described = len(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    if described not in (0, frames):
        raise DicomError(
            f"{path}: NumberOfFrames says {frames}, but {described} frames are described; {CAUSES_OF_DAMAGE}"
        )
    if header.pixels.length is not None:
        check_raw_length(header, header.pixels.offset, header.pixels.length)


def _padding(path: Path, dataset: Dataset, layout: PixelLayout, grey: Grey) -> tuple[int, int] | None:
    """Return the frame values of padding: one stored value, or all up to the limit (PS3.3 C.7.5.1.1.2).

    The limit is on the side of the picture's values: above the value in MONOCHROME2, below it in MONOCHROME1.
    """
    if dataset.get("PixelPaddingValue") in (None, ""):
        return None
    value = integer_of(path, dataset, "PixelPaddingValue")
    limit = integer_of(path, dataset, "PixelPaddingRangeLimit", default=value)
    ends = [value, limit]
    if layout.is_signed:  # some writers give the bits of a negative number as an unsigned one
        ends = [end - (1 << 16) if end >= 1 << 15 else end for end in ends]
        ends = [end + layout.half for end in ends]
    low, high = max(min(ends), 0), min(max(ends), layout.largest)
    if low > high:
        return None
    if grey.mapped is not None:
        if len(grey.mapped.lines) > 1:  # another value in each frame
            return None
        mapped = grey.mapped.values(np.arange(low, high + 1), 0)
        low, high = int(mapped.min()), int(mapped.max())
    top = (1 << grey.bits) - 1
    return (top - high, top - low) if grey.is_inverted else (low, high)


def _is_for_processing(dataset: Dataset) -> bool:
    """Presentation Intent Type says it (PS3.3 C.8.11.1.1.1), else the class of the object."""
    intent = (text_of(dataset, "PresentationIntentType") or "").upper()
    if "PROCESSING" in intent or "PRESENTATION" in intent:
        return "PROCESSING" in intent
    return uid_of(dataset, "SOPClassUID") in _FOR_PROCESSING


def _first_text(attributes: Attributes, *keywords: str) -> str | None:
    for keyword in keywords:
        text = attributes.first(lambda group, keyword=keyword: text_of(group, keyword))  # type: ignore[misc]
        if text:
            return text
    return None
