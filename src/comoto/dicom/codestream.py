"""What a compressed frame says about itself, read from its header without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from comoto.dicom.syntaxes import Codec

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_END_OF_STREAM = b"\xff\xd9"
_FILLERS = b"\x00\xff"
"""Bytes with which writers fill fragments up, to an even length or to a block."""
_JP2_BOXES = 4096
"""Bytes searched for the codestream where a vendor wrote a whole JP2 file into the fragment."""

_COD, _COC, _START_OF_TILE = 0xFF52, 0xFF53, 0xFF90
_MAIN_HEADER_SEGMENTS = 100
_LARGEST_TILE = 1 << 17
"""Larger than any image that is read; beyond 2**31 decoders have been seen to hang."""
_MOST_TILES = 65535
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
    """Say whether the stream ends with the end marker, whatever the fragment is filled up with behind it."""
    return data.endswith(_END_OF_STREAM) or data.rstrip(_FILLERS).endswith(_END_OF_STREAM)


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
    """SIZ segment of ISO/IEC 15444-1, A.5.1, and the COD segment; what decoders divide by is checked."""
    start = codestream_start(data)
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    _check_tiles((right, bottom), (left, top), struct.unpack_from(">4I", data, start + 24))
    components, depth, step_x, step_y = struct.unpack_from(">HBBB", data, start + 40)
    if (step_x, step_y) != (1, 1):
        raise ValueError(f"its values are {step_x} x {step_y} pixels apart")
    levels = _decompositions(data, start + 2)
    return StreamHeader(
        rows=bottom - top,
        columns=right - left,
        precision=(depth & 0x7F) + 1,
        components=components,
        is_signed=bool(depth & 0x80),
        halvings=levels if (left, top) == (0, 0) else 0,
    )


def _check_tiles(end: tuple[int, int], origin: tuple[int, int], tiles: tuple[int, ...]) -> None:
    """Check that tiles cover the image and are no more than their numbers can count (B.3)."""
    count = 1
    for last, first, side, tile_first in zip(end, origin, tiles[:2], tiles[2:], strict=True):
        if not (tile_first <= first < tile_first + side <= _LARGEST_TILE and first < last):
            raise ValueError(f"tiles of {tiles[0]} x {tiles[1]} pixels do not fit the image")
        count *= -(-(last - tile_first) // side)
    if count > _MOST_TILES:
        raise ValueError(f"{count} tiles")


def _decompositions(data: bytes, position: int) -> int:
    """Return the wavelet levels of the main header's COD segment; 0 where there is none to trust.

    Raises:
        ValueError: the code blocks are of a size that no decoder has to know (table A.18).
    """
    for _ in range(_MAIN_HEADER_SEGMENTS):
        if position + 12 > len(data):
            return 0
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _COD:
            levels, wide, high = data[position + 9 : position + 12]
            if levels > _MAX_DECOMPOSITIONS or max(wide, high) > 8 or wide + high > 8:
                raise ValueError(f"{levels} resolutions with code blocks of 2^{wide + 2} x 2^{high + 2}")
            return levels
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
