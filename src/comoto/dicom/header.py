"""The header of a DICOM image: read without pixels, checked before anything is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from comoto.dicom.orientation import anatomical_directions
from comoto.dicom.syntaxes import ACCEPTED, Codec, TransferSyntax
from comoto.dicom.tags import (
    CAUSES_OF_DAMAGE,
    one_error,
    quoted,
    read_dataset,
    transfer_syntax_uid,
    unsupported,
)
from comoto.dicom.tell import warn_once
from comoto.errors import DicomError
from comoto.records import ImageHeader

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
    *("ImageLaterality", "FrameLaterality", "Laterality", "ViewPosition", "ViewCodeSequence"),
    *("PixelSpacing", "ImagerPixelSpacing", "PatientOrientation", "ImageOrientationPatient"),
    "PresentationIntentType",
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
"""All that is read; names and dates of patients are passed over."""
_VIEW_CODES = {"399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO"}
"""View Code Sequence of tomosynthesis objects (PS3.16 CID 4014), in SNOMED CT and the older SRT codes."""
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

    The window is the first of several; shared, then per-frame, then top-level attribute. The spacing is that
    of Pixel Spacing, else of Imager Pixel Spacing.

    Attributes:
        sop_class_uid: empty where the file does not say (VinDr-Mammo removes it).
        transfer_syntax_uid: one of ``comoto.dicom.syntaxes.ACCEPTED``.
        is_signed: the file holds signed values. Frames are shifted by half the range of the stored bits, so
            that they start at 0; ``rescale`` is that of the shifted values.
        pixels: where Pixel Data lies.
    """

    sop_class_uid: str
    is_signed: bool
    transfer_syntax_uid: str
    pixels: PixelElement

    @property
    def syntax(self) -> TransferSyntax:
        """Meaning of ``transfer_syntax_uid``."""
        return ACCEPTED[self.transfer_syntax_uid]

    @property
    def bytes_per_pixel(self) -> int:
        """1 or 2."""
        return self.bits_allocated // 8


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
    syntax = _transfer_syntax(path)
    dataset, pixels = _read_dataset(path, syntax)
    groups = list(_functional_groups(dataset))
    _check_layout(path, dataset, syntax)
    is_signed = _integer(path, dataset, "PixelRepresentation", default=0) == 1
    bits_stored = _integer(path, dataset, "BitsStored")
    slope, intercept = _rescale(path, groups)
    if is_signed:
        intercept -= slope * 2 ** (bits_stored - 1)
    header = DicomHeader(
        path=path,
        is_signed=is_signed,
        sop_class_uid=_uid(dataset, "SOPClassUID"),
        transfer_syntax_uid=syntax.uid,
        rows=_integer(path, dataset, "Rows"),
        columns=_integer(path, dataset, "Columns"),
        num_frames=_integer(path, dataset, "NumberOfFrames", default=1),
        bits_allocated=_integer(path, dataset, "BitsAllocated"),
        bits_stored=bits_stored,
        photometric=_text(dataset, "PhotometricInterpretation") or "(missing)",
        window=_window(path, groups),
        rescale=(slope, intercept),
        laterality_tag=_first_text(groups, "ImageLaterality", "FrameLaterality", "Laterality"),
        view_position=_view_position(dataset, groups),
        patient_id=_text(dataset, "PatientID") or "",
        study_instance_uid=_uid(dataset, "StudyInstanceUID"),
        series_instance_uid=_uid(dataset, "SeriesInstanceUID"),
        sop_instance_uid=_uid(dataset, "SOPInstanceUID"),
        spacing_mm=_spacing(path, groups),
        directions=anatomical_directions(groups),
        for_processing=_is_for_processing(dataset),
        padding=_padding(path, dataset, bits_stored, is_signed),
        pixels=pixels,
    )
    _check_size(header, dataset)
    return header


def _transfer_syntax(path: Path) -> TransferSyntax:
    """Read the file's meta information alone: a deflated file is refused before it is inflated."""
    uid = transfer_syntax_uid(path)
    if uid not in ACCEPTED:
        raise unsupported(path, uid)
    return ACCEPTED[uid]


def _read_dataset(path: Path, syntax: TransferSyntax) -> tuple[Dataset, PixelElement]:
    with path.open("rb") as file:
        dataset = read_dataset(path, file, _KEYWORDS)
        implicit = bool(dataset.original_encoding[0])
        return dataset, _pixel_element(path, file, syntax, implicit)


def _pixel_element(path: Path, file: BinaryIO, syntax: TransferSyntax, implicit: bool) -> PixelElement:
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


def _check_layout(path: Path, dataset: Dataset, syntax: TransferSyntax) -> None:
    """Refuse pixel layouts other than grey values of 8 or 16 bits."""
    samples = _integer(path, dataset, "SamplesPerPixel", default=1)
    photometric = _text(dataset, "PhotometricInterpretation") or "(missing)"
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise DicomError(
            f"{path}: {photometric} with {samples} samples per pixel; "
            "only grey images (MONOCHROME1 or MONOCHROME2) are read"
        )
    allocated, stored = (_integer(path, dataset, keyword) for keyword in ("BitsAllocated", "BitsStored"))
    if allocated not in (8, 16):
        raise DicomError(f"{path}: {allocated} bits allocated; only 8 and 16 are read")
    if not 1 <= stored <= allocated:
        raise DicomError(f"{path}: {stored} of {allocated} bits cannot be")
    high_bit = _integer(path, dataset, "HighBit", default=stored - 1)
    if high_bit != stored - 1:
        raise DicomError(f"{path}: high bit {high_bit} with {stored} bits stored is not supported")
    representation = _integer(path, dataset, "PixelRepresentation", default=0)
    if representation not in (0, 1) or (representation == 1 and syntax.codec is Codec.JPEG):
        raise DicomError(
            f"{path}: PixelRepresentation {representation} with {syntax.codec.value} cannot be; "
            "the header is damaged"
        )


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
        _check_raw_length(header, header.pixels.length)


