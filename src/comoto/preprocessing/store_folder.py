"""The folder of a store while it is made: opened, held by one preparation at a time, tidied, finished."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from comoto.config import PreprocessConfig, config_hash
from comoto.errors import ConfigError, OutputExistsError
from comoto.output_files import write_json
from comoto.preprocessing.planes import PART
from comoto.preprocessing.render import WORKING
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.store import FORMAT, INDEX, PATH_NOT_KEPT, read_json, read_settings
from comoto.records import Manifest

LOCK = "lock"
_OURS_BEFORE_SETTINGS = {"images", "planes", LOCK, f"store.json{PART}"}


def open_folder(out: Path, name: str, config: PreprocessConfig, options: PrepareOptions) -> None:
    """Make the store's folder, or check that it is one of the same settings.

    Raises:
        OutputExistsError: it holds something else, another data set, or a store of the former format.
        ConfigError: it is a store with other settings; the differences are named.
    """
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out}: is a file; name a folder")
    if not (out / "store.json").is_file():
        if out.is_dir() and {path.name for path in out.iterdir()} - _OURS_BEFORE_SETTINGS:
            raise OutputExistsError(f"{out}: is not empty and holds no prepared store; name another folder")
        _make_folders(out)
        settings = {"config": config.model_dump(mode="json"), "options": options.model_dump(mode="json")}
        write_json(
            out / "store.json",
            {"format": FORMAT, "manifest": name, **settings, "config_hash": config_hash(config)},
        )
        return
    old_config, old_options, old_name = read_settings(out)
    if read_json(out / "store.json")["format"] != FORMAT:
        raise OutputExistsError(
            f"{out}: is a store of a former format, which is read but not continued; name another folder"
        )
    if old_name != name:
        raise OutputExistsError(f"{out}: holds images of '{old_name}', not of '{name}'; name another folder")
    old = old_config.model_dump() | old_options.model_dump()
    new = config.model_dump() | options.model_dump()
    differences = [f"{key} {old[key]} there, {new[key]} asked" for key in new if old[key] != new[key]]
    if differences:
        raise ConfigError(
            f"{out}: was prepared with other settings ({'; '.join(differences)}); name another folder"
        )
    _make_folders(out)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the folder; the system lets go of it when this process ends, however it ends.

    Raises:
        OutputExistsError: another preparation is working there.
    """
    with (out / LOCK).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputExistsError(f"{out}: another 'comoto prepare' is working there") from error
        _sweep_parts(out)
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
    part, final = out / f"manifest{PART}", out / "manifest"
    shutil.rmtree(part, ignore_errors=True)
    manifest.save(part)
    write_json(part / INDEX, dict(sorted(keys.items())))
    files = sorted(part.iterdir(), key=lambda path: path.name == "manifest.json")
    if not all(_same(path, final / path.name) for path in files):
        final.mkdir(exist_ok=True)
        reopen(out)
        for path in files:
            path.replace(final / path.name)
    shutil.rmtree(part)


def sweep_planes(out: Path, keys: set[str]) -> None:
    """Remove planes that no image of the folder shows any more, such as those of a changed source file.

    Args:
        out: folder of the store.
        keys: planes that are wanted, besides those of images that only a former manifest names.
    """
    wanted = keys | {str(read_json(path).get("planes")) for path in (out / "images").glob("*.json")}
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


def _sweep_parts(out: Path) -> None:
    """Remove what a killed run left; what its workers still write is theirs and harms nobody."""
    for pattern in (f"*{PART}", f"images/*{PART}", f"planes/*/*{PART}"):
        for path in out.glob(pattern):
            if path.is_file():
                path.unlink(missing_ok=True)
    shutil.rmtree(out / WORKING, ignore_errors=True)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
