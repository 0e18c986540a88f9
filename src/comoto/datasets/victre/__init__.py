"""VICTRE, the simulated trial of the FDA on TCIA (10.7937/TCIA.2019.ho23nxaw), as a manifest.

Mammograms are single files, tomosynthesis volumes are folders of one file per slice (``victre_series``). The
collection says of every image whether lesions were inserted, not where. Where they are stands in ``.loc``
files of the trial's code repository (``Locations``), for the volumes: a line a lesion, ``x y slice number``,
in the counting of the raw files. The DICOM files have x as their rows and y as their columns. Numbers 0 to 3
are clusters of calcifications, 4 to 7 masses; the boxes are the trial's own regions of 65 and 109 pixels
about them.

The files say that every breast is a right one, but the chest wall is at the left of their pictures. An image
is indexed with the side at which its breast lies, so that nothing is turned. The simulation compresses from
head to foot: the view is CC.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from comoto.datasets.reading.boxes import CORNERS
from comoto.datasets.reading.options import one_of, whole_number
from comoto.datasets.reading.walk import dicom_files, for_each
from comoto.datasets.victre.series import FolderSeries, Kind, Series, read_folder
from comoto.errors import DatasetError
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest, Modality, Split, View

_IMAGES = ("all", "volumes", "mammograms")
_LABELS = ("state", "density")
_LOC = re.compile(r"^roi_SP_-?(\d+)\.loc$")
_REGIONS = {"calcification": 65, "mass": 109}
"""Sides of the trial's regions of interest in pixels of 0.085 mm."""

_FIRST_MASS, _PAST_MASSES = 4, 8
_NAMED = 4


def read_victre(
    root: Path,
    *,
    tables: Path | None = None,
    images: str = "all",
    label: str = "state",
    workers: str | int | None = None,
) -> Manifest:
    """Find the series on disk, by content, and the lesions of volumes if their places are given.

    Args:
        root: any folder above the DICOM files; each series of slices in a folder of its own.
        tables: folder of ``roi_SP_<patient>.loc`` files; without it no image has boxes.
        images: ``all``, ``volumes`` or ``mammograms``.
        label: ``state`` (signal present or absent) or ``density`` of the breast.
        workers: processes that read headers; as many as processors are usable if not given.

    Returns:
        One image per mammogram and per volume, all of them ``train``: the collection has no splits.

    Raises:
        ConfigError: an option has another word.
        DatasetError: no image is below ``root``, or ``tables`` holds no ``.loc`` file.
    """
    wanted = one_of("victre", "images", images, _IMAGES)
    chosen_label = one_of("victre", "label", label, _LABELS)
    processes = None if workers is None else whole_number("victre", "workers", workers, 1)
    root = Path(root).absolute()
    places = None if tables is None else _loc_files(Path(tables))
    notes: list[str] = []
    found = for_each(read_folder, list(_folders(root)), "read headers", processes)
    series, dropped = _chosen(root, found, wanted, notes)
    lesions: list[dict[str, object]] = []
    kept: list[Series] = []
    for one in series:
        try:
            lesions.extend(_lesions(one, places))
        except DatasetError as error:
            dropped.append(str(error))
            continue
        kept.append(one)
    notes.extend(_oddities(kept, places))
    return Manifest(
        "victre",
        pd.DataFrame([_image(one, chosen_label) for one in kept], columns=list(IMAGE_COLUMNS)),
        pd.DataFrame(lesions, columns=list(LESION_COLUMNS)),
        tuple(notes),
        tuple(dropped),
    )


def _folders(root: Path) -> Iterator[tuple[Path, ...]]:
    """Yield the DICOM files of each folder."""
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder")
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in dicom_files(root):
        by_folder[path.parent].append(path)
    for files in by_folder.values():
        yield tuple(files)


def _chosen(
    root: Path, found: Sequence[FolderSeries], wanted: str, notes: list[str]
) -> tuple[list[Series], list[str]]:
    """Return the series that were asked for, and what cannot be read."""
    dropped = [problem for one in found for problem in one.problems]
    projections = [path for one in found for path in one.projections]
    if projections:
        some = ", ".join(str(path.relative_to(root)) for path in projections[:_NAMED])
        more = f" and {len(projections) - _NAMED} more" if len(projections) > _NAMED else ""
        dropped.append(f"projections of the scan, which are no slices and no mammograms: {some}{more}")
    series = [one for folder in found for one in folder.series]
    if not series:
        reason = f" ({dropped[0]})" if dropped else ""
        raise DatasetError(f"{root}: no image of VICTRE below this folder{reason}; is it the right folder?")
    kind = {"volumes": Kind.VOLUME, "mammograms": Kind.MAMMOGRAM}.get(wanted)
    chosen = [one for one in series if kind in (None, one.kind)]
    if len(chosen) < len(series):
        notes.append(f"{len(series) - len(chosen)} images are left out, as chosen (images={wanted})")
    if not chosen:
        raise DatasetError(f"{root}: no image is left (images={wanted}); all is the other choice")
    return chosen, dropped


