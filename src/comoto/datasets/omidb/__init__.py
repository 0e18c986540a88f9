"""OMI-DB (OPTIMAM), the UK screening images, as a manifest.

Layout and meaning of the JSON follow the public package ``omidb`` 0.13.1. Boxes are in stored pixels, which
is also the corrected orientation: mammograms are never turned.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from comoto.datasets.omidb.files import (
    OmidbFolders,
    client_json,
    client_names,
    files_in,
    find_folders,
    load_json,
)
from comoto.datasets.omidb.header import OmidbHeader, completed, read_dicom_header, read_json_header
from comoto.datasets.omidb.marks import (
    CONSPICUITIES,
    LESION_CATEGORIES,
    Conspicuity,
    LesionCategory,
    MarkedLesion,
    OtherCategory,
    parse_marks,
)
from comoto.datasets.omidb.nbss import STATUSES, Episode, Status, client_status, parse_date, parse_episodes
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, LowerSeveral, Words
from comoto.datasets.reading.views import view_keys
from comoto.errors import DatasetError, DicomError
from comoto.progress import track
from comoto.records import ImageRecord, Lesion, Manifest, Modality, Split
from comoto.wording import first_few

_UID = re.compile(r"[\d+.]+$")
_CANCER = STATUSES[:2]
_MISSING = "is not on disk"


class OmidbOptions(AllowMissing):
    """Options of ``read_omidb``."""

    about = DatasetAbout(
        name="omidb",
        title="OMI-DB, the OPTIMAM Mammography Image Database (Royal Surrey, UK)",
        modalities=("FFDM",),
        boxes="radiologists' marks, number not published",
        access="by application",
        licence="agreement",
        commercial_use="by agreement",
        citation=(
            "Halling-Brown MD, Warren LM, Ward D, Lewis E, Mackenzie A, Wallis MG, Wilkinson LS, "
            "Given-Wilson RM, McAvinchey R, Young KC. OPTIMAM Mammography Image Database: A Large-Scale "
            "Resource of Mammography Images and Clinical Data. Radiology: Artificial Intelligence 3(1), "
            "e200103, 2021. doi.org/10.1148/ryai.2020200103"
        ),
        url="https://medphys.royalsurrey.nhs.uk/omidb/",
        notes=(
            "More than 2,000,000 images of 172,282 women (May 2020). No official splits. For-presentation "
            "mammograms are taken unless asked otherwise."
        ),
    )

    tables: Path | None = None
    """Folder of the clients' JSON, if it is not ROOT or ROOT/data; ``data`` is the same."""
    data: str | None = None
    """Folder of the clients' JSON, absolute or from ROOT."""
    images: str | None = None
    """Folder of the DICOM files, if it is not ROOT or ROOT/images."""
    nbss: str | None = None
    """Folder of the NBSS files, if it is not that of the data."""
    categories: LowerSeveral[Literal[LesionCategory, OtherCategory]] = LESION_CATEGORIES
    """What a mark must show to count as a lesion; one that shows several counts if one of them does."""
    conspicuity: LowerSeveral[Conspicuity] = CONSPICUITIES
    """Marks of other conspicuity do not count; ``unknown`` is a mark without one."""
    status: LowerSeveral[Status] = STATUSES
    """States of the breast in which marks count."""
    intent: Literal["presentation", "processing", "both"] = "presentation"
    """Which mammograms are taken."""
    dbt: Literal["report", "include"] = "report"
    """Tomosynthesis objects are counted in a note, or taken, without marks."""
    label: Literal["side", "episode", "client"] = "side"
    """Whose state becomes the label: that of the side in the episode, of the episode, of the client."""
    unmarked: Literal["drop", "keep"] = "drop"
    """Images without a mark of a breast with cancer."""
    sites: Words = ()
    """Clients of other sites are left out; all are taken if none is named."""
    clients: Words = ()
    """Other clients are left out."""

    def count(self, mark: MarkedLesion, status: str) -> bool:
        """Return whether a mark in a breast of that state counts as a lesion."""
        return (
            bool(set(self.categories) & set(mark.categories))
            and mark.conspicuity in self.conspicuity
            and status in self.status
        )


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
    """What has been read so far; ``chosen`` counts what an option leaves out."""

    records: list[ImageRecord] = field(default_factory=list)
    ledger: Ledger = field(default_factory=lambda: Ledger(_names_first))
    chosen: Counter[str] = field(default_factory=Counter)
    sites: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    clipped: int = 0


def _names_first(reason: str, keys: Sequence[str]) -> str:
    return f"{first_few(keys)}: {reason}"


