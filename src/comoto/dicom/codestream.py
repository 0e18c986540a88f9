"""What a compressed frame says about itself, read from its header without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from comoto.dicom.syntaxes import Codec

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_END_OF_STREAM = b"\xff\xd9"
_JP2_BOXES = 4096
"""Bytes searched for the codestream where a vendor wrote a whole JP2 file into the fragment."""

_COD, _COC, _START_OF_TILE = 0xFF52, 0xFF53, 0xFF90
_MAIN_HEADER_SEGMENTS = 100
_MAX_DECOMPOSITIONS = 32
"""Table A.15 of ISO/IEC 15444-1 allows 0 to 32."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG markers SOF0 to SOF15 without DHT, JPG and DAC; 0xF7 is the one of JPEG-LS."""


@dataclass(frozen=True)
class StreamHeader:
    """Size and depth that a codestream declares.

    Attributes:
        rows, columns: of the image.
        precision: bits per value.
        components: 1 for grey.
        is_signed: values may be negative.
        halvings: how often the decoder can leave out the finest resolution; 0 where the format has only one.
    """

    rows: int
    columns: int
    precision: int
    components: int
    is_signed: bool
    halvings: int = 0


def starts_frame(codec: Codec, beginning: bytes) -> bool:
    """Say whether a fragment that begins with these (at least 8) bytes opens a new frame."""
    if codec in (Codec.JPEG_2000, Codec.HTJ2K):
        return beginning.startswith((_JPEG_2000_START, _JP2_SIGNATURE))
    if codec is Codec.RLE:
        return True
    return beginning.startswith(_JPEG_START)


def is_complete(data: bytes) -> bool:
    """Say whether the stream ends with the end marker (padding zeros aside)."""
    return data[-64:].rstrip(b"\x00").endswith(_END_OF_STREAM)


def stream_header(codec: Codec, data: bytes) -> StreamHeader:
    """Read size, precision and components from the SIZ or SOF segment.

    Args:
        codec: one of the JPEG family.
        data: one frame.

    Raises:
        ValueError: the segment is missing or cut.
    """
    try:
        if codec in (Codec.JPEG_2000, Codec.HTJ2K):
            return _siz(data)
        return _sof(data)
    except struct.error as error:
        raise ValueError("the codestream ends inside its header") from error


def codestream_start(data: bytes) -> int:
    """Return where the JPEG 2000 codestream begins: at 0, or behind the boxes of a whole JP2 file.

    Raises:
        ValueError: there is none.
    """
    start = 0 if data.startswith(_JPEG_2000_START) else data.find(_JPEG_2000_START, 0, _JP2_BOXES)
    if start < 0:
        raise ValueError("no JPEG 2000 codestream begins here")
    return start


def _siz(data: bytes) -> StreamHeader:
    """SIZ and COD segments of ISO/IEC 15444-1, A.5.1 and A.6.1."""
    start = codestream_start(data)
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    components, depth = struct.unpack_from(">HB", data, start + 40)
    return StreamHeader(
        rows=bottom - top,
        columns=right - left,
        precision=(depth & 0x7F) + 1,
        components=components,
        is_signed=bool(depth & 0x80),
        halvings=_decompositions(data, start + 2) if (left, top) == (0, 0) else 0,
    )


def _decompositions(data: bytes, position: int) -> int:
    """Return the wavelet levels of the main header's COD segment; 0 where there is none to trust."""
    for _ in range(_MAIN_HEADER_SEGMENTS):
        if position + 10 > len(data):
            return 0
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _COD:
            return min(data[position + 9], _MAX_DECOMPOSITIONS)
        if marker in (_START_OF_TILE, _COC):
            return 0
        position += 2 + length
    return 0


def _sof(data: bytes) -> StreamHeader:
    """First SOF segment of ISO/IEC 10918-1, B.2.2."""
    if not data.startswith(_JPEG_START):
        raise ValueError("no JPEG stream begins here")
    position = 2
    while True:
        fill, marker = struct.unpack_from(">BB", data, position)
        if fill != 0xFF:
            raise ValueError(f"no JPEG marker at byte {position}")
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _START_OF_FRAME:
            precision, rows, columns, components = struct.unpack_from(">BHHB", data, position + 4)
            return StreamHeader(rows, columns, precision, components, is_signed=False)
        if marker in (0xD9, 0xDA):
            raise ValueError("no JPEG frame header before the scan")
        (length,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + max(length, 2)
