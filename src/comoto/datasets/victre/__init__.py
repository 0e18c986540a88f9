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
from typing import Literal

from comoto.datasets.reading.boxes import clipped
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.options import DatasetAbout, Processes, ReaderOptions
from comoto.datasets.reading.walk import dicom_files, for_each, walk_files
from comoto.datasets.victre.series import FolderSeries, Kind, Series, read_folder
from comoto.errors import DatasetError
from comoto.records import ImageRecord, Lesion, Manifest, Modality, Split, View
from comoto.wording import first_few

_LOC = re.compile(r"^roi_SP_-?(\d+)\.loc$")
_REGIONS = {"calcification": 65, "mass": 109}
"""Sides of the trial's regions of interest in pixels of 0.085 mm."""

_FIRST_MASS, _PAST_MASSES = 4, 8
_NAMED = 4


class VictreOptions(ReaderOptions):
    """Options of ``read_victre``."""

    about = DatasetAbout(
        name="victre",
        title="VICTRE, simulated trial of mammography against tomosynthesis (FDA)",
        modalities=("synthetic DM", "synthetic DBT"),
        boxes="none in the collection; places of lesions apart",
        access="open: TCIA, IDC",
        licence="CC BY 3.0",
        commercial_use="yes",
        citation=(
            "Badano A, Graff CG, Badal A, Sharma D, Zeng R, Samuelson FW, Glick SJ, Myers KJ. Evaluation of "
            "Digital Breast Tomosynthesis as Replacement of Full-Field Digital Mammography Using an In "
            "Silico Imaging Trial. JAMA Network Open 1(7), 2018. Data: doi.org/10.7937/TCIA.2019.ho23nxaw"
        ),
        url="https://www.cancerimagingarchive.net/collection/victre/",
        notes=(
            "2,994 simulated patients; a volume is a folder of one file per slice. No official splits. "
            'Mammograms are "for processing". Not clinical evidence.'
        ),
    )

    tables: Path | None = None
    """Folder of the trial's ``roi_SP_<patient>.loc`` files; without it no image has boxes."""
    images: Literal["all", "volumes", "mammograms"] = "all"
    """Which images are read."""
    label: Literal["state", "density"] = "state"
    """Label of an image: signal present or absent, or the density of the breast."""
    workers: Processes = None
    """Processes that read headers; as many as processors are usable if not given."""


def read_victre(root: Path, options: VictreOptions) -> Manifest:
    """Find the series on disk, by content, and the lesions of volumes if their places are given.

    Args:
        root: any folder above the DICOM files; each series of slices in a folder of its own.
        options: what is read.

    Returns:
        One image per mammogram and per volume, all of them ``train``: the collection has no splits.

    Raises:
        DatasetError: no image is below ``root``, or ``tables`` holds no ``.loc`` file.
    """
    places = None if options.tables is None else _loc_files(options.tables)
    ledger = Ledger()
    found = for_each(read_folder, list(_folders(root)), "read headers", options.workers)
    kept: list[tuple[Series, tuple[Lesion, ...]]] = []
    for series in _chosen(root, found, options, ledger):
        try:
            kept.append((series, tuple(_lesions(series, places))))
        except DatasetError as error:
            ledger.drop(str(error))
    _note_oddities([series for series, _ in kept], places, ledger)
    records = (_record(series, lesions, options.label) for series, lesions in kept)
    return Manifest.from_records("victre", records, ledger.notes, ledger.dropped)


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
    root: Path, found: Sequence[FolderSeries], options: VictreOptions, ledger: Ledger
) -> list[Series]:
    """Return the series that were asked for."""
    ledger.drop(*(problem for one in found for problem in one.problems))
    projections = [path for one in found for path in one.projections]
    if projections:
        some = first_few((path.relative_to(root) for path in projections), _NAMED)
        ledger.drop(f"projections of the scan, which are no slices and no mammograms: {some}")
    series = [one for folder in found for one in folder.series]
    if not series:
        reason = "".join(f" ({line})" for line in ledger.dropped[:1])
        raise DatasetError(f"{root}: no image of VICTRE below this folder{reason}; is it the right folder?")
    kind = {"volumes": Kind.VOLUME, "mammograms": Kind.MAMMOGRAM}.get(options.images)
    chosen = [one for one in series if kind in (None, one.kind)]
    if len(chosen) < len(series):
        ledger.note(f"{len(series) - len(chosen)} images are left out, as chosen (images={options.images})")
    if not chosen:
        raise DatasetError(f"{root}: no image is left (images={options.images}); all is the other choice")
    return chosen


def _loc_files(folder: Path) -> dict[str, Path]:
    """Return the files of places with lesions by patient; a seed's minus sign is no part of a Patient ID."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    matches = ((_LOC.match(path.name), path) for path in sorted(walk_files(folder, ".loc")))
    found = {match.group(1): path for match, path in matches if match is not None}
    if not found:
        raise DatasetError(
            f"{folder}: no file like roi_SP_<patient>.loc below this folder; unpack those of the trial's "
            "repository, or leave the option out"
        )
    return found


def _lesions(series: Series, places: dict[str, Path] | None) -> Iterator[Lesion]:
    """Yield a volume's lesions.

    Raises:
        DatasetError: the volume has lesions, but their places are not known, or are not in it.
    """
    if places is None or series.kind is Kind.MAMMOGRAM or series.state != "signal present":
        return
    path = places.get(series.patient_id.lstrip("-"))
    if path is None:
        raise DatasetError(f"{series.path}: signal present, but there is no roi_SP_{series.patient_id}.loc")
    for line, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if text.strip():
            yield _lesion(series, f"{path}: line {line} is '{text}'", text.split())


def _lesion(series: Series, where: str, words: list[str]) -> Lesion:
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
    region = float(column - half), float(row - half), column + half + 1.0, row + half + 1.0
    box = clipped(region, series.rows, series.columns)
    assert box is not None  # its centre is in the slice
    return Lesion(box, slice_index, category)


def _note_oddities(series: Sequence[Series], places: dict[str, Path] | None, ledger: Ledger) -> None:
    present = [one for one in series if one.state == "signal present"]
    boxless = present if places is None else [one for one in present if one.kind is Kind.MAMMOGRAM]
    if boxless:
        ledger.note(
            f"{len(boxless)} images have lesions but no boxes, because their places are not given; a "
            "detector must not take them for healthy"
        )
    unknown = sum(one.state == "not stated" for one in series)
    if unknown:
        ledger.note(f"{unknown} images do not say whether lesions were inserted")
    other = sum(bool(one.tagged_side) and one.tagged_side != one.side.value for one in series)
    if other:
        ledger.note(f"{other} images are tagged as the other side than that at which their breast lies")
    mammograms = sum(one.kind is Kind.MAMMOGRAM for one in series)
    if mammograms:
        ledger.note(f'{mammograms} mammograms are "for processing": air is bright and tissue dark')


def _record(series: Series, lesions: tuple[Lesion, ...], label: str) -> ImageRecord:
    is_volume = series.kind is Kind.VOLUME
    return ImageRecord(
        image_id=f"victre-{series.kind.value}-{series.patient_id}-{series.series_uid}",
        modality=Modality.TOMOSYNTHESIS if is_volume else Modality.MAMMOGRAM,
        patient_id=series.patient_id,
        study_id=series.study_uid,
        view_key=f"{series.side.value.lower()}cc",
        laterality=series.side,
        view=View.CC,
        split=Split.TRAIN,
        label=series.state if label == "state" else series.density,
        path=series.path,
        num_slices=series.num_frames,
        lesions=lesions,
    )