def read_omidb(root: Path, options: OmidbOptions) -> Manifest:
    """Read the JSON of every client and find the images on disk.

    Args:
        root: the folder with ``data`` and ``images``, or with the clients themselves.
        options: what is read.

    Returns:
        One image per mammogram; ``label`` is interval cancer, malignant, benign or normal, ``view_key`` such
        as ``lcc``; lesions are clipped to the image. All of it is ``train``: the database has no splits.

    Raises:
        DatasetError: a folder is missing, images are not on disk, or no image is left.
    """
    data = options.data if options.tables is None else str(options.tables.absolute())
    folders = find_folders(root, data, options.images, options.nbss)
    names = _client_names(folders, options)
    found = _Collected()
    for client in track(names, "read clients", len(names)):
        for image in _images_of(folders, client, options, found):
            _take(folders, image, options, found)
    _require_images(folders, found, options)
    return _manifest(found, options)


def _client_names(folders: OmidbFolders, options: OmidbOptions) -> list[str]:
    names = client_names(folders)
    if not names:
        raise DatasetError(
            f"{folders.data}: no client here (folders demd... or optm... with imagedb_*.json); name their "
            "folder with --set data=FOLDER"
        )
    unknown = sorted(set(options.clients) - set(names))
    if unknown:
        raise DatasetError(f"{folders.data}: no client {unknown[0]}; correct --set clients=")
    return [name for name in names if not options.clients or name in options.clients]


def _loaded(folders: OmidbFolders, client: str, found: _Collected) -> tuple[dict[str, Any], ...]:
    """Return the client's IMAGEDB and NBSS; nothing if one of them cannot be read."""
    loaded = []
    for kind, folder in (("imagedb", folders.data), ("nbss", folders.nbss)):
        path = client_json(folder, client, kind)
        if path is None:
            found.ledger.drop_of(f"there is no {kind}_*.json of the client in {folder}", client)
            return ()
        try:
            loaded.append(load_json(path))
        except DatasetError as error:
            found.ledger.drop_of(f"the client cannot be read: {error}", client)
            return ()
    return tuple(loaded)


def _images_of(
    folders: OmidbFolders, client: str, options: OmidbOptions, found: _Collected
) -> Iterator[_Image]:
    """Yield the images that IMAGEDB lists in episodes that NBSS knows."""
    loaded = _loaded(folders, client, found)
    if not loaded:
        return
    imagedb, nbss = loaded
    site = str(imagedb.get("Site") or "unknown")
    if options.sites and site not in options.sites:
        found.chosen[f"clients of site {site}"] += 1
        return
    found.sites[site] += 1
    episodes = parse_episodes(nbss)
    studies = imagedb.get("STUDIES")
    if not isinstance(studies, dict) or not studies:
        found.ledger.drop_of("the client has no studies in IMAGEDB", client)
        return
    of_client = client_status(episodes)
    for study, content in studies.items():
        if not isinstance(content, dict):
            continue
        episode = _episode_of(content, episodes)
        if episode is None:
            found.ledger.drop_of(
                "the study belongs to no episode of NBSS, so nobody knows its state", f"{client}/{study}"
            )
            continue
        files = frozenset(files_in(folders.images / client / study))
        listed_here = set()
        for sop, marks in _sops(content):
            listed_here.add(f"{sop}.dcm")
            yield _Image(client, study, sop, marks, episode, of_client, files)
        for name in sorted(name for name in files - listed_here if name.endswith(".dcm")):
            found.ledger.drop_of("the file is not in IMAGEDB", f"{client}/{study}/{name}")


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


def _take(folders: OmidbFolders, image: _Image, options: OmidbOptions, found: _Collected) -> None:
    """Add one image with its lesions, or the reason why not."""
    if image.sop in found.seen:
        found.ledger.drop_of("the image is listed twice; the first is taken", image.key)
        return
    found.seen.add(image.sop)
    try:
        header = _header(folders, image)
    except (DatasetError, DicomError) as error:
        found.ledger.drop_of(f"cannot be read: {error}", image.key)
        return
    if header is None:
        found.ledger.drop_of(_MISSING, image.key)
        return
    reason = _refused(header, options, found)
    if reason is None and f"{image.sop}.dcm" not in image.study_files:
        reason = _MISSING
    if reason is not None:
        if reason:
            found.ledger.drop_of(reason, image.key)
        return
    _add(folders, image, header, options, found)


