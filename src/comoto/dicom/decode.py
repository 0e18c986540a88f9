"""From the stored bytes of one frame to grey values, with the codestream checked first."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from comoto.dicom.codestream import is_complete, stream_header
from comoto.dicom.header import DicomHeader
from comoto.dicom.syntaxes import Codec
from comoto.errors import DicomError

logger = logging.getLogger("comoto.dicom")

Pixels = NDArray[np.uint8 | np.uint16]

_DECODERS: dict[Codec, Callable[[bytes], NDArray[np.generic]]] = {
    Codec.JPEG: imagecodecs.jpeg8_decode,
    Codec.LOSSLESS_JPEG: imagecodecs.jpeg8_decode,
    Codec.JPEG_LS: imagecodecs.jpegls_decode,
    Codec.JPEG_2000: imagecodecs.jpeg2k_decode,
    Codec.HTJ2K: imagecodecs.htj2k_decode,
}
_told: set[str] = set()


def decode_frame(header: DicomHeader, index: int, data: bytes) -> Pixels:
    """Decode one frame to stored values.

    Args:
        header: of the file that the frame comes from.
        index: number of the frame, for messages.
        data: the frame as stored.

    Returns:
        uint8 or uint16 (rows, columns), as bits are allocated; MONOCHROME1 is inverted, rescale not applied.

    Raises:
        DicomError: the codestream contradicts the header, cannot be decoded, or holds values beyond the bits
            that the header says are stored.
    """
    what = f"{header.path}: frame {index}"
    codec = header.syntax.codec
    if codec not in (Codec.RAW, Codec.RLE):
        _check_stream(header, what, data)
    try:
        if codec is Codec.RAW:
            values = _raw(header, data)
        elif codec is Codec.RLE:
            values = _rle(header, data)
        else:
            values = _DECODERS[codec](data)
    except Exception as error:  # decoders raise almost any type, MemoryError and StopIteration too
        raise DicomError(
            f"{what} cannot be decoded as {codec.value} ({type(error).__name__}: {error}); "
            "the file is damaged; copy or download it again"
        ) from error
    return _checked_values(header, what, values)


def _check_stream(header: DicomHeader, what: str, data: bytes) -> None:
    """Compare the codestream's own header with the tags, so that a decoder allocates what was announced."""
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
    if stream.components != 1 or stream.is_signed:
        raise DicomError(f"{what} is compressed as colour or signed values; only unsigned grey is read")
    if not header.bits_stored <= stream.precision <= header.bits_allocated:
        raise DicomError(
            f"{what} is compressed with {stream.precision} bits, but the header says {header.bits_stored} "
            f"stored of {header.bits_allocated} allocated; the file is damaged"
        )
    if stream.precision > header.bits_stored:
        _tell_once(
            "precision",
            f"{what} is compressed with {stream.precision} bits while {header.bits_stored} are stored; "
            "every file of some vendors is (not repeated for other files)",
        )
    if not is_complete(data):
        raise DicomError(f"{what} has no end marker: it is cut; copy or download the file again")


def _raw(header: DicomHeader, data: bytes) -> NDArray[np.generic]:
    order = "<" if header.syntax.little_endian else ">"
    values = np.frombuffer(data, dtype=f"{order}u{header.bytes_per_pixel}")
    return values.reshape(header.rows, header.columns)


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


def _checked_values(header: DicomHeader, what: str, values: NDArray[np.generic]) -> Pixels:
    if values.shape != (header.rows, header.columns):
        raise DicomError(
            f"{what} decodes to shape {values.shape}, but the header says {header.rows} x {header.columns}; "
            "the file is damaged"
        )
    largest = (1 << header.bits_stored) - 1
    if int(values.max()) > largest:
        raise DicomError(
            f"{what} holds the value {int(values.max())}, beyond the {header.bits_stored} bits that the "
            "header says are stored; the header or the pixels are damaged"
        )
    pixels: Pixels = np.array(values, dtype=np.uint8 if header.bits_allocated == 8 else np.uint16)
    if header.photometric == "MONOCHROME1":
        np.subtract(pixels.dtype.type(largest), pixels, out=pixels)
    return pixels


def _tell_once(topic: str, message: str) -> None:
    if topic not in _told:
        _told.add(topic)
        logger.info(message)
