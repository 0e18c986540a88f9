"""JPEG pictures of 8 bits, as some public sets give out mammograms: grey, or grey stored as colour.

Baseline, extended and progressive files are read (ITU-T T.81, table B.1: SOF0, SOF1, SOF2). A JPEG says
nothing about window, pixel size or side. What its lossy compression took away is not known either.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np

from comoto.dicom.decode import Pixels
from comoto.dicom.header import MAX_SIDE
from comoto.dicom.source import Source
from comoto.errors import DicomError
from comoto.image_header import ImageHeader

SIGNATURE = b"\xff\xd8\xff"
_DAMAGED = "the file is damaged; copy or download it again"
_FRAMES = range(0xC0, 0xD0)
"""Codes of the markers that begin a frame (SOF), but for three of other meaning."""
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
_READ = (0xC0, 0xC1, 0xC2)
_STANDALONE = (0x01, *range(0xD0, 0xD9))
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_NEUTRAL, _TOLERANCE = 128, 2
"""Chroma of a grey picture; an encoder that goes through RGB may miss it by a rounding step."""


@dataclass(frozen=True)
class _Frame:
    """What the frame header says (T.81, B.2.2), and where the first scan begins."""

    code: int
    bits: int
    rows: int
    columns: int
    components: int


class JpegImage(Source):
    """One picture; it is decoded when its frame is asked for.

    Attributes:
        path: the file.
        header: size; everything else is unknown to a JPEG.

    Raises:
        DicomError: the file is cut, of more than 8 bits, lossless, of four colours, or larger than any
            mammogram.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_jpeg_header(path)

    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Decode the picture; see ``Source.frame``.

        The decoder fills what it cannot read with grey, so a file without its end is refused before.

        Raises:
            DicomError: there is no such frame, the file is damaged, or it shows colours.
        """
        if reduce:
            raise ValueError("JPEG files hold no smaller picture; reduce is 0")
        if index != 0:
            raise DicomError(f"{self.path}: no frame {index}; a JPEG has frame 0 only")
        content = self.path.read_bytes()
        frame, scan = _frame_header(self.path, content)
        if _END_OF_IMAGE not in content[scan:]:
            raise DicomError(f"{self.path}: the JPEG ends before its last line; {_DAMAGED}")
        space = "GRAYSCALE" if frame.components == 1 else "YCBCR"
        try:
            pixels = imagecodecs.jpeg8_decode(content, outcolorspace=space)
        except Exception as error:  # the decoder raises several types
            raise DicomError(f"{self.path}: cannot be decoded ({error}); {_DAMAGED}") from error
        if frame.components == 3:
            self._refuse_colour(pixels[..., 1:])
            pixels = pixels[..., 0]
        if pixels.shape != self.shape or pixels.dtype != np.uint8:
            raise DicomError(f"{self.path}: decodes to {pixels.shape} {pixels.dtype}; {_DAMAGED}")
        return np.array(pixels, dtype=np.uint8)

    def _refuse_colour(self, chroma: Pixels) -> None:
        coloured = np.abs(chroma.astype(np.int16) - _NEUTRAL).max(axis=-1) > _TOLERANCE
        if coloured.any():
            raise DicomError(
                f"{self.path}: {int(coloured.sum())} pixels of this JPEG are coloured, such as a marking; "
                "only grey pictures are read: give the picture without markings"
            )


def read_jpeg_header(path: Path) -> ImageHeader:
    """Read and check the frame header.

    Raises:
        DicomError: see ``JpegImage``.
    """
    frame, _ = _frame_header(path, path.read_bytes())
    if frame.code not in _READ:
        kind = "a lossless JPEG" if frame.code & 3 == 3 else f"a JPEG of kind SOF{frame.code - 0xC0}"
        raise DicomError(f"{path}: {kind}; baseline and progressive JPEG of 8 bits are read")
    if frame.bits != 8:
        raise DicomError(f"{path}: a JPEG of {frame.bits} bits; only JPEG of 8 bits are read")
    if frame.components not in (1, 3):
        raise DicomError(
            f"{path}: a JPEG of {frame.components} colours; only grey pictures are read: convert it to grey"
        )
    if not (1 <= frame.rows <= MAX_SIDE and 1 <= frame.columns <= MAX_SIDE):
        raise DicomError(f"{path}: {frame.rows} x {frame.columns} pixels are not a mammogram; {_DAMAGED}")
    return ImageHeader(
        path=path,
        rows=frame.rows,
        columns=frame.columns,
        num_frames=1,
        bits_allocated=8,
        bits_stored=8,
        photometric="MONOCHROME2",
        boxes_as_stored=True,
    )


def _frame_header(path: Path, content: bytes) -> tuple[_Frame, int]:
    """Return the frame header and where the first scan begins; earlier segments may hold whole thumbnails.

    Raises:
        DicomError: the file ends before its first scan, or has no frame header.
    """
    frame, place = None, 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        code = content[place + 1]
        if code == 0xFF or code in _STANDALONE:  # fill bytes before a marker; markers without a segment
            place += 1 if code == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        if code in _FRAMES and code not in _NO_FRAMES and place + 10 <= len(content):
            frame = _Frame(code, *struct.unpack_from(">BHHB", content, place + 4))
        if code == _START_OF_SCAN and frame is not None:
            return frame, place + 2 + length
        place += 2 + length
    raise DicomError(f"{path}: not a JPEG file, or cut; copy or download it again")