def _header(folders: OmidbFolders, image: _Image) -> OmidbHeader | None:
    """Return what JSON and, where that is silent, DICOM say; None if neither file is there."""
    beside = folders.data / image.client / image.study
    paths = (beside / f"{image.sop}{ending}" for ending in (".json", ".dcm.json"))
    in_json = next((path for path in paths if path.is_file()), None)
    on_disk = f"{image.sop}.dcm" in image.study_files
    header = None if in_json is None else read_json_header(in_json)
    if on_disk and (header is None or not header.is_complete):
        own = read_dicom_header(folders.images / image.client / image.study / f"{image.sop}.dcm")
        return own if header is None else completed(header, own)
    return header


def _refused(header: OmidbHeader, options: OmidbOptions, found: _Collected) -> str | None:
    """Return why an image is left out; empty if an option says so, which is counted, None if it is taken."""
    if header.modality not in ("MG", ""):
        return f"is of modality {header.modality}, not MG"
    if header.is_tomosynthesis and options.dbt == "report":
        found.chosen["tomosynthesis objects (--set dbt=include takes them)"] += 1
        return ""
    if not header.intent:
        return "does not say whether it is for presentation or for processing"
    if options.intent not in ("both", header.intent):
        found.chosen[f"images for {header.intent} (--set intent=both takes all)"] += 1
        return ""
    if header.laterality is None:
        return "names no side"
    if header.view is None:
        return "names no view"
    return None


def _add(
    folders: OmidbFolders, image: _Image, header: OmidbHeader, options: OmidbOptions, found: _Collected
) -> None:
    assert header.laterality is not None  # checked by _refused
    assert header.view is not None
    side = image.episode.status[header.laterality]
    marks = parse_marks(image.marks, header.laterality, image.episode)
    counted = [mark for mark in marks if options.count(mark, side)]
    if not marks and side in _CANCER and options.unmarked == "drop":
        found.ledger.drop_of(
            f"the breast is {side}, but nobody marked where (--set unmarked=keep takes it as healthy)",
            image.key,
        )
        return
    if counted and header.is_tomosynthesis:
        found.ledger.drop_of("a mark on a tomosynthesis object names no slice", image.key)
        return
    boxes = [box for mark in counted if (box := mark.on_image(header.rows, header.columns)) is not None]
    if len(boxes) < len(counted):
        found.ledger.drop_of(
            "a mark's box is below a pixel, no number or outside of the image, so a lesion is lost", image.key
        )
        return
    if len(counted) < len(marks):
        found.chosen["marks that do not count as lesions"] += len(marks) - len(counted)
        found.chosen["images that have only such marks, and pass for images without lesion"] += not counted
    found.clipped += sum(box != mark.box for mark, box in zip(counted, boxes, strict=True))
    states = {"side": side, "episode": image.episode.worst, "client": image.client_status}
    found.records.append(
        ImageRecord(
            image_id=image.sop,
            modality=Modality.TOMOSYNTHESIS if header.is_tomosynthesis else Modality.MAMMOGRAM,
            patient_id=image.client,
            study_id=image.study,
            view_key=header.laterality.value.lower() + header.view_word.lower(),
            laterality=header.laterality,
            view=header.view,
            split=Split.TRAIN,
            label=states[options.label],
            path=folders.images / image.client / image.study / f"{image.sop}.dcm",
            num_slices=header.num_frames,
            lesions=tuple(
                Lesion(box, None, ", ".join(mark.categories))
                for mark, box in zip(counted, boxes, strict=True)
            ),
        )
    )


def _require_images(folders: OmidbFolders, found: _Collected, options: OmidbOptions) -> None:
    missing = found.ledger.left_out(_MISSING)
    way_out = "download them, name their folder with --set images=FOLDER"
    total = len(missing) + len(found.records)
    refuse_missing(
        folders.images, "images of IMAGEDB", missing, total, options.allow_missing, way_out=way_out
    )
    if not found.records:
        reasons = "; ".join(found.ledger.dropped) or "every image is left out by the options"
        raise DatasetError(f"{folders.data}: no image to take: {reasons}")


def _manifest(found: _Collected, options: OmidbOptions) -> Manifest:
    within = [record.study_id + record.modality for record in found.records]
    keys = view_keys(within, [record.view_key for record in found.records])
    records = [replace(record, view_key=key) for record, key in zip(found.records, keys, strict=True)]
    ledger = found.ledger
    ledger.note(
        "sites: " + ", ".join(f"{site} {count} clients" for site, count in sorted(found.sites.items()))
    )
    ledger.note(*(f"{count} {what}" for what, count in found.chosen.items() if count))
    if found.clipped:
        ledger.note(f"{found.clipped} boxes clipped to their images")
    normal = sum(bool(record.lesions) and record.label == "normal" for record in records)
    if normal:
        ledger.note(f"{normal} images have a lesion although the {options.label} is normal")
    return Manifest.from_records("omidb", records, ledger.notes, ledger.dropped)
