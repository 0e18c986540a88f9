"""Attributes of a DICOM file, read without trusting its lengths: nothing is inflated, nothing is guessed."""

from __future__ import annotations

import logging
import os
import re
import struct
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any, BinaryIO, cast

from pydicom import dcmread
from pydicom.dataset import FileDataset

from comoto.errors import DicomError

logger = logging.getLogger("comoto.dicom")

CAUSES_OF_DAMAGE = "the file is damaged or cut; copy or download it again"

_PACKAGE = Path(__file__).parents[1]
_PREAMBLE = 128
_META_BYTES = 1 << 16
"""Meta information is a few hundred bytes; more is not looked at."""
_LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
"""Value representations whose length has four bytes (PS3.5, table 7.1-1)."""
_INFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"})
_SHORT_READ = 1 << 16
_LARGEST_ELEMENT = 1 << 28
"""Bytes of one attribute; pixels are not read here, and no other attribute of an image is that long."""

_WARNINGS_OF_DAMAGE = ("End of file", "Unexpected end of file", "Expected implicit", "Expected explicit")
"""Beginnings of pydicom's warnings after which it goes on with a part of the data set, or with a guess.

Its other warnings speak of values that are longer or other than they should be, as de-identification leaves
them; they are logged.
"""
_one_file_at_a_time = threading.RLock()
"""Catching warnings changes the state of the whole process."""


def open_dicom(path: Path) -> BinaryIO:
    """Open a file to read its attributes.

    Raises:
        DicomError: there is no such file.
        OSError: it cannot be opened.
    """
    if not path.is_file():
        raise DicomError(f"{path}: no such file")
    return path.open("rb")


def transfer_syntax_uid(path: Path, file: BinaryIO) -> str:
    """Read the transfer syntax from the file's meta information (PS3.10 section 7.1) and nothing else.

    Args:
        path: for messages.
        file: at its beginning, where it is put back.

    Raises:
        DicomError: it is not DICOM, or it does not say.
    """
    beginning = file.read(_PREAMBLE + 4)
    if beginning[_PREAMBLE:] != b"DICM":
        raise DicomError(f"{path}: not a DICOM file (no 'DICM' after the preamble)")
    meta = file.read(_META_BYTES)
    file.seek(0)
    position = 0
    while position + 12 <= len(meta):
        group, element, kind, length = struct.unpack_from("<HH2sH", meta, position)
        if group != 2:
            break
        position += 8
        if kind in _LONG_FORM:
            (length,) = struct.unpack_from("<I", meta, position)
            position += 4
        if element == 0x10:
            return meta[position : position + length].decode("ascii", "replace").strip(" \0")
        position += length
    raise DicomError(f"{path}: no transfer syntax in the file's meta information; {CAUSES_OF_DAMAGE}")


def read_tags(path: Path, keywords: Sequence[Any]) -> FileDataset:
    """Read some attributes and their sequences whole; stops before the pixels.

    Args:
        path: a DICOM file.
        keywords: attributes as pydicom names them, or their tags.

    Raises:
        DicomError: not a DICOM file, damaged, or deflated (which could unpack to any size).
    """
    with open_dicom(path) as file:
        uid = transfer_syntax_uid(path, file)
        if uid in _INFLATED:
            raise unsupported(path, uid)
        with one_error(path):
            return read_dataset(path, file, keywords)


def read_dataset(path: Path, file: BinaryIO, keywords: Sequence[Any]) -> FileDataset:
    """Do the same with an open file, and leave it where the pixels (or what comes instead) begin.

    The caller has made sure that nothing has to be inflated, and wraps the call in ``one_error``.
    """
    guarded = cast(BinaryIO, _WithinFile(path, file))
    return dcmread(guarded, stop_before_pixels=True, specific_tags=list(keywords))


@contextmanager
def one_error(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises in a block into a ``DicomError``, and its warnings of damage too.

    A defect of this package is no damage of the file and stays what it is; see ``is_defect``.
    """
    try:
        with _one_file_at_a_time, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    except DicomError:
        raise
    except Exception as error:  # damaged bytes surface as almost any type
        if is_defect(error):
            raise
        raise DicomError(
            f"{path}: the header cannot be read ({without_values(error)}); {CAUSES_OF_DAMAGE}"
        ) from error
    for message in (str(warning.message) for warning in caught):
        if message.startswith(_WARNINGS_OF_DAMAGE):
            raise DicomError(f"{path}: {message}; {CAUSES_OF_DAMAGE}")
        logger.debug("%s: %s", path, message)


def is_defect(error: Exception) -> bool:
    """Say whether an error is a defect of this package: of a kind that no bytes cause, from its own code."""
    if not isinstance(error, NameError | ImportError | AssertionError):
        return False
    innermost = "" if error.__traceback__ is None else extract_tb(error.__traceback__)[-1].filename
    return Path(innermost).is_relative_to(_PACKAGE)


def without_values(error: Exception) -> str:
    """Return an outside error's type and words without what it quotes, which may be somebody's name."""
    words = re.sub(r"b?'[^']*'|b?\"[^\"]*\"", "'...'", str(error))
    return f"{type(error).__name__}: {words}"


def quoted(value: object) -> str:
    """Return a value for a message if it is short and looks like numbers; else say that it is text.

    What stands where a number should be may be anybody's name or birth date.
    """
    text = str(value)
    return f"'{text}'" if re.fullmatch(r"[\d.,+\\/\[\] eE-]{0,7}", text) else "text"


class _WithinFile:
    """A file that is never asked for more bytes than it has: Python would set them aside first."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.name = str(path)
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, or fewer at the end of the file.

        Raises:
            DicomError: one attribute claims far more than there is, or than any attribute has.
        """
        if not 0 <= size <= _SHORT_READ and size > min(self._size - self._file.tell(), _LARGEST_ELEMENT):
            raise DicomError(f"{self._path}: an attribute claims {size} bytes; {CAUSES_OF_DAMAGE}")
        return self._file.read(size)

    def close(self) -> None:
        """Leave closing to whoever opened the file."""


def unsupported(path: Path, uid: str) -> DicomError:
    """Return the refusal of a transfer syntax."""
    return DicomError(
        f"{path}: transfer syntax {uid} is not supported; "
        "convert the file to JPEG 2000 Lossless or Explicit VR Little Endian"
    )
