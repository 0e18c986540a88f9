"""The files of a manifest: two tables, and ``manifest.json``, which vouches for itself and for both."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from comoto.checksums import file_sha256, read_json_object, write_sealed_json
from comoto.errors import DatasetError
from comoto.output_files import atomic_write, refuse_folder, write_text

MANIFEST_FILES = ("images.parquet", "lesions.parquet", "manifest.json", "summary.txt")
AGAIN = "make the manifest again ('comoto index' or 'comoto split'; 'comoto prepare' in a prepared store)"
"""What to do about a damaged one."""

_FORMAT, _FORMER_FORMAT = "comoto-manifest-2", "comoto-manifest-1"


def refuse_manifest_folder(folder: Path, overwrite: bool) -> None:
    """Check before the work starts that a manifest may be written into the folder.

    Raises:
        OutputExistsError: the folder holds something that is no manifest, or one and ``overwrite`` is not
            set; or it cannot be made or written to.
    """
    refuse_folder(folder, "a manifest", MANIFEST_FILES, overwrite)


def write_manifest_files(
    folder: Path, tables: Mapping[str, pd.DataFrame], about: Mapping[str, Any], summary: str
) -> None:
    """Write ``MANIFEST_FILES``, ``manifest.json`` as the last one.

    Args:
        folder: of the manifest.
        tables: ``images`` and ``lesions``.
        about: what ``manifest.json`` says besides.
        summary: text of ``summary.txt``.
    """
    path = folder / "manifest.json"
    path.unlink(missing_ok=True)  # whatever ends this early, nobody reads old and new mixed
    sums = {}
    for name, table in tables.items():
        with atomic_write(folder / f"{name}.parquet") as part:
            table.to_parquet(part, index=False)
        sums[f"{name}.parquet"] = file_sha256(folder / f"{name}.parquet")
    write_text(folder / "summary.txt", summary + "\n")
    write_sealed_json(path, {"format": _FORMAT, **about, "sha256": sums}, indent=2)


def read_manifest_files(folder: Path) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Return what ``write_manifest_files`` was given, also in the former format, which has no checksums.

    Raises:
        DatasetError: the folder holds no manifest, or one of its files is damaged.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise DatasetError(f"{folder}: no manifest.json here; make one with 'comoto index'")
    content = read_json_object(path, DatasetError, AGAIN, unsealed=(_FORMER_FORMAT,))
    if content.get("format") not in (_FORMAT, _FORMER_FORMAT):
        raise DatasetError(f"{path}: format {content.get('format')!r} is not {_FORMAT}; {AGAIN}")
    sums = content.get("sha256", {})
    images, lesions = (_read_table(folder / name, sums.get(name)) for name in MANIFEST_FILES[:2])
    return content, images, lesions


def _read_table(path: Path, sha256: str | None) -> pd.DataFrame:
    """Read a Parquet file whose bytes must add up to ``sha256``; None in the former format."""
    if not path.is_file():
        raise DatasetError(f"{path}: is missing; {AGAIN}")
    data = path.read_bytes()
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise DatasetError(f"{path}: is damaged, or was changed since it was written (checksum); {AGAIN}")
    try:
        return pd.read_parquet(io.BytesIO(data))
    except Exception as error:  # the library of a damaged file may raise anything
        raise DatasetError(f"{path}: is damaged (no Parquet table); {AGAIN}") from error
