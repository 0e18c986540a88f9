"""Telling images apart by content, so that a moved or copied file is known again without decoding it.

The rule, for every file that belongs to an image (one file, or one per slice in the order of their names; a
``.mhd`` header and its raw file): its length and all of its bytes. Nothing vouches for bytes but the bytes
themselves: raw volumes carry no identity at all, and two DICOM files of one SOP Instance UID may differ, for
anonymisers and exports that draw, crop or compress anew often keep it. Names, folders and times are not part
of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from comoto.errors import DatasetError
from comoto.sources import SourceKind, source_files

BLOCK = 1 << 20


def fingerprint(path: Path, kind: SourceKind | None = None) -> str:
    """Return the SHA-256 of an image's content, 64 hexadecimal digits; equal content, equal hash.

    Args:
        path: what ``comoto.sources.open_source`` opens.
        kind: what a look at it told; see there.

    Raises:
        DatasetError: there is no such file or folder.
        DicomError: a MetaImage header names no raw file that may be read.
        OSError: a file cannot be read.
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(BLOCK))
    for file in _files(path, kind):
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        with file.open("rb", buffering=0) as stream:
            while length := stream.readinto(buffer):
                digest.update(buffer[:length])
    return digest.hexdigest()


def stamp(path: Path, kind: SourceKind | None = None) -> str:
    """Return a hash of where an image lies and of its files' lengths and times: cheap, no file is opened.

    An equal stamp spares reading for the fingerprint; a different one proves nothing. Besides the time of
    modification, which copying tools set to that of the original, it holds the time of the last change of the
    file's entry, which nobody can set on Linux and macOS.

    Raises:
        DatasetError: there is no such file or folder.
    """
    parts = [str(path)]
    for file in _files(path, kind):
        status = file.stat()
        parts.append(f"{file.name} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _files(path: Path, kind: SourceKind | None) -> list[Path]:
    if not path.exists():
        raise DatasetError(f"{path}: no such file")
    files = source_files(path, kind)
    if not files:
        raise DatasetError(f"{path}: no file in this folder")
    return files
