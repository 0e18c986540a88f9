"""Where the files of the generic tables are: each folder is listed once, however many images it holds."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.tables import Table
from comoto.errors import DatasetError

_SHOWN = 3


def locate_files(
    root: Path, table: Table, paths: pd.Series[str], allow_missing: bool
) -> tuple[pd.Series[str], tuple[str, ...]]:
    """Return the absolute paths of the images that are on disk, and a line about the others.

    Args:
        root: what relative paths start from.
        table: for messages.
        paths: as written, with ``/``; a file, a folder with one file per slice, or a folder with one file.
        allow_missing: pass over images that are not there, instead of refusing.

    Raises:
        DatasetError: images are missing, or all of them are.
    """
    folders: dict[str, dict[str, bool]] = {}
    found = []
    for path in paths:
        full = os.path.normpath(os.path.join(root, path))  # noqa: PTH118 a hundred thousand of them
        parent, name = os.path.split(full)
        if parent not in folders:
            folders[parent] = _listed(parent)
        is_folder = folders[parent].get(name)
        found.append("" if is_folder is None else _only_file(full) if is_folder else full)
    located = pd.Series(found, index=paths.index, dtype="string")
    missing = located == ""
    if not missing.any():
        return located, ()
    lines = [int(line) for line in paths.index[missing]]
    if missing.all() or not allow_missing:
        first = os.path.normpath(os.path.join(root, paths.loc[lines[0]]))  # noqa: PTH118
        raise DatasetError(
            f"{table.path}: {len(lines)} of {len(paths)} images are not on disk ({lines_text(lines)}), such "
            f"as {first}{_hint(first, folders)}; relative paths start from ROOT ({root}); correct them, or "
            "index only what is there with --allow-missing"
        )
    count = f"{len(lines)} of {len(paths)} images are not on disk"
    return located[~missing], (f"{table.path.name}: {count}, in {lines_text(lines)}",)


def table_files(folder: Path) -> list[Path]:
    """Return the text tables of a folder, in alphabetical order."""
    endings = (".csv", ".tsv", ".txt")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings and path.is_file())


def named(files: Sequence[Path], words: Sequence[str]) -> Path | None:
    """Return the first file whose name without ending is one of the words."""
    return next((path for word in words for path in files if path.stem.lower() == word), None)


def _listed(folder: str) -> dict[str, bool]:
    """Return name -> is a folder; empty where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read: {error.strerror}; check the permissions") from error


def _only_file(folder: str) -> str:
    """Return the file of a folder that holds just one, else the folder; empty where it holds none."""
    names = [name for name, is_folder in _listed(folder).items() if not is_folder and name[0] != "."]
    if len(names) == 1:
        return os.path.join(folder, names[0])  # noqa: PTH118
    return folder if names else ""


def _hint(path: str, folders: dict[str, dict[str, bool]]) -> str:
    """Say which existing name is near, or which folder of the path is the first that is not there."""
    parent, name = os.path.split(path)
    near = difflib.get_close_matches(name, folders.get(parent, {}), n=1, cutoff=0.8)
    if near:
        return f" (there is a '{near[0]}')"
    lacking = Path(path)
    while not lacking.parent.exists():
        lacking = lacking.parent
    return f" (there is no '{lacking.name}' in {lacking.parent})"
