"""Readers of public data sets: from their own files and tables to a manifest."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from comoto.components import allow_typed, resolve, suggest
from comoto.datasets.catalogue import WITHOUT_READER
from comoto.datasets.reading.boxes import without_repeats
from comoto.datasets.reading.file_names import require_text
from comoto.datasets.reading.views import view_keys
from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.output_files import refuse_working_folder, whole_folder
from comoto.records import MANIFEST_FILES, Manifest

__all__ = ["index", "reader_options", "refuse_folder", "save_manifest"]

_LISTED = 10
_SWITCHES = {
    "dataset": "the first word",
    "root": "the second word",
    "tables": "--tables FOLDER",
    "categories": "--category WORD",
    "allow_missing": "--allow-missing",
    "strict": "--strict",
}
"""Arguments of ``index`` that the command line has its own way to give."""


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
    if dataset in WITHOUT_READER:
        raise ConfigError(f"data set '{dataset}' has no reader: {WITHOUT_READER[dataset].not_read}")
    allow_typed({"kind": dataset})
    reader = resolve("data set", dataset)
    known = set(inspect.signature(reader).parameters) - {"root"}
    for name in options:
        if name not in known:
            if name in _SWITCHES:
                raise ConfigError(f"data set '{dataset}' does not take {_SWITCHES[name]}; leave it out")
            word = name.replace("_", "-")
            words = [one.replace("_", "-") for one in known if one not in _SWITCHES]
            raise ConfigError(f"data set '{dataset}' takes no '{word}'; {suggest(word, words)}")
    _require_there(Path(root), options)
    manifest = without_repeats(reader(Path(root), **options))
    manifest = _with_own_keys(_without_nobody(root, manifest))
    if strict and manifest.dropped:
        listed = "; ".join(manifest.dropped[:_LISTED])
        more = f"; and {len(manifest.dropped) - _LISTED} more" if len(manifest.dropped) > _LISTED else ""
        raise DatasetError(f"{root}: --strict, and {len(manifest.dropped)} would be left out: {listed}{more}")
    return manifest


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


def _require_there(root: Path, options: Mapping[str, Any]) -> None:
    """Check that what the user names exists.

    Raises:
        DatasetError: it does not, or the root's name cannot be written into a manifest.
    """
    if not root.exists():
        raise DatasetError(f"{root}: no such folder")
    require_text([str(root.absolute())])
    tables = options.get("tables")
    if tables is not None and not Path(tables).exists():
        raise DatasetError(f"{tables}: no such file or folder; correct --tables")


def reader_options(texts: Sequence[str]) -> dict[str, str]:
    """Return ``name=value`` texts as options of a reader, hyphens in names as underscores.

    Raises:
        ConfigError: a text has no name or no ``=``, a name stands twice, or is that of a switch.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        key = name.strip().replace("-", "_")
        if not equals or not key:
            raise ConfigError(f"--set {text}: expected option=value")
        if key in options:
            raise ConfigError(f"--set {text}: {name.strip()} is given twice")
        if key in _SWITCHES:
            raise ConfigError(f"--set {text}: write {_SWITCHES[key]} instead")
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
    with whole_folder(folder, overwrite) as part:
        manifest.save(part)


def refuse_folder(folder: Path, overwrite: bool) -> None:
    """Check before the work starts that a manifest may be written into the folder.

    Raises:
        OutputExistsError: see ``save_manifest``; or the folder cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder}: is a file; name a folder")
    refuse_working_folder(folder)
    above = folder.absolute().parent  # the folder is replaced whole, so what counts is where it lies
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise OutputExistsError(f"{above}: is no folder, so nothing can be below it; choose another --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputExistsError(f"{folder}: cannot be made, {above} is read-only; choose another folder")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if not names:
        return
    if not overwrite:
        raise OutputExistsError(f"{folder}: is not empty; choose another folder, or add --overwrite")
    foreign = sorted(names - set(MANIFEST_FILES))
    if foreign:
        raise OutputExistsError(f"{folder}: holds more than a manifest ({foreign[0]}); choose another folder")
