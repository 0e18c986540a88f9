"""The folder of a store while it is made: opened, held by one preparation at a time, tidied, finished."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comoto.checksums import read_json_object, write_sealed_json
from comoto.config import PreprocessConfig, config_hash
from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.locks import hold
from comoto.output_files import PART, sweep_parts
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.store import FORMAT, INDEX, PATH_NOT_KEPT, image_file, read_settings
from comoto.progress import say
from comoto.records import Manifest

LOCK = "lock"
WORKING = "working"
"""Folder of markers: what is being rendered."""
BROKEN = "broken.json"
READERS = 8
"""Threads that read files where the time goes into the disk and into hashing."""
_OURS = {"images", "planes", "manifest", BROKEN, WORKING, LOCK}
_INDEX_FORMAT = "comoto-index-2"
_IMAGE_FORMAT = "comoto-image-2"


@dataclass(frozen=True)
class ImageNote:
    """What a store knows about one of its images.

    Attributes:
        stamp: of its files (``fingerprint.stamp``); empty where paths are not kept.
        fingerprint: of its content.
        planes: name of its planes.
    """

    image_id: str
    stamp: str
    fingerprint: str
    planes: str

    def write(self, out: Path) -> None:
        """Write it into the store; a file that says so already is left alone."""
        if read_note(out, self.image_id) != self:
            content = {"format": _IMAGE_FORMAT, **vars(self)}
            write_sealed_json(image_file(out, self.image_id), content)


def read_note(out: Path, image_id: str) -> ImageNote | None:
    """Return what a store knows about an image; None if that is nothing, or damaged."""
    try:
        note = read_note_file(image_file(out, image_id))
    except (DatasetError, FileNotFoundError):
        return None
    return note if note.image_id == image_id else None


def read_note_file(path: Path) -> ImageNote:
    """Read a file of ``images``.

    Raises:
        DatasetError: it is damaged.
        OSError: it cannot be read.
    """
    way_out = "run the same 'comoto prepare' again, which writes it anew"
    content = read_json_object(path, DatasetError, way_out)
    try:
        if content.pop("format", None) != _IMAGE_FORMAT:
            raise ValueError("format")
        return ImageNote(**content)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: is damaged ({error}); {way_out}") from error


def open_folder(out: Path, name: str, config: PreprocessConfig, options: PrepareOptions) -> None:
    """Make the store's folder, or check that it is one of the same settings.

    Raises:
        OutputExistsError: it holds something else, another data set, a store of the former format, or one
            whose planes were changed.
        ConfigError: it is a store with other settings; the differences are named.
    """
    if not (out / "store.json").is_file():
        if not _may_become_store(out):
            raise OutputExistsError(f"{out}: is not empty and holds no prepared store; name another folder")
        start_folder(out, name, config, options)
        return
    there = read_settings(out)
    if there.format != FORMAT:
        raise OutputExistsError(
            f"{out}: is a store of a former format, which is read but not continued: it has no checksums, and"
            " its images were told apart by samples of their files; name another folder"
        )
    if there.appearance is not None:
        raise OutputExistsError(
            f"{out}: was written by 'comoto appearance match', and prepared images look otherwise; make it "
            "again with that command, or name another folder"
        )
    if there.name != name:
        raise OutputExistsError(
            f"{out}: holds images of '{there.name}', not of '{name}'; name another folder"
        )
    old = there.config.model_dump() | there.options.model_dump()
    new = config.model_dump() | options.model_dump()
    differences = [f"{key} {old[key]} there, {new[key]} asked" for key in new if old[key] != new[key]]
    if differences:
        raise ConfigError(
            f"{out}: was prepared with other settings ({'; '.join(differences)}); name another folder"
        )
    _make_folders(out)


def start_folder(
    out: Path,
    name: str,
    config: PreprocessConfig,
    options: PrepareOptions,
    appearance: Mapping[str, Any] | None = None,
) -> None:
    """Make the folders of a store and write its settings.

    Args:
        out: without a store.
        name: of the manifest.
        config: how the images are rendered.
        options: which slices.
        appearance: how the planes were changed after that; None if they were not.
    """
    _make_folders(out)
    settings = {"config": config.model_dump(mode="json"), "options": options.model_dump(mode="json")}
    content = {"format": FORMAT, "manifest": name, **settings, "config_hash": config_hash(config)}
    if appearance is not None:
        content["appearance"] = dict(appearance)
    write_sealed_json(out / "store.json", content)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the folder, which is made if missing; the system lets go of it when this process ends.

    Raises:
        OutputExistsError: ``out`` is a file, or another preparation is working there.
    """
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out}: is a file; name a folder")
    with hold(
        out / LOCK, f"{out}: another 'comoto prepare' is working there; wait for it, or name another folder"
    ):
        yield


