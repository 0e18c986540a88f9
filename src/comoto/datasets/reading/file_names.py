"""Names of files in tables and on disk: what is the same name, and what is only nearly so.

A letter such as ü has two spellings in Unicode, and systems differ in which of them they write; a table made
on one machine and files copied by another then hold the same name in other bytes. That is found. Names that
differ in capitals, or were written in another encoding than UTF-8, are only told: they may be two files.
"""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

from comoto.errors import DatasetError

_OLD_ENCODING = "cp1252"


def names_in(folder: Path | str) -> dict[str, bool]:
    """Return the names in a folder, each with whether it is a folder; nothing where there is no such folder.

    Raises:
        DatasetError: the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be listed: {error.strerror}; check path and permissions"
        ) from error


def find_name(name: str, names: Collection[str]) -> str | None:
    """Return the name as it is on disk; None where it is not there, or two names could be meant.

    Args:
        name: as a table writes it.
        names: what is on disk.
    """
    if name in names:
        return name
    if name.isascii():
        return None
    wanted = unicodedata.normalize("NFC", name)
    same = [other for other in names if unicodedata.normalize("NFC", other) == wanted]
    return same[0] if len(same) == 1 else None


def as_spelt(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return those of some names that stand among known ones, in the spelling of these.

    Args:
        names: as one table writes them.
        known: as another one does. Of two that differ in their bytes only (NFC and NFD), neither is meant by
            a third spelling.
    """
    exact = set(known)
    alike: dict[str, list[str]] = {}
    for name in exact:
        if not name.isascii():
            alike.setdefault(unicodedata.normalize("NFC", name), []).append(name)
    found = {}
    for name in set(names):
        same = [name] if name in exact else alike.get(unicodedata.normalize("NFC", name), [])
        if len(same) == 1:
            found[name] = same[0]
    return found


def near_name(name: str, names: Iterable[str]) -> str:
    """Say which existing name is near to one that is not there; empty if none is."""
    there = list(names)
    for other in there:
        if _in_old_encoding(other) == unicodedata.normalize("NFC", name):
            return f" (a file has that name in another encoding than UTF-8: {printable(other)}; rename it)"
    for other in there:
        if other.casefold() == name.casefold():
            return f" (there is a '{printable(other)}', in other capital or small letters)"
    readable = [other for other in there if _is_text(other)]
    near = difflib.get_close_matches(name, readable, n=1, cutoff=0.8)
    if not near:
        return ""
    if unicodedata.normalize("NFC", near[0]) == unicodedata.normalize("NFC", name):
        return " (there are several files of that name, spelt in other bytes)"
    return f" (there is a '{near[0]}')"


def printable(text: str) -> str:
    """Return a name so that it can be printed: bytes that are no UTF-8 as hexadecimal numbers."""
    return os.fsencode(text).decode("utf-8", errors="backslashreplace")


def require_text(paths: Iterable[str]) -> None:
    """Check that paths can be written into a table.

    Raises:
        DatasetError: one is no UTF-8.
    """
    wrong = [path for path in paths if not _is_text(path)]
    if wrong:
        raise DatasetError(
            f"{printable(wrong[0])}: {len(wrong)} paths of images are not written in UTF-8, which no "
            "manifest can hold; rename files and folders (convmv does many at once)"
        )


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in name)


def _in_old_encoding(name: str) -> str | None:
    """Return a name that is no UTF-8 as Windows would read it."""
    if _is_text(name):
        return None
    return os.fsencode(name).decode(_OLD_ENCODING, errors="replace")
