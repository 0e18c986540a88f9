"""OMI-DB (OPTIMAM), the UK screening images, as a manifest.

Layout and meaning of the JSON follow the public package ``omidb`` 0.13.1. Boxes are in stored pixels, which
is also the corrected orientation: mammograms are never turned.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from comoto.datasets.omidb.files import (
    OmidbFolders,
    client_json,
    client_names,
    files_in,
    find_folders,
    load_json,
)
from comoto.datasets.omidb.header import OmidbHeader, completed, read_dicom_header, read_json_header
from comoto.datasets.omidb.marks import MarkRules, listed, mark_rules, parse_marks
from comoto.datasets.omidb.nbss import STATUSES, Episode, client_status, parse_date, parse_episodes
from comoto.datasets.reading.options import one_of
from comoto.datasets.reading.views import view_keys
from comoto.errors import DatasetError, DicomError
from comoto.progress import track
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest, Modality, Split

_UID = re.compile(r"[\d+.]+$")
_CANCER = STATUSES[:2]
_SHOWN = 3
_MISSING = "is not on disk"
_CHOICES = {
    "intent": ("presentation", "processing", "both"),
    "dbt": ("report", "include"),
    "label": ("side", "episode", "client"),
    "unmarked": ("drop", "keep"),
}


@dataclass(frozen=True)
class _Rules:
    """The options of ``read_omidb``, checked."""

    marks: MarkRules
    intent: str
    dbt: str
    label: str
    unmarked: str
    sites: frozenset[str]
    clients: frozenset[str]


@dataclass(frozen=True)
class _Image:
    """One image of IMAGEDB: where it is listed, and what is listed with it."""

    client: str
    study: str
    sop: str
    marks: Any
    episode: Episode
    client_status: str
    study_files: frozenset[str]

    @property
    def key(self) -> str:
        return f"{self.client}/{self.study}/{self.sop}"


@dataclass
class _Collected:
    """What has been read so far; ``left_out`` is by reason, ``chosen`` counts what an option leaves out."""

    images: list[dict[str, Any]] = field(default_factory=list)
    lesions: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    chosen: Counter[str] = field(default_factory=Counter)
    sites: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    clipped: int = 0

    def drop(self, reason: str, key: str) -> None:
        self.left_out.setdefault(reason, []).append(key)

    def dropped(self) -> tuple[str, ...]:
        return tuple(f"{_some(keys)}: {reason}" for reason, keys in self.left_out.items())


def read_omidb(  # noqa: PLR0913 an argument an option of the command line
    root: Path,
    *,
    tables: Path | None = None,
    allow_missing: bool = False,
    categories: Sequence[str] | None = None,
    data: str | None = None,
    images: str | None = None,
    nbss: str | None = None,
    intent: str | None = None,
    dbt: str | None = None,
    label: str | None = None,
    conspicuity: str | None = None,
    status: str | None = None,
    unmarked: str | None = None,
    sites: str | None = None,
    clients: str | None = None,
) -> Manifest:
    """Read the JSON of every client and find the images on disk.

    Args:
        root: the folder with ``data`` and ``images``, or with the clients themselves.
        tables: folder of the clients' JSON; the same as ``data``.
        allow_missing: leave out images that are not on disk, listed in ``dropped``, instead of refusing.
        categories: what a mark must show to count as a lesion; ``LESION_CATEGORIES`` if not given.
        data: folder of the clients' JSON, absolute or from ``root``.
        images: folder of the DICOM files.
        nbss: folder of the NBSS files, if it is not that of the data.
        intent: which images: ``presentation`` (default), ``processing`` or ``both``.
        dbt: tomosynthesis objects: ``report`` (default) counts them, ``include`` takes them without marks.
        label: whose state: of the ``side`` in the episode (default), of the ``episode``, of the ``client``.
        conspicuity: comma separated; marks of other conspicuity do not count.
        status: comma separated states of the breast in which marks count.
        unmarked: images without a mark of a breast with cancer: ``drop`` (default) or ``keep``.
        sites: comma separated; clients of other sites are left out.
        clients: comma separated; others are left out.

    Returns:
        One image per mammogram; ``label`` is interval cancer, malignant, benign or normal, ``view_key`` such
        as ``lcc``; lesions are clipped to the image. All of it is ``train``: the database has no splits.

    Raises:
        ConfigError: an option has no such value.
        DatasetError: a folder is missing, images are not on disk, or no image is left.
    """
    given = {"intent": intent, "dbt": dbt, "label": label, "unmarked": unmarked}
    picked = {
        name: one_of("omidb", name, value or _CHOICES[name][0], _CHOICES[name])
        for name, value in given.items()
    }
    rules = _Rules(
        marks=mark_rules(categories, conspicuity, status),
        sites=frozenset(listed(sites) or ()),
        clients=frozenset(listed(clients) or ()),
        **picked,
    )
    root = Path(root).absolute()
    folders = find_folders(root, data if tables is None else str(Path(tables).absolute()), images, nbss)
    names = _client_names(folders, rules)
    found = _Collected()
    for client in track(names, "read clients", len(names)):
        for image in _images_of(folders, client, rules, found):
            _take(folders, image, rules, found)
    _require_images(folders, found, allow_missing)
    return _manifest(found, rules)


def _client_names(folders: OmidbFolders, rules: _Rules) -> list[str]:
    names = client_names(folders)
    if not names:
        raise DatasetError(
            f"{folders.data}: no client here (folders demd... or optm... with imagedb_*.json); name their "
            "folder with --set data=FOLDER"
        )
    unknown = sorted(rules.clients - set(names))
    if unknown:
        raise DatasetError(f"{folders.data}: no client {unknown[0]}; correct --set clients=")
    return [name for name in names if not rules.clients or name in rules.clients]


def _loaded(folders: OmidbFolders, client: str, found: _Collected) -> tuple[dict[str, Any], ...]:
    """Return the client's IMAGEDB and NBSS; nothing if one of them cannot be read."""
    loaded = []
    for kind, folder in (("imagedb", folders.data), ("nbss", folders.nbss)):
        path = client_json(folder, client, kind)
        if path is None:
            found.drop(f"there is no {kind}_*.json of the client in {folder}", client)
            return ()
        try:
            loaded.append(load_json(path))
        except DatasetError as error:
            found.drop(f"the client cannot be read: {error}", client)
            return ()
    return tuple(loaded)


