"""Raw values beside a MetaImage header (``.mhd``): the phantoms of VICTRE, M-SYNTH and T-SYNTH, and others.

The header is text, ``Key = value`` on each line; the values lie in the file that it names, or in the ``.raw``
file of the same name. ``DimSize`` of an ordinary MetaImage is (columns, rows, slices), and the size of the
file has to fit it and ``ElementType``.

Files named ``reconstruction*`` and ``projection*`` come from the VICTRE pipeline, which counts otherwise. Its
x runs along the chest wall from the bottom of the picture, so a picture has ``DimSize[0]`` rows and
``DimSize[1]`` columns, and its header is not always the raw file's own. There the size of the file decides:

=================  ==========================================  ==============================================
``reconstruction``  ``4 x D0 x D1`` bytes                      a C-view, float32, rows from the top
``reconstruction``  ``8`` or ``4 x D0 x D1 x D2`` bytes        a volume, float64 or float32, slice by slice
``projection``      ``4 x D0 x D1`` bytes, or several of them  float32; the first plane is the mammogram
=================  ==========================================  ==============================================

A projection of the first VICTRE trial is what the detector receives, bright where there is no tissue; later
versions of the pipeline, and with them M-SYNTH, divide the empty field by it, and tissue is bright. The
picture tells them apart: if the air in the corners far from the chest wall is brighter than the tissue at the
wall, the file counts as MONOCHROME1, so its frame comes inverted, like that of a mammogram "for processing".

Floating-point values become 16 bits by one rule: the least value of the picture is 0, the largest 65,535,
linear in between and rounded. ``header.rescale`` leads back. Values of 8 and 16 bits stay as they are; signed
ones are shifted by half their range. There is no window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comoto.dicom.decode import Pixels
from comoto.dicom.header import MAX_FRAMES, MAX_PIXELS, MAX_SIDE
from comoto.dicom.source import Source
from comoto.errors import DicomError
from comoto.image_header import ImageHeader

_LARGEST_HEADER = 64 * 1024
_PIPELINE = re.compile(r"(reconstruction|projection)", re.IGNORECASE)
_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_TYPE_OF_SIZE = {1: "u1", 2: "u2", 4: "f4", 8: "f8"}
"""What a value of so many bytes is, where the header does not say."""
_CAUSES = "the header belongs to another file, or the file is cut; copy or download both again"


@dataclass(frozen=True)
class RawLayout:
    """How the raw file is read.

    Attributes:
        path: the raw file.
        dtype: of its values, with byte order.
        offset: bytes before the first value.
        shape: (planes, rows, columns) as stored; the first ``num_frames`` planes are read.
        num_frames: of the picture.
        is_turned: the stored plane is the picture transposed, with rows counted from the bottom.
        is_projection: a mammogram of the VICTRE pipeline, whose air may be bright.
        spacing_mm: (row, column) of the picture.
        slice_mm: from slice to slice.
    """

    path: Path
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, int, int]
    num_frames: int
    is_turned: bool
    is_projection: bool
    spacing_mm: tuple[float, float] | None
    slice_mm: float | None = None


class RawVolume(Source):
    """A raw file, mapped into memory; only the frame in use is copied.

    Attributes:
        path: the ``.mhd`` header.
        layout: how the raw file is read.
        is_inverted: bright where there is no tissue.
        header: see the module's text; floating-point values are looked through once for their range.

    Args:
        path: the ``.mhd`` header.

    Raises:
        DicomError: the header cannot be understood, the raw file is missing or of another size, or it holds
            values that are not finite.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = read_layout(path)
        self._planes: NDArray[Any] = np.memmap(
            self.layout.path, self.layout.dtype, "r", self.layout.offset, self.layout.shape
        )[: self.layout.num_frames]
        self._scale = _Scale.of(self._planes, self.layout.path)
        self.is_inverted = self.layout.is_projection and _air_is_bright(self._planes[0])
        self.header = _header(path, self.layout, self._scale, self.is_inverted)

    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Return one frame; see ``Source.frame``.

        Raises:
            DicomError: there is no such frame.
        """
        if reduce:
            raise ValueError("raw files hold no smaller picture; reduce is 0")
        if not 0 <= index < self.num_frames:
            raise DicomError(f"{self.path}: no frame {index}; frames are 0 to {self.num_frames - 1}")
        plane = self._planes[index]
        pixels = self._scale.pixels(plane.T[::-1] if self.layout.is_turned else plane)
        if self.is_inverted:
            np.subtract(np.iinfo(pixels.dtype).max, pixels, out=pixels)
        return pixels

    def close(self) -> None:
        """Let go of the raw file; the header stays readable."""
        self._planes = np.empty((0, 0, 0), self.layout.dtype)


@dataclass(frozen=True)
class _Scale:
    """From values of the raw file to 8 or 16 bits: ``value = slope * pixel + intercept``."""

    bits: int
    slope: float
    intercept: float

    @staticmethod
    def of(planes: NDArray[Any], path: Path) -> _Scale:
        """Choose the scale of a picture."""
        kind, size = planes.dtype.kind, planes.dtype.itemsize
        if kind in "ui" and size <= 2:
            shift = float(np.iinfo(planes.dtype).min)
            return _Scale(8 * size, 1.0, shift)
        low, high = (float(f([f(plane) for plane in planes])) for f in (np.min, np.max))
        if not np.isfinite([low, high]).all():
            raise DicomError(f"{path}: holds values that are not finite numbers; {_CAUSES}")
        return _Scale(16, (high - low) / 65535 if high > low else 1.0, low)

    def pixels(self, values: NDArray[Any]) -> Pixels:
        """Return a new array of unsigned values."""
        dtype = np.uint8 if self.bits == 8 else np.uint16
        if values.dtype.kind in "ui" and values.dtype.itemsize <= 2:
            return np.ascontiguousarray(values.astype(np.int32) - int(self.intercept), dtype=dtype)
        scaled = (values.astype(np.float64) - self.intercept) / self.slope
        return np.ascontiguousarray(np.rint(scaled), dtype=dtype)


def read_layout(path: Path) -> RawLayout:
    """Read the header and compare it with the raw file, whose values are not touched.

    Raises:
        DicomError: as ``RawVolume``.
    """
    entries = read_entries(path)
    raw = raw_file(path, entries)
    if not raw.is_file():
        raise DicomError(f"{path}: its raw file {raw.name} is not beside it; copy or download it again")
    _refuse_other_forms(path, entries)
    layout_of = _pipeline_layout if _PIPELINE.match(raw.name) else _plain_layout
    layout = layout_of(path, raw, entries)
    _check_size(layout)
    return replace(layout, slice_mm=_slice_mm(entries)) if layout.num_frames > 1 else layout


def read_entries(path: Path) -> dict[str, str]:
    """Return the header's keys, in lower case, and their values.

    Raises:
        DicomError: the file is too long for one.
    """
    if path.stat().st_size > _LARGEST_HEADER:
        raise DicomError(f"{path}: too long for a MetaImage header; is it the raw file?")
    entries: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, mark, value = line.partition("=")
        if mark:
            entries[key.strip().lower()] = value.strip()
    return entries


def raw_file(path: Path, entries: Mapping[str, str]) -> Path:
    """Return the file beside the header that holds the values.

    Raises:
        DicomError: the header names a list, itself or a place elsewhere.
    """
    name = entries.get("elementdatafile", f"{path.stem}.raw")
    if name.upper() in ("LOCAL", "LIST") or Path(name).name != name or not name:
        raise DicomError(
            f"{path}: ElementDataFile is '{name}'; only one raw file beside the header is read, give it there"
        )
    return path.with_name(name)


def _refuse_other_forms(path: Path, entries: Mapping[str, str]) -> None:
    if _is_true(entries, "compresseddata"):
        raise DicomError(f"{path}: compressed values are not read; write the file uncompressed")
    if entries.get("binarydata", "true").lower() == "false":
        raise DicomError(f"{path}: values written as text are not read; write them as binary data")
    if entries.get("elementnumberofchannels", "1") != "1":
        raise DicomError(f"{path}: colour values are not read; only one grey value per pixel is")


def _pipeline_layout(path: Path, raw: Path, entries: Mapping[str, str]) -> RawLayout:
    """Apply the rules of the VICTRE pipeline (see the module's text)."""
    along, away, slices = _dims(path, entries)
    order, spacing = _byte_order(entries), _spacing(path, entries)
    num_dims = _whole(path, entries, "ndims")
    size, plane = raw.stat().st_size, along * away
    turned = None if spacing is None else (spacing[1], spacing[0])
    single = np.dtype(f"{order}f4")
    if raw.name.lower().startswith("projection"):
        planes = next((n for n in (1, slices, num_dims or 1) if size == 4 * plane * n), None)
        if planes is not None:
            return RawLayout(raw, single, 0, (planes, away, along), 1, True, True, turned)
    elif size == 4 * plane:
        return RawLayout(raw, single, 0, (1, along, away), 1, False, False, turned)
    else:
        for dtype in (np.dtype(f"{order}f8"), single):
            if size == dtype.itemsize * plane * slices:
                return RawLayout(raw, dtype, 0, (slices, away, along), slices, True, False, turned)
    raise DicomError(
        f"{raw}: {size} bytes are neither a plane of {along} x {away} float values nor {slices} of them; "
        f"{_CAUSES}"
    )


def _plain_layout(path: Path, raw: Path, entries: Mapping[str, str]) -> RawLayout:
    columns, rows, slices = _dims(path, entries)
    order, spacing = _byte_order(entries), _spacing(path, entries)
    size, count = raw.stat().st_size, columns * rows * slices
    offset = _whole(path, entries, "headersize") or 0
    word = entries.get("elementtype")
    if word is None:
        code = _TYPE_OF_SIZE.get((size - offset) // count if (size - offset) % count == 0 else 0)
    else:
        code = _TYPES.get(word.upper())
        if code is None:
            raise DicomError(f"{path}: ElementType {word} is not read; known: {', '.join(_TYPES)}")
    dtype = np.dtype(f"{order}{code or 'f4'}")
    if offset == -1:
        offset = size - count * dtype.itemsize
    if offset < 0 or size != offset + count * dtype.itemsize:
        raise DicomError(
            f"{raw}: {size} bytes, but {path.name} says {columns} x {rows} x {slices} values of "
            f"{dtype.itemsize} bytes; {_CAUSES}"
        )
    return RawLayout(raw, dtype, offset, (slices, rows, columns), slices, False, False, spacing)


def _check_size(layout: RawLayout) -> None:
    planes, rows, columns = layout.shape
    if max(rows, columns) > MAX_SIDE or planes > MAX_FRAMES or prod(layout.shape) > MAX_PIXELS:
        raise DicomError(
            f"{layout.path}: {planes} planes of {rows} x {columns} values are more than any breast image "
            "has; the header is damaged"
        )


def _air_is_bright(plane: NDArray[Any]) -> bool:
    """Compare the corners far from the chest wall with the middle of it, in a plane as it is stored."""
    away, along = plane.shape
    deep, wide = max(1, away // 16), max(1, along // 8)
    corners = np.concatenate([plane[-deep:, :wide].ravel(), plane[-deep:, -wide:].ravel()])
    at_chest_wall = plane[:deep, along // 3 : along - along // 3]
    return bool(np.median(corners) > np.median(at_chest_wall))


def _header(path: Path, layout: RawLayout, scale: _Scale, is_inverted: bool) -> ImageHeader:
    _, rows, columns = layout.shape
    return ImageHeader(
        path=path,
        rows=columns if layout.is_turned else rows,
        columns=rows if layout.is_turned else columns,
        num_frames=layout.num_frames,
        bits_allocated=scale.bits,
        bits_stored=scale.bits,
        photometric="MONOCHROME1" if is_inverted else "MONOCHROME2",
        rescale=(scale.slope, scale.intercept),
        spacing_mm=layout.spacing_mm,
        slice_mm=layout.slice_mm,
        boxes_as_stored=True,
    )


def _dims(path: Path, entries: Mapping[str, str]) -> tuple[int, int, int]:
    if "dimsize" not in entries:
        raise DicomError(f"{path}: no line 'DimSize = ...'; this is not a MetaImage header")
    words = re.findall(r"[^\s,\[\]()]+", entries["dimsize"])
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or min(numbers) < 1:
        raise DicomError(
            f"{path}: DimSize is '{entries['dimsize']}'; two or three whole numbers were expected"
        )
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 1


def _spacing(path: Path, entries: Mapping[str, str]) -> tuple[float, float] | None:
    """Return (row, column) spacing of the stored planes: y and x."""
    text, words = _spacing_words(entries)
    if text is None:
        return None
    try:
        x, y = (float(word) for word in words[:2])
    except ValueError as error:
        raise DicomError(f"{path}: ElementSpacing is '{text}'; numbers were expected") from error
    return (y, x) if min(x, y) > 0 else None


def _slice_mm(entries: Mapping[str, str]) -> float | None:
    """Return the distance of the planes, None where there is no third number; no picture depends on it."""
    try:
        distance = float(_spacing_words(entries)[1][2])
    except (IndexError, ValueError):
        return None
    return distance if 0 < distance < inf else None


def _spacing_words(entries: Mapping[str, str]) -> tuple[str | None, list[str]]:
    text = entries.get("elementspacing", entries.get("elementsize"))
    return text, re.findall(r"[^\s,\[\]()]+", text or "")


def _byte_order(entries: Mapping[str, str]) -> str:
    return ">" if _is_true(entries, "binarydatabyteordermsb", "elementbyteordermsb") else "<"


def _whole(path: Path, entries: Mapping[str, str], key: str) -> int | None:
    text = entries.get(key)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise DicomError(f"{path}: {key} is '{text}'; a whole number was expected") from error


def _is_true(entries: Mapping[str, str], *keys: str) -> bool:
    return any(entries.get(key, "").lower() in ("true", "1") for key in keys)
