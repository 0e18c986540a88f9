"""The same image twice: by its file, by its SOP Instance UID, or by the bytes of files without one."""

from __future__ import annotations

import filecmp
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from comoto.errors import ComotoError, DatasetError
from comoto.progress import track
from comoto.records import Manifest
from comoto.sources import read_source_header
from comoto.wording import first_few

_SAMPLE = 1 << 16


Pair = tuple[str, str, str]
"""The first image of a group, another one of it, and why they are the same."""


def find_duplicates(manifest: Manifest, *, headers: bool = True) -> tuple[list[Pair], list[str]]:
    """Look for images that are in the manifest twice.

    Files without a SOP Instance UID (PNG, MHD) are the same if all their bytes are; only files of equal size
    are looked into, first at three samples. Other copies of one image (exported anew, with new identifiers)
    are not recognised.

    Args:
        manifest: of one or several data sets.
        headers: read the header of every file that is on disk; without it only the paths are compared.

    Returns:
        The pairs, and notes of files that could not be compared.
    """
    paths = dict(zip(manifest.images["image_id"], map(Path, manifest.images["path"]), strict=True))
    by_path: dict[Path, list[str]] = defaultdict(list)
    for name, path in sorted(paths.items()):
        by_path[path.resolve()].append(name)
    pairs = [pair for names in by_path.values() for pair in _pairs(names, "the same file")]
    if not headers:
        return pairs, []
    first = {names[0]: path for path, names in by_path.items()}
    present = {name: path for name, path in first.items() if path.exists()}
    by_uid, without_uid, unread = _by_uid(present)
    pairs += [pair for uid, names in by_uid.items() for pair in _pairs(names, f"SOP Instance UID {uid}")]
    pairs += _same_bytes(without_uid)
    notes = []
    if len(present) < len(first):
        notes.append(f"{len(first) - len(present)} images are not on disk and were compared by path only")
    if unread:
        notes.append(f"{len(unread)} images could not be read and were not compared, such as {unread[0]}")
    return sorted(pairs), notes


def refuse_duplicates(manifest: Manifest, pairs: Sequence[Pair], *, drop: bool = False) -> Manifest:
    """Return the manifest without what stands in it twice.

    Args:
        manifest: as searched.
        pairs: what was found in it.
        drop: leave out the further copies of an image of one patient, and say so.

    Raises:
        DatasetError: there are duplicates; or, with ``drop``, two different patients have the same image, so
            that leaving one out would hide that they are one person.
    """
    if not pairs:
        return manifest
    patient = dict(zip(manifest.images["image_id"], manifest.images["patient_id"], strict=True))
    crossing = [pair for pair in pairs if patient[pair[0]] != patient[pair[1]]]
    if crossing:
        raise DatasetError(
            f"{len(crossing)} images belong to two patients: {_told(crossing)}; they are the same people, so "
            "leave one data set out, or give both manifests one name (NAME=FOLDER) if the patient ids agree"
        )
    if not drop:
        raise DatasetError(
            f"{len(pairs)} images are there twice: {_told(pairs)}; leave one manifest "
            "out, or keep the first copy of each with --drop-duplicates"
        )
    _refuse_other_lesions(manifest, pairs)
    left_out = {pair[1] for pair in pairs}
    kept = manifest.select(~manifest.images["image_id"].isin(left_out))
    lines = tuple(f"{second}: {why} as {first}" for first, second, why in pairs)
    return Manifest(kept.name, kept.images, kept.lesions, kept.notes, (*kept.dropped, *lines))


def _refuse_other_lesions(manifest: Manifest, pairs: Sequence[Pair]) -> None:
    """A copy that has a lesion and is left out would leave a healthy image behind."""
    columns = [name for name in manifest.lesions.columns if name not in ("image_id", "category")]
    boxes = {
        str(name): {tuple(row) for row in rows[columns].astype("string").fillna("").itertuples(index=False)}
        for name, rows in manifest.lesions.groupby("image_id")
    }
    other = [pair for pair in pairs if boxes.get(pair[0], set()) != boxes.get(pair[1], set())]
    if other:
        raise DatasetError(
            f"{len(other)} images are there twice with different lesions: {_told(other)}; find out which "
            "lesions are right and leave the other manifest out"
        )


def _pairs(names: Iterable[str], why: str) -> list[Pair]:
    first, *others = sorted(names)
    return [(first, other, why) for other in others]


def _told(pairs: Iterable[Pair]) -> str:
    return first_few((f"{one} and {other} ({why})" for one, other, why in pairs), separator="; ")


def _by_uid(paths: dict[str, Path]) -> tuple[dict[str, list[str]], dict[str, Path], list[str]]:
    """Return images by SOP Instance UID, files that have none, and what could not be read."""
    by_uid: dict[str, list[str]] = defaultdict(list)
    without: dict[str, Path] = {}
    unread: list[str] = []
    for name, path in track(paths.items(), "look for the same image twice", len(paths)):
        try:
            uid = read_source_header(path).sop_instance_uid
        except ComotoError as error:
            unread.append(str(error))
            continue
        if uid:
            by_uid[uid].append(name)
        else:
            without[name] = path
    return by_uid, without, unread


def _same_bytes(paths: dict[str, Path]) -> list[Pair]:
    by_size: dict[tuple[int, ...], list[str]] = defaultdict(list)
    files = {name: _content_files(path) for name, path in paths.items()}
    for name, own in files.items():
        by_size[tuple(file.stat().st_size for file in own)].append(name)
    pairs: list[Pair] = []
    for names in by_size.values():
        by_sample: dict[bytes, list[str]] = defaultdict(list)
        for name in sorted(names) if len(names) > 1 else ():
            by_sample[_sample(files[name])].append(name)
        for alike in by_sample.values():
            first, *others = alike
            pairs += [
                (first, other, "the same bytes") for other in others if _equal(files[first], files[other])
            ]
    return pairs


def _content_files(path: Path) -> list[Path]:
    """Return the files that hold the pixels: all of a folder, the raw file of an MHD header."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    raw = path.with_suffix(".raw")
    return [raw] if path.suffix.lower() == ".mhd" and raw.is_file() else [path]


def _sample(files: list[Path]) -> bytes:
    """Return a digest of the beginning, the middle and the end of each file."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        with path.open("rb") as file:
            for start in (0, size // 2, max(0, size - _SAMPLE)):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
    return digest.digest()


def _equal(one: list[Path], other: list[Path]) -> bool:
    return all(filecmp.cmp(a, b, shallow=False) for a, b in zip(one, other, strict=True))
