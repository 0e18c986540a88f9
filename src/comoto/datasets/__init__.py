"""Readers of public data sets: from their own files and tables to a manifest."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comoto.components import resolve
from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.records import Manifest

__all__ = ["index", "reader_options", "refuse_folder", "save_manifest"]

_LISTED = 10


def index(dataset: str, root: Path, *, strict: bool = False, **options: Any) -> Manifest:
    """Read a data set's own files and tables.

    Args:
        dataset: a name of ``comoto.components.DATASETS``, or ``module:function`` of outside code.
        root: folder of the data set.
        strict: refuse what would be left out (``Manifest.dropped``).
        options: further arguments of that reader, such as ``tables`` of ``read_bcs_dbt``.

    Raises:
        ConfigError: the name is unknown, or the reader has no such option.
        DatasetError: the data set is incomplete or wrong, see the reader; or something would be left out and
            ``strict`` is set.
    """
    reader = resolve("data set", dataset)
    known = set(inspect.signature(reader).parameters)
    for name in options:
        if name not in known:
            raise ConfigError(f"data set '{dataset}' takes no '{name.replace('_', '-')}'")
    manifest: Manifest = reader(Path(root), **options)
    if strict and manifest.dropped:
        listed = "; ".join(manifest.dropped[:_LISTED])
        more = f"; and {len(manifest.dropped) - _LISTED} more" if len(manifest.dropped) > _LISTED else ""
        raise DatasetError(f"{root}: --strict, and {len(manifest.dropped)} would be left out: {listed}{more}")
    return manifest


def reader_options(texts: Sequence[str]) -> dict[str, str]:
    """Return ``name=value`` texts as options of a reader, hyphens in names as underscores.

    Raises:
        ConfigError: a text has no name or no ``=``, or a name stands twice.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        key = name.strip().replace("-", "_")
        if not equals or not key:
            raise ConfigError(f"--set {text}: expected option=value")
        if key in options:
            raise ConfigError(f"--set {text}: {name.strip()} is given twice")
        options[key] = value
    return options


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
