"""Readers of public data sets: from their own files and tables to a manifest."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

from comoto.components import resolve
from comoto.errors import ConfigError, OutputExistsError
from comoto.records import Manifest

__all__ = ["index", "refuse_folder", "save_manifest"]


def index(dataset: str, root: Path, **options: Any) -> Manifest:
    """Read a data set's own files and tables.

    Args:
        dataset: a name of ``comoto.components.DATASETS``, or ``module:function`` of outside code.
        root: folder of the data set.
        options: further arguments of that reader, such as ``tables`` of ``read_bcs_dbt``.

    Raises:
        ConfigError: the name is unknown, or the reader has no such option.
        DatasetError: the data set is incomplete or wrong; see the reader.
    """
    reader = resolve("data set", dataset)
    known = set(inspect.signature(reader).parameters)
    for name in options:
        if name not in known:
            raise ConfigError(f"data set '{dataset}' takes no '{name.replace('_', '-')}'")
    manifest: Manifest = reader(Path(root), **options)
    return manifest


def save_manifest(manifest: Manifest, folder: Path, overwrite: bool = False) -> None:
    """Write a manifest into a new folder, which appears when it is complete.

    Args:
        manifest: what to write.
        folder: new or empty.
        overwrite: replace an earlier manifest in ``folder``.

    Raises:
        OutputExistsError: the folder is not empty, or is not one that only a manifest was written to.
    """
    refuse_folder(folder, overwrite)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    manifest.save(partial)
    if folder.exists():
        shutil.rmtree(folder)
    partial.replace(folder)


def refuse_folder(folder: Path, overwrite: bool) -> None:
    """Check before the work starts that a manifest may be written into the folder.

    Raises:
        OutputExistsError: see ``save_manifest``.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder}: is a file; name a folder")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if not names:
        return
    if not overwrite:
        raise OutputExistsError(f"{folder}: is not empty; choose another folder, or add --overwrite")
    foreign = sorted(names - {"images.parquet", "lesions.parquet", "manifest.json", "summary.txt"})
    if foreign:
        raise OutputExistsError(f"{folder}: holds more than a manifest ({foreign[0]}); choose another folder")