def _images_of(folders: OmidbFolders, client: str, rules: _Rules, found: _Collected) -> Iterator[_Image]:
    """Yield the images that IMAGEDB lists in episodes that NBSS knows."""
    loaded = _loaded(folders, client, found)
    if not loaded:
        return
    imagedb, nbss = loaded
    site = str(imagedb.get("Site") or "unknown")
    if rules.sites and site not in rules.sites:
        found.chosen[f"clients of site {site}"] += 1
        return
    found.sites[site] += 1
    episodes = parse_episodes(nbss)
    studies = imagedb.get("STUDIES")
    if not isinstance(studies, dict) or not studies:
        found.drop("the client has no studies in IMAGEDB", client)
        return
    of_client = client_status(episodes)
    for study, content in studies.items():
        if not isinstance(content, dict):
            continue
        episode = _episode_of(content, episodes)
        if episode is None:
            found.drop(
                "the study belongs to no episode of NBSS, so nobody knows its state", f"{client}/{study}"
            )
            continue
        files = frozenset(files_in(folders.images / client / study))
        listed_here = set()
        for sop, marks in _sops(content):
            listed_here.add(f"{sop}.dcm")
            yield _Image(client, study, sop, marks, episode, of_client, files)
        for name in sorted(name for name in files - listed_here if name.endswith(".dcm")):
            found.drop("the file is not in IMAGEDB", f"{client}/{study}/{name}")


