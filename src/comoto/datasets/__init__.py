"""Readers of public data sets: from their own files and tables to a manifest."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from comoto.components import allow_typed, resolve
from comoto.datasets.catalogue import WITHOUT_READER
from comoto.datasets.reading.boxes import without_repeats
from comoto.datasets.reading.file_names import require_text
from comoto.datasets.reading.options import options_of, parse_options, require_options
from comoto.datasets.reading.views import view_keys
from comoto.errors import ConfigError, DatasetError
from comoto.records import Manifest
from comoto.wording import first_few

__all__ = ["index"]

_LISTED = 10


def index(dataset: str, root: Path, *, strict: bool = False, **options: Any) -> Manifest:
    """Read a data set's own files and tables.

    Args:
        dataset: a name of ``comoto.components.DATASETS``, or ``module:function`` of outside code.
        root: folder of the data set.
        strict: refuse what would be left out (``Manifest.dropped``).
        options: of that reader; ``comoto datasets NAME`` explains them.

    Raises:
        ConfigError: the name is unknown, or the reader has no such option or no such value of it.
        DatasetError: the data set is incomplete or wrong, see the reader; or something would be left out and
            ``strict`` is set.
    """
    if dataset in WITHOUT_READER:
        raise ConfigError(f"data set '{dataset}' has no reader: {WITHOUT_READER[dataset].not_read}")
    allow_typed({"kind": dataset})
    reader = resolve("data set", dataset)
    manifest = without_repeats(_read(dataset, reader, Path(root), options))
    manifest = _with_own_keys(_without_nobody(root, manifest))
    if strict and manifest.dropped:
        listed = first_few(manifest.dropped, _LISTED, "; ")
        raise DatasetError(f"{root}: --strict, and {len(manifest.dropped)} would be left out: {listed}")
    return manifest


def _read(dataset: str, reader: Any, root: Path, options: Mapping[str, Any]) -> Manifest:
    """Call a reader with its options; one of outside code may take them as plain arguments."""
    kind, root = options_of(reader), root.absolute()
    found: Manifest
    if kind is None:
        require_options(dataset, options, set(inspect.signature(reader).parameters) - {"root"})
        _require_there(root, options.get("tables"))
        found = reader(root, **options)
    else:
        chosen = parse_options(dataset, kind, options)
        _require_there(root, getattr(chosen, "tables", None))
        found = reader(root, chosen)
    return found


def _without_nobody(root: Path, manifest: Manifest) -> Manifest:
    """Leave out images of no patient: blank ids would make one person of all of them, in one part.

    Raises:
        DatasetError: no image has a patient.
    """
    blank = manifest.images["patient_id"].fillna("").str.strip() == ""
    if not blank.any():
        return manifest
    paths = manifest.images["path"][blank]
    line = f"{len(paths)} images have no patient, such as {paths.iloc[0]}"
    if blank.all():
        raise DatasetError(f"{root}: {line}; give each a patient_id in a table (comoto index csv)")
    kept = manifest.select(~blank)
    return Manifest(kept.name, kept.images, kept.lesions, kept.notes, (*kept.dropped, line))


def _with_own_keys(manifest: Manifest) -> Manifest:
    """Number repeated views of a study: tables of predictions would take two images of one key for one."""
    images = manifest.images
    within = images["study_id"] + "\n" + images["modality"]
    keys = pd.Series(view_keys(list(within), list(images["view_key"])), index=images.index, dtype="string")
    changed = keys != images["view_key"]
    if not changed.any():
        return manifest
    note = (
        f"{int(changed.sum())} views are in their study more than once and get a number, such as "
        f"{keys[changed].iloc[0]} of {images['study_id'][changed].iloc[0]}"
    )
    numbered = images.assign(view_key=keys)
    return Manifest(manifest.name, numbered, manifest.lesions, (*manifest.notes, note), manifest.dropped)


def _require_there(root: Path, tables: Path | None) -> None:
    """Check that what the user names exists.

    Raises:
        DatasetError: it does not, or the root's name cannot be written into a manifest.
    """
    if not root.exists():
        raise DatasetError(f"{root}: no such folder")
    require_text([str(root.absolute())])
    if tables is not None and not Path(tables).exists():
        raise DatasetError(f"{tables}: no such file or folder; correct --tables")