def _loc_files(folder: Path) -> dict[str, Path]:
    """Return the files of places with lesions by patient; a seed's minus sign is no part of a Patient ID."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    matches = ((_LOC.match(path.name), path) for path in sorted(folder.rglob("*.loc")))
    found = {match.group(1): path for match, path in matches if match is not None}
    if not found:
        raise DatasetError(
            f"{folder}: no file like roi_SP_<patient>.loc below this folder; unpack those of the trial's "
            "repository, or leave the option out"
        )
    return found


def _lesions(series: Series, places: dict[str, Path] | None) -> list[dict[str, object]]:
    """Return the rows of a volume's lesions.

    Raises:
        DatasetError: the volume has lesions, but their places are not known, or are not in it.
    """
    if places is None or series.kind is Kind.MAMMOGRAM or series.state != "signal present":
        return []
    path = places.get(series.patient_id.lstrip("-"))
    if path is None:
        raise DatasetError(f"{series.path}: signal present, but there is no roi_SP_{series.patient_id}.loc")
    rows = []
    for line, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if text.strip():
            rows.append(_lesion(series, f"{path}: line {line} is '{text}'", text.split()))
    return rows


def _lesion(series: Series, where: str, words: list[str]) -> dict[str, object]:
    try:
        row, column, slice_index, number = (int(word) for word in words)
    except ValueError as error:
        raise DatasetError(f"{where}; four whole numbers were expected") from error
    in_slice = 0 <= row < series.rows and 0 <= column < series.columns
    if not in_slice or not 0 <= slice_index < series.num_frames:
        raise DatasetError(
            f"{where}, outside of the {series.num_frames} slices of {series.rows} x {series.columns} "
            f"of {series.path}"
        )
    if not 0 <= number < _PAST_MASSES:
        raise DatasetError(f"{where}; lesions have the numbers 0 to {_PAST_MASSES - 1}")
    category = "mass" if number >= _FIRST_MASS else "calcification"
    half = _REGIONS[category] // 2
    low = (max(0, column - half), max(0, row - half))
    high = (min(series.columns, column + half + 1), min(series.rows, row + half + 1))
    corners = dict(zip(CORNERS, (*low, *high), strict=True))
    return {"image_id": _image_id(series), **corners, "slice_index": slice_index, "category": category}


def _oddities(series: Sequence[Series], places: dict[str, Path] | None) -> list[str]:
    notes = []
    present = [one for one in series if one.state == "signal present"]
    boxless = present if places is None else [one for one in present if one.kind is Kind.MAMMOGRAM]
    if boxless:
        notes.append(
            f"{len(boxless)} images have lesions but no boxes, because their places are not given; a "
            "detector must not take them for healthy"
        )
    unknown = sum(one.state == "not stated" for one in series)
    if unknown:
        notes.append(f"{unknown} images do not say whether lesions were inserted")
    other = sum(bool(one.tagged_side) and one.tagged_side != one.side.value for one in series)
    if other:
        notes.append(f"{other} images are tagged as the other side than that at which their breast lies")
    mammograms = sum(one.kind is Kind.MAMMOGRAM for one in series)
    if mammograms:
        notes.append(f'{mammograms} mammograms are "for processing": air is bright and tissue dark')
    return notes


def _image(series: Series, label: str) -> dict[str, object]:
    is_volume = series.kind is Kind.VOLUME
    return {
        "image_id": _image_id(series),
        "modality": (Modality.TOMOSYNTHESIS if is_volume else Modality.MAMMOGRAM).value,
        "patient_id": series.patient_id,
        "study_id": series.study_uid,
        "view_key": f"{series.side.value.lower()}cc",
        "laterality": series.side.value,
        "view": View.CC.value,
        "split": Split.TRAIN.value,
        "label": series.state if label == "state" else series.density,
        "path": str(series.path),
        "num_slices": series.num_frames,
    }


def _image_id(series: Series) -> str:
    return f"victre-{series.kind.value}-{series.patient_id}-{series.series_uid}"
