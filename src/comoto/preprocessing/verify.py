"""Checking everything in a store against its checksums; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from comoto.errors import DatasetError
from comoto.prefetch import prefetch
from comoto.preprocessing.planes import MEND, is_plane, map_planes, planes_files, read_info
from comoto.preprocessing.store import FORMAT, PreparedStore, image_file, read_index, read_settings
from comoto.preprocessing.store_folder import READERS, read_note_file
from comoto.progress import track
from comoto.records import Manifest

Result = TypeVar("Result")


@dataclass(frozen=True)
class StoreCheck:
    """What was found in a store.

    Attributes:
        images: how many the store holds, as far as can be read.
        damage: one sentence for each damaged or missing file, with the way out.
        is_sealed: whether the store has checksums; without, only the form of its files was checked.
    """

    images: int
    damage: tuple[str, ...]
    is_sealed: bool


def verify_store(folder: Path) -> StoreCheck:
    """Read everything in a store and compare it with its checksums.

    Raises:
        DatasetError: the folder holds no store at all.
        OSError: a file cannot be read.
    """
    damage: list[str] = []
    settings = _tried(lambda: read_settings(folder), damage)
    if settings is None and not (folder / "store.json").is_file():
        raise DatasetError(damage[0])
    if settings is not None and settings.format != FORMAT:
        return _former(folder)
    manifest = None
    if (folder / "manifest" / "manifest.json").is_file():
        manifest = _tried(lambda: Manifest.load(folder / "manifest"), damage)
    else:
        damage.append(f"{folder}: preparation is not finished; run 'comoto prepare' again")
    index = _tried(lambda: read_index(folder), damage)
    names = [] if manifest is None else list(manifest.images["image_id"])
    if manifest is not None and index is not None and set(names) != set(index):
        damage.append(f"{folder}: manifest and index name other images; run 'comoto prepare' again")
    for name in names:
        damage.extend(_note_damage(folder, name, (index or {}).get(name)))
    there = {path.stem for path in (folder / "planes").glob("*/*.json")}
    keys = sorted(there | set((index or {}).values()))
    checks = prefetch(lambda key: list(_planes_damage(folder, key)), keys, READERS)
    damage.extend(chain.from_iterable(track(checks, "check planes", len(keys))))
    return StoreCheck(len(names), tuple(damage), is_sealed=True)


def _note_damage(folder: Path, name: str, key: str | None) -> Iterator[str]:
    path = image_file(folder, name)
    try:
        note = read_note_file(path)
    except FileNotFoundError:
        yield f"{path}: is missing; run the same 'comoto prepare' again, which writes it anew"
    except DatasetError as error:
        yield str(error)
    else:
        if note.image_id != name or (key is not None and note.planes != key):
            yield f"{path}: describes another image; run the same 'comoto prepare' again"


def _planes_damage(folder: Path, key: str) -> Iterator[str]:
    pixels, about = planes_files(folder, key)
    try:
        info = read_info(about)
        for number, plane in enumerate(map_planes(pixels, info.shape)):
            if not is_plane(info, number, plane):
                yield f"{pixels}: plane {number} is damaged (checksum); {MEND}"
    except FileNotFoundError as error:
        yield f"{error.filename}: is missing; {MEND}"
    except DatasetError as error:
        yield str(error)


def _former(folder: Path) -> StoreCheck:
    """Open everything in a store without checksums."""
    damage: list[str] = []
    store = _tried(lambda: PreparedStore(folder), damage)
    names = () if store is None else store.image_ids
    if store is not None:
        for name in names:
            _tried(partial(store.pixels, name), damage)
    return StoreCheck(len(names), tuple(damage), is_sealed=False)


def _tried(read: Callable[[], Result], damage: list[str]) -> Result | None:
    """Return what a reader returns; None if it finds damage, which is added to the list."""
    try:
        return read()
    except DatasetError as error:
        damage.append(str(error))
        return None
