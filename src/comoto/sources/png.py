"""Grey PNG pictures of 8 or 16 bits, as extracts of mammography archives hold them."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np

from comoto.dicom.decode import Pixels
from comoto.dicom.header import MAX_SIDE
from comoto.dicom.source import Source
from comoto.errors import DicomError
from comoto.image_header import ImageHeader

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = 0
_COLOUR_TYPES = {2: "colour", 3: "a palette", 4: "grey with transparency", 6: "colour with transparency"}
_DAMAGED = "the file is damaged; copy or download it again"


class PngImage(Source):
    """One grey picture; it is decoded when its frame is asked for.

    Attributes:
        path: the file.
        header: size and bits; everything else is unknown to a PNG.

    Raises:
        DicomError: the file is cut, coloured, of fewer than 8 bits, or larger than any mammogram.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_png_header(path)

    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Decode the picture; see ``Source.frame``.

        Raises:
            DicomError: there is no such frame, or the file is damaged.
        """
        if reduce:
            raise ValueError("PNG files hold no smaller picture; reduce is 0")
        if index != 0:
            raise DicomError(f"{self.path}: no frame {index}; a PNG has frame 0 only")
        try:
            pixels = imagecodecs.png_decode(self.path.read_bytes())
        except Exception as error:  # the decoder raises several types
            raise DicomError(f"{self.path}: cannot be decoded ({error}); {_DAMAGED}") from error
        if pixels.shape != self.shape or pixels.dtype.itemsize * 8 != self.header.bits_allocated:
            raise DicomError(f"{self.path}: decodes to {pixels.shape} {pixels.dtype}; {_DAMAGED}")
        return np.array(pixels, dtype=np.uint8 if self.header.bits_allocated == 8 else np.uint16)


def read_png_header(path: Path) -> ImageHeader:
    """Read and check the IHDR chunk (PNG specification, 11.2.1).

    Raises:
        DicomError: see ``PngImage``.
    """
    with path.open("rb") as file:
        beginning = file.read(33)
    if len(beginning) < 33 or not beginning.startswith(SIGNATURE) or beginning[12:16] != b"IHDR":
        raise DicomError(f"{path}: not a PNG file, or cut; copy or download it again")
    columns, rows, bits, kind = struct.unpack(">IIBB", beginning[16:26])
    if kind != _GREY:
        raise DicomError(
            f"{path}: a PNG with {_COLOUR_TYPES.get(kind, f'colour type {kind}')}; "
            "only grey pictures of 8 or 16 bits are read"
        )
    if bits not in (8, 16):
        raise DicomError(f"{path}: a PNG of {bits} bits; only grey pictures of 8 or 16 bits are read")
    if not (1 <= rows <= MAX_SIDE and 1 <= columns <= MAX_SIDE):
        raise DicomError(f"{path}: {rows} x {columns} pixels are not a mammogram; {_DAMAGED}")
    return ImageHeader(
        path=path,
        rows=rows,
        columns=columns,
        num_frames=1,
        bits_allocated=bits,
        bits_stored=bits,
        photometric="MONOCHROME2",
        boxes_as_stored=True,
    )
