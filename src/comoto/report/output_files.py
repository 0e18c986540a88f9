"""Output files: never overwritten by accident, never left half-written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from comoto.errors import OutputExistsError


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Check before the work starts that every file may be written.

    Raises:
        OutputExistsError: a path is a folder, or exists and ``overwrite`` is false.
    """
    for path in paths:
        if path.is_dir():
            raise OutputExistsError(f"{path}: is a folder; name a file in it")
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists; choose another name, or add --overwrite")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, then give it the name; folders are made.

    The file beside it keeps the suffix, because writers such as matplotlib choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with ``write_whole``."""
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