def _check_raw_length(header: DicomHeader, length: int) -> None:
    expected = header.rows * header.columns * header.num_frames * header.bytes_per_pixel
    if length not in (expected, expected + expected % 2):
        raise DicomError(
            f"{header.path}: {length} bytes of pixel data, but {header.num_frames} frames of {header.rows} x "
            f"{header.columns} pixels need {expected}; the header is wrong or the file is damaged"
        )
    there = header.path.stat().st_size - header.pixels.offset
    if there < expected:
        raise DicomError(
            f"{header.path}: only {there} of {expected} bytes of pixel data are there; {CAUSES_OF_DAMAGE}"
        )


def _functional_groups(dataset: Dataset) -> Iterator[Dataset]:
    """Yield the data sets that may hold a display attribute, the most trusted first.

    Shared functional groups, the groups of the first frame, the top level (PS3.3 C.7.6.16).
    """
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = dataset.get(keyword) or []
        if len(items):
            for element in items[0]:
                if element.VR == "SQ" and len(element.value):
                    yield element.value[0]
    yield dataset


def _window(path: Path, groups: list[Dataset]) -> tuple[float, float] | None:
    for group in groups:
        center, width = _number(path, group, "WindowCenter"), _number(path, group, "WindowWidth")
        if center is None or width is None:
            continue
        if width <= 0:
            raise DicomError(
                f"{path}: window width {width:g}; a width is positive, remove or correct the tag"
            )
        function = _text(group, "VOILUTFunction") or "LINEAR"
        if function not in ("LINEAR", "LINEAR_EXACT"):
            named = function if function == "SIGMOID" else "of another name"
            warn_once("VOI LUT", f"{path}: VOI LUT function {named} is displayed as a linear window")
        return center, width
    return None


def _rescale(path: Path, groups: list[Dataset]) -> tuple[float, float]:
    for group in groups:
        slope, intercept = _number(path, group, "RescaleSlope"), _number(path, group, "RescaleIntercept")
        if slope is not None and intercept is not None:
            if slope == 0:
                raise DicomError(f"{path}: rescale slope 0 would make every pixel equal; correct the tag")
            return slope, intercept
    return 1.0, 0.0


def _spacing(path: Path, groups: list[Dataset]) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        for group in groups:
            value = group.get(keyword)
            if value is None or value == "":
                continue
            try:
                row, column = (float(part) for part in value)
            except (TypeError, ValueError) as error:
                raise DicomError(
                    f"{path}: {keyword} is {quoted(value)}, two numbers were expected"
                ) from error
            return row, column
    return None


def _padding(path: Path, dataset: Dataset, bits_stored: int, is_signed: bool) -> tuple[int, int] | None:
    """Return the frame values of padding: one stored value, or all up to the limit (PS3.3 C.7.5.1.1.2).

    The limit is on the side of the picture's values: above the value in MONOCHROME2, below it in MONOCHROME1.
    """
    if dataset.get("PixelPaddingValue") in (None, ""):
        return None
    value = _integer(path, dataset, "PixelPaddingValue")
    limit = _integer(path, dataset, "PixelPaddingRangeLimit", default=value)
    half, top = 1 << (bits_stored - 1), (1 << bits_stored) - 1
    ends = [value, limit]
    if is_signed:  # some writers give the bits of a negative number as an unsigned one
        ends = [end - (1 << 16) if end >= 1 << 15 else end for end in ends]
        ends = [end + half for end in ends]
    if _text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        ends = [top - end for end in ends]
    low, high = max(min(ends), 0), min(max(ends), top)
    return (low, high) if low <= high else None


def _view_position(dataset: Dataset, groups: list[Dataset]) -> str | None:
    position = _first_text(groups, "ViewPosition")
    if position is None:
        for item in dataset.get("ViewCodeSequence") or []:
            return _VIEW_CODES.get(_text(item, "CodeValue") or "")
    return position


def _is_for_processing(dataset: Dataset) -> bool:
    """Presentation Intent Type says it (PS3.3 C.8.11.1.1.1), else the class of the object."""
    intent = (_text(dataset, "PresentationIntentType") or "").upper()
    if "PROCESSING" in intent or "PRESENTATION" in intent:
        return "PROCESSING" in intent
    return _uid(dataset, "SOPClassUID") in _FOR_PROCESSING


def _first_text(groups: list[Dataset], *keywords: str) -> str | None:
    for keyword in keywords:
        for group in groups:
            text = _text(group, keyword)
            if text:
                return text
    return None


def _text(dataset: Dataset, keyword: str) -> str | None:
    value = dataset.get(keyword)
    return None if value is None else str(value).strip()


def _uid(dataset: Dataset, keyword: str) -> str:
    """Return a UID without validation: de-identified files hold hashes, and pydicom would warn of each."""
    if keyword not in dataset:
        return ""
    value = dataset.get_item(keyword).value
    return value.decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else str(value)


def _integer(path: Path, dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        if default is None:
            raise DicomError(f"{path}: no {keyword}; this is not an image, or its header is damaged")
        return default
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise DicomError(f"{path}: {keyword} is {quoted(value)}, a whole number was expected") from error


def _number(path: Path, dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of a possibly multi-valued decimal attribute."""
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        return None
    try:
        return float(value[0] if isinstance(value, MultiValue) else value)
    except (IndexError, TypeError, ValueError) as error:
        raise DicomError(f"{path}: {keyword} is {quoted(value)}, a number was expected") from error