def _sops(study: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield image and marks; keys that are no UIDs hold facts about the study or series."""
    for series, content in study.items():
        if isinstance(content, dict) and _UID.match(series):
            for sop, marks in content.items():
                if _UID.match(sop):
                    yield sop, marks


def _episode_of(study: Mapping[str, Any], episodes: Mapping[str, Episode]) -> Episode | None:
    """Return the episode that IMAGEDB names, else the first with an event on the study's day."""
    named = episodes.get(str(study.get("EpisodeID") or ""))
    day = parse_date(study.get("StudyDate"))
    if named is not None or day is None:
        return named
    return next((episode for episode in episodes.values() if day in episode.dates), None)


def _take(folders: OmidbFolders, image: _Image, rules: _Rules, found: _Collected) -> None:
    """Add one image with its lesions, or the reason why not."""
    if image.sop in found.seen:
        found.drop("the image is listed twice; the first is taken", image.key)
        return
    found.seen.add(image.sop)
    try:
        header = _header(folders, image)
    except (DatasetError, DicomError) as error:
        found.drop(f"cannot be read: {error}", image.key)
        return
    if header is None:
        found.drop(_MISSING, image.key)
        return
    reason = _refused(header, rules, found)
    if reason is None and f"{image.sop}.dcm" not in image.study_files:
        reason = _MISSING
    if reason is not None:
        if reason:
            found.drop(reason, image.key)
        return
    _add(folders, image, header, rules, found)


def _header(folders: OmidbFolders, image: _Image) -> OmidbHeader | None:
    """Return what JSON and, where that is silent, DICOM say; None if neither file is there."""
    in_json = next(
        (
            path
            for ending in (".json", ".dcm.json")
            if (path := folders.data / image.client / image.study / f"{image.sop}{ending}").is_file()
        ),
        None,
    )
    on_disk = f"{image.sop}.dcm" in image.study_files
    header = None if in_json is None else read_json_header(in_json)
    if on_disk and (header is None or not header.is_complete):
        own = read_dicom_header(folders.images / image.client / image.study / f"{image.sop}.dcm")
        return own if header is None else completed(header, own)
    return header


def _refused(header: OmidbHeader, rules: _Rules, found: _Collected) -> str | None:
    """Return why an image is left out; empty if an option says so, which is counted, None if it is taken."""
    if header.modality not in ("MG", ""):
        return f"is of modality {header.modality}, not MG"
    if header.is_tomosynthesis and rules.dbt == "report":
        found.chosen["tomosynthesis objects (--set dbt=include takes them)"] += 1
        return ""
    if not header.intent:
        return "does not say whether it is for presentation or for processing"
    if rules.intent not in ("both", header.intent):
        found.chosen[f"images for {header.intent} (--set intent=both takes all)"] += 1
        return ""
    if header.laterality is None:
        return "names no side"
    if header.view is None:
        return "names no view"
    return None


def _add(folders: OmidbFolders, image: _Image, header: OmidbHeader, rules: _Rules, found: _Collected) -> None:
    assert header.laterality is not None  # checked by _refused
    assert header.view is not None
    side = image.episode.status[header.laterality]
    marks = parse_marks(image.marks, header.laterality, image.episode)
    counted = [mark for mark in marks if rules.marks.count(mark, side)]
    if not marks and side in _CANCER and rules.unmarked == "drop":
        found.drop(
            f"the breast is {side}, but nobody marked where (--set unmarked=keep takes it as healthy)",
            image.key,
        )
        return
    if counted and header.is_tomosynthesis:
        found.drop("a mark on a tomosynthesis object names no slice", image.key)
        return
    boxes = [mark.on_image(header.rows, header.columns) for mark in counted]
    if not all(boxes):
        found.drop(
            "a mark's box is below a pixel, no number or outside of the image, so a lesion is lost", image.key
        )
        return
    if len(counted) < len(marks):
        found.chosen["marks that do not count as lesions"] += len(marks) - len(counted)
        found.chosen["images that have only such marks, and pass for images without lesion"] += not counted
    for mark, box in zip(counted, boxes, strict=True):
        found.clipped += box != mark.box
        found.lesions.append(
            {
                "image_id": image.sop,
                **dict(zip(("x1", "y1", "x2", "y2"), box or (), strict=True)),
                "slice_index": pd.NA,
                "category": ", ".join(mark.categories),
            }
        )
    states = {"side": side, "episode": image.episode.worst, "client": image.client_status}
    found.images.append(
        {
            "image_id": image.sop,
            "modality": (Modality.TOMOSYNTHESIS if header.is_tomosynthesis else Modality.MAMMOGRAM).value,
            "patient_id": image.client,
            "study_id": image.study,
            "view_key": header.laterality.value.lower() + header.view_word.lower(),
            "laterality": header.laterality.value,
            "view": header.view.value,
            "split": Split.TRAIN.value,
            "label": states[rules.label],
            "path": str(folders.images / image.client / image.study / f"{image.sop}.dcm"),
            "num_slices": header.num_frames,
        }
    )


def _require_images(folders: OmidbFolders, found: _Collected, allow_missing: bool) -> None:
    missing = found.left_out.get(_MISSING, [])
    if missing and not (allow_missing and found.images):
        raise DatasetError(
            f"{folders.images}: {len(missing)} images of IMAGEDB are not on disk, such as {missing[0]}; "
            "download them, name their folder with --set images=FOLDER, or index only those that are there "
            "with --allow-missing"
        )
    if not found.images:
        reasons = "; ".join(found.dropped()) or "every image is left out by the options"
        raise DatasetError(f"{folders.data}: no image to take: {reasons}")


def _manifest(found: _Collected, rules: _Rules) -> Manifest:
    images = pd.DataFrame(found.images, columns=list(IMAGE_COLUMNS))
    within = images["study_id"] + images["modality"]
    images["view_key"] = view_keys(list(within), list(images["view_key"]))
    notes = ["sites: " + ", ".join(f"{site} {count} clients" for site, count in sorted(found.sites.items()))]
    notes.extend(f"{count} {what}" for what, count in found.chosen.items() if count)
    if found.clipped:
        notes.append(f"{found.clipped} boxes clipped to their images")
    with_lesion = {lesion["image_id"] for lesion in found.lesions}
    normal = int((images["image_id"].isin(with_lesion) & (images["label"] == "normal")).sum())
    if normal:
        notes.append(f"{normal} images have a lesion although the {rules.label} is normal")
    lesions = pd.DataFrame(found.lesions, columns=list(LESION_COLUMNS))
    return Manifest("omidb", images, lesions, tuple(notes), found.dropped())


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
