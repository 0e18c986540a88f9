"""Where the files of the generic tables are: each folder is listed once, however many images it holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.reading.file_names import find_name, names_in, near_name, require_text
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.tables import Table


def locate_files(
    root: Path, table: Table, paths: pd.Series[str], allow_missing: bool, ledger: Ledger
) -> pd.Series[str]:
    """Return the absolute paths of the images that are on disk.

    Args:
        root: what relative paths start from.
        table: for messages.
        paths: as written, with ``/``; a file, a folder with one file per slice, or a folder with one file.
        allow_missing: pass over images that are not there, instead of refusing.
        ledger: gets a line about those.

    Raises:
        DatasetError: images are missing, or all of them are.
    """
    folders = _Folders()
    found = []
    for path in paths:
        full = os.path.normpath(os.path.join(root, path))  # noqa: PTH118 a hundred thousand of them
        real, is_folder = folders.find(full)
        found.append(_only_file(real) if is_folder else real)
    require_text(found)
    located = pd.Series(found, index=paths.index, dtype="string")
    missing = located == ""
    table.refuse(
        located.duplicated(keep=False) & ~missing,
        "two rows name the same file in other words",
        "keep one row of each image, with all of its lesions",
    )
    if not missing.any():
        return located
    lines = [int(line) for line in paths.index[missing]]
    absent = [os.path.normpath(os.path.join(root, path)) for path in paths[missing]]  # noqa: PTH118
    names = [f"{path} (line {line})" for path, line in zip(absent, lines, strict=True)]
    names[0] += folders.hint(absent[0])
    way_out = f"relative paths start from ROOT ({root}); correct them"
    refuse_missing(table.path, "images", names, len(paths), allow_missing, way_out=way_out)
    count = f"{len(lines)} of {len(paths)} images are not on disk"
    ledger.drop(f"{table.path.name}: {count}, in {lines_text(lines)}")
    return located[~missing]


def table_files(folder: Path) -> list[Path]:
    """Return the text tables of a folder, in alphabetical order."""
    endings = (".csv", ".tsv", ".txt")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings and path.is_file())


def named(files: Sequence[Path], words: Sequence[str]) -> Path | None:
    """Return the first file whose name without ending is one of the words."""
    return next((path for word in words for path in files if path.stem.lower() == word), None)


class _Folders:
    """Listings of folders, each made once, however many images a folder holds."""

    def __init__(self) -> None:
        self._listed: dict[str, dict[str, bool]] = {}
        self._spelt: dict[str, str | None] = {}

    def find(self, path: str) -> tuple[str, bool]:
        """Return a path as it is on disk, empty if it is not there, and whether it is a folder."""
        parent, name = os.path.split(path)
        real = self._folder(parent)
        found = None if real is None else find_name(name, self._names(real))
        if real is None or found is None:
            return "", False
        return os.path.join(real, found), self._names(real)[found]  # noqa: PTH118

    def hint(self, path: str) -> str:
        """Say which existing name is near, or which folder of the path is the first that is not there."""
        parent, name = os.path.split(path)
        real = self._folder(parent)
        if real is not None:
            near = near_name(name, self._names(real))
            return near or f" (there is no '{name}' in {real})"
        lacking, real = parent, None
        while real is None:
            parent, name = os.path.split(lacking)
            real, lacking = self._folder(parent), parent
        return near_name(name, self._names(real)) or f" (there is no '{name}' in {real})"

    def _folder(self, path: str) -> str | None:
        """Return a folder as it is on disk; its parents may be spelt in other bytes too."""
        if path not in self._spelt:
            if os.path.isdir(path):  # noqa: PTH112
                self._spelt[path] = path
            else:
                real, is_folder = ("", False) if path == os.path.dirname(path) else self.find(path)  # noqa: PTH120
                self._spelt[path] = real if is_folder else None
        return self._spelt[path]

    def _names(self, folder: str) -> dict[str, bool]:
        if folder not in self._listed:
            self._listed[folder] = names_in(folder)
        return self._listed[folder]


def _only_file(folder: str) -> str:
    """Return the file of a folder that holds just one, else the folder; empty where it holds none."""
    names = [name for name, is_folder in names_in(folder).items() if not is_folder and name[0] != "."]
    if len(names) == 1:
        return os.path.join(folder, names[0])  # noqa: PTH118
    return folder if names else ""
