"""What the DICOM files of VICTRE are: volumes, mammograms and projections, told by their tags.

The collection keeps a volume as one single-frame file per slice. The files say so with the CT class, at the
Imaging Data Commons with that of secondary captures, and neither the folders nor the files have names that
help. What counts is how the files of a series lie together (``comoto.sources.folder``), and the descriptions
that the simulation wrote: ``DBT Reconstructed Volume``, ``Simulated Digital Mammography``, ``Simulated DBT
Projection``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from comoto.dicom.read import touching_side
from comoto.dicom.tags import one_error, read_tags
from comoto.errors import DicomError
from comoto.records import Laterality
from comoto.sources import open_source
from comoto.sources.dicom_content import WAYS_OUT, Content, DicomContent, dicom_content
from comoto.sources.dicom_stack import DicomStack, ordered_slices
from comoto.sources.folder import Stack, group

_KEYWORDS = (
    *("PatientID", "PatientComments", "PatientState"),
    *("StudyInstanceUID", "StudyDescription", "SeriesDescription"),
    *("ImageComments", "ImageType", "ImageLaterality", "Manufacturer"),
)
_OWN_WORDS = ("simulated", "dbt reconstructed volume", "mcgpu")
_DETECTOR = ((3000, 1500), (1500, 3000))
"""Size of what the simulated detector records; a reconstruction is as large as its breast."""

_DENSITIES = {"dense": "dense", "hetero": "hetero", "scatter": "scattered", "fat": "fatty"}
_DAMAGED = "download the series again"


class Kind(StrEnum):
    """What a series is."""

    VOLUME = "volume"
    MAMMOGRAM = "dm"


@dataclass(frozen=True)
class Series:
    """One volume or mammogram.

    Attributes:
        path: what ``comoto.sources.open_source`` opens: a folder of slices, or a file.
        patient_id, study_uid, series_uid: as the files say.
        state: ``signal present``, ``signal absent`` or ``not stated``.
        density: ``dense``, ``hetero``, ``scattered``, ``fatty`` or ``not stated``.
        rows, columns, num_frames: of the image.
        side: the side of the image at which the breast lies.
        tagged_side: what the files say of it; empty if nothing.
    """

    kind: Kind
    path: Path
    patient_id: str
    study_uid: str
    series_uid: str
    state: str
    density: str
    rows: int
    columns: int
    num_frames: int
    side: Laterality
    tagged_side: str


@dataclass(frozen=True)
class FolderSeries:
    """What the files directly in one folder are.

    Attributes:
        series: the images.
        projections: folders or files of projections.
        problems: what cannot be read, a line each.
    """

    series: tuple[Series, ...]
    projections: tuple[Path, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """One series of a folder before it is looked at closely."""

    path: Path
    first: DicomContent
    num_files: int
    stack: Stack | None


def read_folder(files: tuple[Path, ...]) -> FolderSeries:
    """Look at the DICOM files of one folder; never raises for bad content.

    Args:
        files: all of them, at least one.
    """
    folder = files[0].parent
    found = group(folder, [dicom_content(path) for path in files])
    items = [_Item(folder, stack.files[0], len(stack.files), stack) for stack in found.stacks]
    for uid in dict.fromkeys(one.series_uid for one in found.others):
        members = [one for one in found.others if one.series_uid == uid]
        items.extend(_Item(one.path, one, len(members), None) for one in members)
    series: list[Series] = []
    projections: list[Path] = []
    problems: list[str] = []
    for item in items:
        try:
            tags = _tags(item.first)
            _require_victre(item.first.path, tags)
            if _is_projection(item, tags):
                projections.append(item.path)
            else:
                series.append(_series(item, tags, is_alone=len(items) == 1))
        except DicomError as error:
            problems.append(str(error))
    return FolderSeries(tuple(series), tuple(projections), tuple(problems))


def _tags(file: DicomContent) -> dict[str, str]:
    if file.content is Content.UNREADABLE:
        raise DicomError(f"{file.path}: the header cannot be read ({file.reason}); {_DAMAGED}")
    dataset = read_tags(file.path, _KEYWORDS)
    with one_error(file.path):
        values = [(keyword, dataset.get(keyword)) for keyword in _KEYWORDS]
        return {keyword: "" if value is None else str(value).strip() for keyword, value in values}


def _require_victre(path: Path, tags: dict[str, str]) -> None:
    """Refuse images of another collection: here all count as CC views, mostly of breasts without a lesion."""
    described = _described(tags)
    signs = ("victre" in tags["Manufacturer"].lower(), *(word in described for word in _OWN_WORDS))
    if not any(signs) and _state(tags) == "not stated":
        raise DicomError(
            f"{path}: nothing says that it is of VICTRE (Manufacturer, descriptions, Patient State); is it "
            "the right folder?"
        )


def _is_projection(item: _Item, tags: dict[str, str]) -> bool:
    if item.first.content is Content.PROJECTIONS or "projection" in _described(tags):
        return True
    if item.stack is None:  # a mammogram is alone in its series
        return item.first.content is Content.MAMMOGRAM and item.num_files > 1
    described = "reconstruct" in _described(tags) or "slices" in _described(tags)
    return not described and (item.first.rows, item.first.columns) in _DETECTOR


def _described(tags: dict[str, str]) -> str:
    return f"{tags['StudyDescription']} {tags['SeriesDescription']}".lower()


def _series(item: _Item, tags: dict[str, str], *, is_alone: bool) -> Series:
    """Return the series, opened once.

    Raises:
        DicomError: it is no image of the collection, or it is damaged or incomplete.
    """
    kind = _kind(item, tags)
    if item.stack is not None and not is_alone:
        raise DicomError(
            f"{item.path}: the slices of series {item.stack.series_uid} share their folder with other files; "
            "put each series into a folder of its own"
        )
    if not tags["PatientID"] or not item.first.series_uid:
        raise DicomError(f"{item.first.path}: names no patient or no series; {_DAMAGED}")
    if item.stack is not None:
        image = DicomStack(item.path, ordered_slices(item.path, item.stack.files))
        if image.announced > image.num_frames:
            raise DicomError(
                f"{item.path}: {image.num_frames} of {image.announced} slices are there; {_DAMAGED}"
            )
        rows, columns, frames = *image.shape, image.num_frames
        side = touching_side(image.frame(0))
    else:
        rows, columns, frames = item.first.rows, item.first.columns, item.first.num_frames
        side = _side(item, kind)
    return Series(
        kind,
        item.path,
        tags["PatientID"],
        tags["StudyInstanceUID"],
        item.first.series_uid,
        _state(tags),
        _density(tags["PatientComments"]),
        rows,
        columns,
        frames,
        side,
        tags["ImageLaterality"],
    )


def _kind(item: _Item, tags: dict[str, str]) -> Kind:
    content = item.first.content
    if content in WAYS_OUT:
        raise DicomError(f"{item.first.path}: {WAYS_OUT[content]}")
    if item.stack is not None and item.num_files > 1:
        return Kind.VOLUME
    if content is Content.VOLUME:
        return Kind.VOLUME
    if item.stack is not None or "reconstruct" in _described(tags):
        raise DicomError(f"{item.first.path}: one slice of a volume, without the others; {_DAMAGED}")
    if content is Content.MAMMOGRAM:
        return Kind.MAMMOGRAM
    raise DicomError(f"{item.first.path}: {content.value}, not one of VICTRE's")


def _side(item: _Item, kind: Kind) -> Laterality:
    """A mammogram "for processing" has bright air, so its pixels would say the wrong side."""
    if kind is Kind.MAMMOGRAM:
        return Laterality.LEFT
    with open_source(item.path) as image:
        return touching_side(image.frame(0))


def _state(tags: dict[str, str]) -> str:
    text = tags["PatientState"].lower()
    absent = "absent" in text or text.startswith("no ")
    present = "present" in text or text.startswith("with ")
    if absent is present:
        code = tags["ImageComments"].upper()
        absent, present = code == "SA", code == "SP"
    if absent is present:
        return "not stated"
    return "signal present" if present else "signal absent"


def _density(comments: str) -> str:
    """Heterogeneously dense breasts are called ``Heterogenous`` there, but may be called both."""
    text = comments.lower()
    words: Iterable[str] = ("hetero", "scatter", "fat", "dense")
    return next((_DENSITIES[word] for word in words if word in text), "not stated")
