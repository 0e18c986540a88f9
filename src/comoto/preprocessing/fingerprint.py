"""Telling images apart by content, so that a moved or copied file is known again without decoding it.

The rule, for every file that belongs to an image (one file, or one per slice in the order of their names; a
``.mhd`` header and its raw file): its length and the bytes of up to 16 blocks of 64 KiB, spread evenly from
the first to the last; a file of up to 1 MiB is read whole. The first block of a DICOM file holds its SOP
Instance UID. Names, folders and times are not part of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from comoto.errors import DatasetError
from comoto.sources import source_files

BLOCK = 64 * 1024
BLOCKS = 16


def fingerprint(path: Path) -> str:
    """Return the hash of an image's content, 64 hexadecimal digits; equal content, equal hash.

    Reads at most 1 MiB of every file.

    Args:
        path: what ``comoto.sources.open_source`` opens.

    Raises:
        DatasetError: there is no such file or folder.
        DicomError: a MetaImage header names no raw file that may be read.
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for file in _files(path):
        size = file.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with file.open("rb") as stream:
            for start in _starts(size):
                stream.seek(start)
                digest.update(stream.read(BLOCK))
    return digest.hexdigest()


def stamp(path: Path) -> str:
    """Return a hash of where an image lies and of its files' lengths and times: cheap, no file is opened.

    An equal stamp spares reading for the fingerprint; a different one proves nothing.

    Raises:
        DatasetError: there is no such file or folder.
    """
    parts = [str(path)]
    for file in _files(path):
        status = file.stat()
        parts.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _starts(size: int) -> list[int]:
    """Return where the blocks begin: all of a small file, else evenly spread and the last one at the end."""
    if size <= BLOCK * BLOCKS:
        return list(range(0, size, BLOCK))
    return [(size - BLOCK) * number // (BLOCKS - 1) for number in range(BLOCKS)]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        if not files:
            raise DatasetError(f"{path}: no file in this folder")
        return files
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    return source_files(path)