@contextmanager
def tidy(out: Path) -> Iterator[None]:
    """Remove what killed preparations left, and keep a folder for markers while the block runs.

    Only for one who holds the folder.
    """
    sweep_parts(out)
    for folder in (out / "images", *(out / "planes").iterdir()):
        if folder.is_dir():
            sweep_parts(folder)
    for folder in out.glob(f".manifest.*{PART}"):
        shutil.rmtree(folder)
    shutil.rmtree(out / WORKING, ignore_errors=True)
    (out / WORKING).mkdir()
    try:
        yield
    finally:
        shutil.rmtree(out / WORKING, ignore_errors=True)


def reopen(out: Path) -> None:
    """Take back that the store is finished, before anything in it changes."""
    (out / "manifest" / "manifest.json").unlink(missing_ok=True)


def finish(out: Path, manifest: Manifest, keys: Mapping[str, str]) -> None:
    """Write the manifest and which planes belong to each image, ``manifest.json`` last.

    Nothing is touched if it is all there already. Otherwise the store is unfinished while files are moved, so
    that no reader ever sees half of the old and half of the new.

    Args:
        out: folder of the store.
        manifest: of the images that are prepared.
        keys: image id -> name of its planes.
    """
    final = out / "manifest"
    part = Path(tempfile.mkdtemp(PART, ".manifest.", out))  # new and no link, whatever lies there
    try:
        manifest.save(part)
        write_sealed_json(part / INDEX, {"format": _INDEX_FORMAT, "planes": dict(sorted(keys.items()))})
        files = sorted(part.iterdir(), key=lambda path: path.name == "manifest.json")
        if not all(_same(path, final / path.name) for path in files):
            final.mkdir(exist_ok=True)
            reopen(out)
            for path in files:
                path.replace(final / path.name)
    finally:
        shutil.rmtree(part)


def sweep_planes(out: Path, keys: set[str]) -> None:
    """Remove planes that no image of the folder shows any more, such as those of a changed source file.

    Args:
        out: folder of the store.
        keys: planes that are wanted, besides those of images that only a former manifest names.
    """
    wanted = set(keys)
    for path in (out / "images").glob("*.json"):
        try:
            wanted.add(read_note_file(path).planes)
        except DatasetError as error:  # of an image that is not in the manifest, else it were mended
            say(f"{error}; removed")
            path.unlink()
    for path in (out / "planes").glob("*/*"):
        if path.stem not in wanted:
            path.unlink(missing_ok=True)


def without_paths(manifest: Manifest) -> Manifest:
    """Return a manifest that does not say where files lay; its notes, which may, are left out."""
    images = manifest.images.assign(path=PATH_NOT_KEPT)
    return replace(manifest, images=images, notes=(), dropped=())


def _make_folders(out: Path) -> None:
    for name in ("images", "planes"):
        (out / name).mkdir(parents=True, exist_ok=True)


def _may_become_store(out: Path) -> bool:
    """Say whether a folder without settings is empty, or a store whose ``store.json`` was lost."""
    names = {path.name for path in out.iterdir() if path.suffix != PART} if out.is_dir() else set()
    images = list((out / "images").iterdir()) if (out / "images").is_dir() else []
    return names <= _OURS and all(path.suffix in (".json", PART) for path in images)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
