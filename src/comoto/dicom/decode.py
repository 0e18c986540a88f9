"""From the stored bytes of one frame to grey values, with the codestream checked first."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from comoto.dicom.codestream import StreamHeader, codestream_start, is_complete, stream_header
from comoto.dicom.header import DicomHeader
from comoto.dicom.layout import PixelLayout
from comoto.dicom.log_once import note_once
from comoto.dicom.stored import stored_values
from comoto.dicom.syntaxes import Codec
from comoto.dicom.tags import is_defect
from comoto.errors import DicomError

Pixels = NDArray[np.uint8 | np.uint16]

_DECODERS: dict[Codec, Callable[[bytes], NDArray[np.generic]]] = {
    Codec.JPEG: imagecodecs.jpeg8_decode,
    Codec.LOSSLESS_JPEG: imagecodecs.jpeg8_decode,
    Codec.JPEG_LS: imagecodecs.jpegls_decode,
    Codec.JPEG_2000: imagecodecs.jpeg2k_decode,
    Codec.HTJ2K: imagecodecs.htj2k_decode,
}


def decode_frame(header: DicomHeader, index: int, data: bytes, reduce: int = 0) -> Pixels:
    """Decode one frame to stored values.

    Args:
        header: of the file that the frame comes from.
        index: number of the frame, for messages.
        data: the frame as stored.
        reduce: how often both sides are halved, rounded up; JPEG 2000 and HTJ2K then leave out their finest
            resolutions, which takes a fraction of the time. Other frames are decoded, then halved.

    Returns:
        uint8 or uint16 (rows, columns), as bits are allocated; what the header calls inverted is inverted,
        signed values are shifted by half their range, rescale not applied, unless frames have their own or
        the file has a Modality LUT.

    Raises:
        DicomError: the codestream contradicts the header, cannot be decoded, or holds values beyond the bits
            that the header says are stored.
    """
    what = f"{header.path}: frame {index}"
    codec = header.syntax.codec
    halvings, precision = 0, header.layout.allocated
    if codec not in (Codec.RAW, Codec.RLE):
        stream = check_stream(header, index, data)
        precision = stream.precision
        halvings = reduce if reduce <= halvings_of(header, stream) else 0
    values = _decoded(header, what, data, halvings)
    if halvings and _is_beyond_overshoot(header.layout, values):
        halvings = 0  # bits above the stored ones were mixed into the coarser picture
        values = _decoded(header, what, data, halvings)
    shape = reduced_shape((header.rows, header.columns), halvings)
    if values.shape != shape:
        raise DicomError(
            f"{what} decodes to shape {values.shape}, but the header says {shape[0]} x {shape[1]}; "
            "the file is damaged"
        )
    stored = stored_values(header.layout, what, values, precision, overshoots=halvings > 0)
    pixels = _frame_values(header, index, stored)
    for _ in range(reduce - halvings):
        pixels = np.asarray(cv2.pyrDown(pixels), dtype=pixels.dtype)
    return pixels


def _decoded(header: DicomHeader, what: str, data: bytes, halvings: int) -> NDArray[np.generic]:
    codec = header.syntax.codec
    try:
        if halvings:
            return REDUCED_DECODERS[codec](data, halvings)
        if codec is Codec.RAW:
            return _raw(header, data)
        return _rle(header, data) if codec is Codec.RLE else _DECODERS[codec](data)
    except Exception as error:  # decoders raise almost any type, MemoryError and StopIteration too
        if is_defect(error):
            raise
        raise DicomError(
            f"{what} cannot be decoded as {codec.value} ({type(error).__name__}: {error}); "
            "the file is damaged; copy or download it again"
        ) from error


def check_stream(header: DicomHeader, index: int, data: bytes) -> StreamHeader:
    """Compare the codestream's own header with the tags, so that a decoder allocates what was announced.

    Args:
        header: of the file that the frame comes from; its codec is one of the JPEG family.
        index: number of the frame, for messages.
        data: the frame as stored.

    Raises:
        DicomError: they contradict each other, or the stream is cut.
    """
    what = f"{header.path}: frame {index}"
    try:
        stream = stream_header(header.syntax.codec, data)
    except ValueError as error:
        raise DicomError(
            f"{what} is not {header.syntax.codec.value} ({error}); the file is mislabelled or damaged"
        ) from error
    if (stream.rows, stream.columns) != (header.rows, header.columns):
        raise DicomError(
            f"{what} is compressed as {stream.rows} x {stream.columns} pixels, but the header says "
            f"{header.rows} x {header.columns}; the file is damaged"
        )
    if stream.components != 1:
        raise DicomError(f"{what} is compressed as colour; only grey is read")
    if stream.is_signed != (header.layout.is_signed and header.syntax.codec in HALVING_CODECS):
        raise DicomError(
            f"{what} is compressed as {_signedness(stream.is_signed)} values, but the header says "
            f"{_signedness(header.layout.is_signed)}; the file is damaged"
        )
    layout = header.layout
    if not layout.stored <= stream.precision <= layout.allocated:
        raise DicomError(
            f"{what} is compressed with {stream.precision} bits, but the header says {layout.stored} "
            f"stored of {layout.allocated} allocated; the file is damaged"
        )
    if stream.precision > layout.stored:
        note_once(
            "precision",
            f"{what} is compressed with {stream.precision} bits while {layout.stored} are stored; "
            "every file of some vendors is",
        )
    if not is_complete(data):
        raise DicomError(f"{what} has no end marker: it is cut; copy or download the file again")
    return stream


def halvings_of(header: DicomHeader, stream: StreamHeader) -> int:
    """Return how often the sides of a frame can be halved while it is decoded.

    Where a wavelet overshoots the range, OpenJPEG clips and OpenJPH starts again at the other end. The latter
    can be told from real values only if two bits are left over.
    """
    spare = (8 if stream.precision <= 8 else 16) - header.layout.stored
    if header.layout.unused_below:
        return 0
    if header.syntax.codec is Codec.HTJ2K and spare < 2:
        return 0
    return stream.halvings


def reduced_shape(shape: tuple[int, int], reduce: int) -> tuple[int, int]:
    """Return (rows, columns) after so many halvings; odd sides are rounded up (ISO/IEC 15444-1, B.5)."""
    rows, columns = (-(-side >> reduce) if reduce else side for side in shape)
    return rows, columns


def _is_beyond_overshoot(layout: PixelLayout, values: NDArray[np.generic]) -> bool:
    """Say whether values are farther beyond their range than a wavelet goes at an edge."""
    far = layout.largest // 4 + 1
    return int(values.max()) > layout.largest - layout.half + far or int(values.min()) < -layout.half - far


def _signedness(is_signed: bool) -> str:
    return "signed" if is_signed else "unsigned"


def _reduced_jpeg_2000(data: bytes, halvings: int) -> NDArray[np.generic]:
    """Decode without the finest resolutions; Pillow's wrapper of OpenJPEG is the one that can leave them out.

    Pillow rounds odd sides to the nearest whole number where OpenJPEG rounds up, and then finds the stream
    broken: it is told a size that rounds to the right one. It scales values up to 8 or 16 bits and shifts
    signed ones to start at 0; both are undone here.
    """
    stream = stream_header(Codec.JPEG_2000, data)
    image = Jpeg2KImageFile(io.BytesIO(data[codestream_start(data) :]))
    rows, columns = reduced_shape((stream.rows, stream.columns), halvings)
    image._size = (columns << halvings, rows << halvings)
    image.reduce = halvings
    image.load()
    values = np.asarray(image)
    values = values >> (8 * values.dtype.itemsize - stream.precision)
    if stream.is_signed:
        return np.asarray(values.astype(np.int32) - (1 << (stream.precision - 1)))
    return np.asarray(values)


def _reduced_htj2k(data: bytes, halvings: int) -> NDArray[np.generic]:
    values = imagecodecs.htj2k_decode(data, skipres=halvings)
    return np.asarray(values.view(f"i{values.dtype.itemsize}"))  # below 0 it starts again at 65535


REDUCED_DECODERS: dict[Codec, Callable[[bytes, int], NDArray[np.generic]]] = {
    Codec.JPEG_2000: _reduced_jpeg_2000,
    Codec.HTJ2K: _reduced_htj2k,
}
HALVING_CODECS = frozenset(REDUCED_DECODERS)
"""Formats that hold several resolutions; they are also those whose streams know signed values."""


def _raw(header: DicomHeader, data: bytes) -> NDArray[np.generic]:
    return np.frombuffer(data, header.stored_type).reshape(header.rows, header.columns)


def _rle(header: DicomHeader, data: bytes) -> NDArray[np.generic]:
    """Decode the byte planes of PS3.5 annex G, the most significant one first."""
    count, *offsets = struct.unpack_from("<16I", data)
    if count != header.bytes_per_pixel:
        raise ValueError(f"{count} RLE segments for {header.bytes_per_pixel} bytes per pixel")
    size = header.rows * header.columns
    planes = []
    for start, end in zip(offsets[:count], [*offsets[1:count], len(data)], strict=True):
        if not 64 <= start < end <= len(data):
            raise ValueError("the RLE segments' offsets are wrong")
        plane = imagecodecs.packbits_decode(data[start:end])
        if len(plane) < size:
            raise ValueError(f"an RLE segment has {len(plane)} of {size} bytes")
        planes.append(np.frombuffer(plane, dtype=np.uint8, count=size))
    values = np.stack(planes, axis=-1).view(f">u{count}")
    return values.reshape(header.rows, header.columns)


def _frame_values(header: DicomHeader, index: int, stored: NDArray[Any]) -> Pixels:
    """Bring stored values to the one scale of the header, and invert them if it says so."""
    if header.mapped is not None:
        stored = header.mapped.values(stored, index)
    kind = np.uint8 if header.bits_allocated == 8 else np.uint16
    pixels: Pixels = np.require(stored, kind, ["C", "W"])
    if header.photometric == "MONOCHROME1":
        largest = (1 << header.bits_stored) - 1
        np.subtract(pixels.dtype.type(largest), pixels, out=pixels)
    return pixels
