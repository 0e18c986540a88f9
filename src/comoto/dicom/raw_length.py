"""Whether uncompressed pixels are as long as the header says, and what to think of more.

Some systems round the length of Pixel Data up, to an even number of bytes or to a block of the disk;
receivers are to expect it (PS3.5 section 8.1.1). But more bytes are also what a header leaves over that
states too few frames, rows or columns, and with wrong columns every row begins at the wrong place.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from comoto.dicom.log_once import warn_once
from comoto.dicom.tags import CAUSES_OF_DAMAGE
from comoto.errors import DicomError

if TYPE_CHECKING:
    from comoto.dicom.header import DicomHeader

_FILLERS = (b"\x00", b"\xff", b" ")
_CLEARLY = 2


def check_raw_length(header: DicomHeader, offset: int, length: int) -> None:
    """Compare the length of uncompressed Pixel Data with the header and with the file.

    Args:
        header: what it says of the pixels.
        offset: where the value of Pixel Data begins.
        length: of that value, as the element says.

    Raises:
        DicomError: bytes are missing, or there are more than filling up explains.
    """
    path = header.path
    expected = header.num_frames * header.bytes_per_frame
    excess = length - expected
    there = path.stat().st_size - offset
    if excess not in (0, expected % 2) and not (
        0 < excess < header.bytes_per_frame and there >= length and _is_filler(path, offset, expected, excess)
    ):
        raise DicomError(
            f"{path}: {length} bytes of pixel data, but {header.num_frames} frames of {header.rows} x "
            f"{header.columns} pixels need {expected}; the header is wrong or the file is damaged"
        )
    if there < expected:
        raise DicomError(
            f"{path}: only {there} of {expected} bytes of pixel data are there; {CAUSES_OF_DAMAGE}"
        )
    if excess <= expected % 2:
        return
    more, rest = divmod(excess, header.num_frames * header.rows * header.bytes_per_pixel)
    if not rest and _fits_better(header, offset, header.columns + more):
        raise DicomError(
            f"{path}: {length} bytes of pixel data make {header.columns + more} columns, and the picture "
            f"ends there, but the header says {header.columns}; the header is wrong"
        )
    warn_once("excess bytes", f"{path}: {excess} bytes of filling follow the pixels; they are passed over")


def _is_filler(path: Path, offset: int, expected: int, excess: int) -> bool:
    with path.open("rb") as file:
        file.seek(offset + expected)
        rest = file.read(excess)
    return rest in {filler * excess for filler in _FILLERS}


def _fits_better(header: DicomHeader, offset: int, columns: int) -> bool:
    """Say whether rows of another length clearly end where the picture does.

    The last pixel of a row and the first of the next lie on opposite sides of the picture, breast here and
    air there, and so differ more than neighbours do. Where rows are cut at the wrong places they are
    neighbours.
    """
    with header.path.open("rb") as file:
        file.seek(offset)
        data = file.read(header.rows * columns * header.bytes_per_pixel)
    values = np.frombuffer(data, header.stored_type).astype(np.int32)
    return _seam(values, columns) > _CLEARLY * _seam(values, header.columns)


def _seam(values: NDArray[np.int32], columns: int) -> float:
    """Return the mean difference of the first pixel of a row and the last of the row before."""
    first = values[columns::columns]
    last = values[columns - 1 :: columns][: len(first)]
    return float(np.abs(first - last).mean()) if len(first) else 0.0
