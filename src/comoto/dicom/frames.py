"""Where each frame of a file lies, found by walking the fragments and not by trusting the offset table."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from comoto.dicom.codestream import starts_frame
from comoto.dicom.header import DicomHeader
from comoto.dicom.log_once import warn_once
from comoto.dicom.syntaxes import Codec
from comoto.errors import DicomError

_ITEM = 0xFFFEE000
_SEQUENCE_DELIMITER = 0xFFFEE0DD
_MAX_FRAGMENTS = 100_000


@dataclass(frozen=True)
class Fragment:
    """One piece of a frame.

    Attributes:
        item_offset: where its item tag lies, in bytes after the offset table's item (as offset tables count).
        start: first byte of the value in the file.
        length: bytes of the value.
        beginning: its first 8 bytes.
    """

    item_offset: int
    start: int
    length: int
    beginning: bytes


@dataclass(frozen=True)
class FrameLocation:
    """The pieces of the file that make one frame: (first byte, number of bytes) each."""

    pieces: tuple[tuple[int, int], ...]

    @property
    def length(self) -> int:
        """Bytes of the whole frame."""
        return sum(length for _, length in self.pieces)

    def read(self, file: BinaryIO, path: Path) -> bytes:
        """Read the frame as it is stored.

        Raises:
            DicomError: the file has become shorter since it was opened.
        """
        parts = []
        for start, length in self.pieces:
            file.seek(start)
            parts.append(file.read(length))
            if len(parts[-1]) != length:
                raise DicomError(f"{path}: the file ends inside a frame; copy or download it again")
        return b"".join(parts)


def locate_frames(header: DicomHeader, file: BinaryIO) -> list[FrameLocation]:
    """Find the frames of an open file; reads item headers only.

    Args:
        header: what ``read_header`` said about the same file.
        file: the file, open for reading bytes.

    Returns:
        One location per frame, exactly ``header.num_frames`` of them.

    Raises:
        DicomError: the file is cut, or its fragments do not make that many frames.
    """
    if header.pixels.length is not None:
        size = header.bytes_per_frame
        starts = range(header.pixels.offset, header.pixels.offset + size * header.num_frames, size)
        return [FrameLocation(((start, size),)) for start in starts]
    table, fragments = _walk(header, file)
    first_fragments = _frame_starts(header, table, fragments)
    ends = [*first_fragments[1:], len(fragments)]
    return [
        FrameLocation(tuple((piece.start, piece.length) for piece in fragments[first:end]))
        for first, end in zip(first_fragments, ends, strict=True)
    ]


def _walk(header: DicomHeader, file: BinaryIO) -> tuple[tuple[int, ...], list[Fragment]]:
    """Walk the items of encapsulated pixel data (PS3.5 section A.4): the offset table and the fragments."""
    size = header.path.stat().st_size
    position = header.pixels.offset
    order = "<" if header.syntax.little_endian else ">"
    table: tuple[int, ...] | None = None
    base = 0
    fragments: list[Fragment] = []
    while len(fragments) <= _MAX_FRAGMENTS:
        file.seek(position)
        beginning = file.read(16)
        if not beginning and len(fragments) == header.num_frames:  # each frame's own end marker is checked
            warn_once(
                "no delimiter",
                f"{header.path}: the file ends with its last frame, without the mark that ends the pixel "
                "data",
            )
            return _checked_table(header, table), fragments
        if len(beginning) < 8:
            raise _cut(header, len(fragments))
        group, element, length = struct.unpack_from(f"{order}HHI", beginning)
        tag = group << 16 | element
        if tag == _SEQUENCE_DELIMITER:
            return _checked_table(header, table), fragments
        if tag != _ITEM:
            raise DicomError(
                f"{header.path}: byte {position} should begin a fragment but is tag "
                f"{group:04x},{element:04x}; the file is damaged; copy or download it again"
            )
        start = position + 8
        if start + length > size:
            raise _cut(header, len(fragments))
        position = start + length
        if table is None:
            file.seek(start)
            table = struct.unpack(f"{order}{length // 4}I", file.read(length // 4 * 4))
            base = position
        else:
            fragments.append(Fragment(start - 8 - base, start, length, beginning[8 : 8 + length]))
    raise DicomError(f"{header.path}: more than {_MAX_FRAGMENTS} fragments; the file is damaged")


def _checked_table(header: DicomHeader, table: tuple[int, ...] | None) -> tuple[int, ...]:
    if table is None:
        raise DicomError(f"{header.path}: the pixel data hold neither an offset table nor a frame")
    return table


def _frame_starts(header: DicomHeader, table: tuple[int, ...], fragments: Sequence[Fragment]) -> list[int]:
    """Return the index of each frame's first fragment.

    One fragment a frame needs no table. Otherwise a table counts where each of its offsets is the
    beginning of a fragment that opens a codestream; a table that is missing or wrong is rebuilt
    from those openings.
    """
    codec, frames = header.syntax.codec, header.num_frames
    opens = [number for number, piece in enumerate(fragments) if starts_frame(codec, piece.beginning)]
    from_table = _starts_of_table(table, fragments)
    if table and from_table is None:
        warn_once(
            "offset table",
            f"{header.path}: the offset table is wrong; frames are found by their own beginnings. Other "
            "software may show other frames: export the file again",
        )
    if len(fragments) == frames and opens == list(range(frames)):
        return opens
    if codec is not Codec.RLE:
        if from_table is not None and len(from_table) == frames and set(from_table) <= set(opens):
            return from_table
        if len(opens) == frames and opens[0] == 0:
            return opens
    raise DicomError(
        f"{header.path}: NumberOfFrames says {frames}, but the pixel data hold {len(fragments)} fragments "
        f"of which {len(opens)} begin a {codec.value} frame; the header is wrong or the file is damaged"
    )


def _starts_of_table(table: tuple[int, ...], fragments: Sequence[Fragment]) -> list[int] | None:
    numbers = {piece.item_offset: number for number, piece in enumerate(fragments)}
    starts = [numbers.get(offset, -1) for offset in table]
    if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
        return None
    return starts


def _cut(header: DicomHeader, found: int) -> DicomError:
    return DicomError(
        f"{header.path}: the file ends after {found} complete fragments, before the end of the pixel data "
        f"({header.num_frames} frames expected); copy or download it again"
    )
