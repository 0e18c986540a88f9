"""Where an OMI-DB download keeps its JSON and its images; each folder is listed once."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comoto.datasets.reading.file_names import names_in
from comoto.errors import DatasetError

_CLIENT = re.compile(r"^(demd|optm)", re.IGNORECASE)
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class OmidbFolders:
    """The three places of a download; they may be one.

    Attributes:
        data: ``<client>/imagedb_<client>.json`` and the JSON headers.
        images: ``<client>/<study>/<image>.dcm``.
        nbss: ``<client>/nbss_<client>.json``.
    """

    data: Path
    images: Path
    nbss: Path


def find_folders(root: Path, data: str | None, images: str | None, nbss: str | None) -> OmidbFolders:
    """Return the folders, by default ``data`` and ``images`` below root, or root itself.

    Args:
        root: where relative options start from.
        data: folder of the IMAGEDB files.
        images: folder of the DICOM files.
        nbss: folder of the NBSS files; that of the data if not given.

    Raises:
        DatasetError: there is no such folder.
    """
    of_data = _folder(root, "data", data)
    return OmidbFolders(
        of_data, _folder(root, "images", images), of_data if nbss is None else _folder(root, "nbss", nbss)
    )


def client_names(folders: OmidbFolders) -> list[str]:
    """Return the clients, in the order of their numbers.

    A client is a folder named ``demd...`` or ``optm...``, or one that holds its own IMAGEDB file.
    """
    names = [name for name, is_folder in names_in(folders.data).items() if is_folder]
    found = [name for name in names if _CLIENT.match(name) or client_json(folders.data, name, "imagedb")]
    return sorted(found, key=lambda name: [part.zfill(12) for part in _DIGITS.split(name)])


def client_json(folder: Path, client: str, kind: str) -> Path | None:
    """Return ``<folder>/<client>/<kind>_<client>.json`` in any letter case, if it is there."""
    wanted = f"{kind}_{client}.json".lower()
    return next(
        (Path(folder, client, name) for name in sorted(files_in(folder / client)) if name.lower() == wanted),
        None,
    )


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DatasetError: the file holds none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: holds no JSON object")
    return content


def files_in(folder: Path) -> set[str]:
    """Return the names in a folder; empty where there is none."""
    try:
        return set(os.listdir(folder))  # noqa: PTH208 names are enough, and there are millions
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be listed: {error.strerror}; check the permissions") from error


def _folder(root: Path, name: str, option: str | None) -> Path:
    if option is None:
        return root / name if (root / name).is_dir() else root
    for folder in (root / option, Path(option).absolute()):
        if folder.is_dir():
            return folder
    raise DatasetError(f"{root / option}: no such folder; --set {name}= names the folder of the {name}")
