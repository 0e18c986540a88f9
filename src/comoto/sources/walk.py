"""A folder and everything below it, each place once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(root: Path, unreadable: Callable[[OSError], None]) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with the names in it that are no folders, both in a fixed order.

    Links to folders are followed; a folder that was seen under another name is not entered again.

    Args:
        root: a folder.
        unreadable: called with the error of a folder that cannot be listed, whose ``filename`` is set.
    """
    seen: set[str] = set()
    for name, folders, files in os.walk(root, onerror=unreadable, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield Path(name), sorted(files)
