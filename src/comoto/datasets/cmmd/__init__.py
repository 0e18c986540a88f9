"""CMMD (TCIA, Chinese mammograms with biopsy labels) as a manifest, with the lesions of TOMPEI-CMMD.

CMMD itself has a label per breast and no lesions. TOMPEI-CMMD outlines lesions on MLO views; where its
files are there, only views that it looked at are taken unless ``images=all`` says otherwise, because a lesion
on the others would pass for healthy tissue.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from comoto.datasets.cmmd.files import CmmdImage, find_images
from comoto.datasets.cmmd.outlines import OutlineFile, find_outlines, read_outlines
from comoto.datasets.cmmd.reading import read_reading
from comoto.datasets.cmmd.tables import BreastLabels, read_labels
from comoto.datasets.reading.boxes import CORNERS
from comoto.datasets.reading.options import one_of, whole_number
from comoto.datasets.reading.outlines import Box, clipped
from comoto.datasets.reading.views import view_keys
from comoto.errors import DatasetError
from comoto.records import LESION_COLUMNS, Manifest, Modality, Split, View

NAME = "cmmd"
UNLABELLED = "unlabelled"
"""Label of images of a breast without a row in the clinical table."""

_SHOWN = 3


@dataclass
class _Lesions:
    """What the outlines gave: boxes by the image's file, the files looked at, and what was left out."""

    boxes: dict[Path, list[tuple[str, Box]]] = field(default_factory=dict)
    refused: set[Path] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)
    by_tag: list[str] = field(default_factory=list)
    num_clipped: int = 0
    num_normal: int = 0


def read_cmmd(
    root: Path,
    *,
    tables: Path | None = None,
    allow_missing: bool = False,
    side: str = "pixels",
    images: str = "annotated",
    workers: str | int | None = None,
) -> Manifest:
    """Read the clinical table, the images and, where they are, the outlines of TOMPEI-CMMD.

    Args:
        root: any folder above the DICOM files, in any layout; TOMPEI's JSON files are looked for here too.
        tables: folder of the clinical table and of TOMPEI's JSON files, ``root`` if not given.
        allow_missing: leave out breasts of the table without an image, instead of refusing.
        side: which breast an image shows: ``pixels`` decide, or ``tag`` (the header, wrong on some images).
        images: with TOMPEI's files: ``annotated`` views only, or ``all``. Without them all are taken.
        workers: processes that read images; as many as processors if not given.

    Returns:
        One image per mammogram; ``label`` is the breast's class, Malignant, Benign or ``unlabelled``; the
        category of a lesion is TOMPEI's word and that class, such as ``mass Malignant``.

    Raises:
        ConfigError: an option has another value.
        DatasetError: the table is missing or wrong, or images are not on disk.
    """
    root = Path(root).absolute()
    folder = root if tables is None else Path(tables)
    one_of(NAME, "side", side, ("pixels", "tag"))
    one_of(NAME, "images", images, ("annotated", "all"))
    processes = None if workers is None else whole_number(NAME, "workers", workers, 1)
    labels = read_labels(folder)
    found, dropped = find_images(root, side == "pixels", processes)
    labels, moved = _moved_to_imaged_breast(labels, found)
    absent = _absent(root, labels, found, allow_missing)
    places = [folder] if folder == root else [folder, root]
    outlines = next(filter(None, map(find_outlines, places)), [])
    lesions = _match(outlines, found)
    _add_normal_views(next(filter(None, map(read_reading, places)), {}), found, lesions)
    kept = [image for image in found if image.path not in lesions.refused]
    notes = [*labels.notes, *_side_notes(found), *moved, *_lesion_notes(lesions, outlines, labels)]
    if outlines and images == "annotated":
        notes.append(_left_out(kept, lesions))
        kept = [image for image in kept if image.path in lesions.boxes]
    if not kept:
        first = f" ({lesions.dropped[0]})" if lesions.dropped else ""
        raise DatasetError(f"{root}: no image is left{first}; read all of them with --set images=all")
    notes += _label_notes(kept, labels)
    table = _images(kept, labels)
    return Manifest(
        NAME, table, _lesion_table(table, kept, lesions), tuple(notes), (*dropped, *absent, *lesions.dropped)
    )


def _moved_to_imaged_breast(
    labels: BreastLabels, images: Sequence[CmmdImage]
) -> tuple[BreastLabels, tuple[str, ...]]:
    """Move a row to the other breast where all images of a patient show that one and are tagged otherwise.

    The table of such a patient repeats the wrong tag.
    """
    of_patient: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for image in images:
        of_patient[image.patient].add((image.side, image.tag))
    classes: dict[tuple[str, str], str] = {}
    moved: list[str] = []
    for (patient, side), word in labels.classes.items():
        other = "R" if side == "L" else "L"
        is_wrong = of_patient.get(patient) == {(other, side)} and (patient, other) not in labels.classes
        classes[patient, other if is_wrong else side] = word
        if is_wrong:
            moved.append(f"{patient} {side} to {other}")
    if not moved:
        return labels, ()
    note = (
        f"{labels.path.name}: {len(moved)} rows are of the breast that the wrong tags name, and the "
        f"patient's images show the other one: moved there: {', '.join(moved)}"
    )
    return replace(labels, classes=classes), (note,)


def _absent(
    root: Path, labels: BreastLabels, images: Sequence[CmmdImage], allow_missing: bool
) -> tuple[str, ...]:
    """Compare the table's breasts with the images."""
    there = {(image.patient, image.side) for image in images}
    absent = [f"{patient} {side}" for patient, side in labels.classes if (patient, side) not in there]
    if not absent:
        return ()
    if not allow_missing:
        raise DatasetError(
            f"{root}: {len(absent)} of {len(labels.classes)} breasts of {labels.path.name} have no image on "
            f"disk, such as {', '.join(absent[:_SHOWN])}; download them, or index only those that are there "
            "with --allow-missing"
        )
    return (f"{labels.path.name}: {len(absent)} breasts have no image on disk: {', '.join(absent)}",)


def _add_normal_views(
    reading: dict[tuple[str, str], str], images: Sequence[CmmdImage], lesions: _Lesions
) -> None:
    """Count MLO views of breasts that were read as Normal as looked at and without a lesion."""
    for image in images:
        is_normal = image.view is View.MLO and reading.get((image.patient, image.side)) == "Normal"
        if is_normal and image.path not in lesions.boxes and image.path not in lesions.refused:
            lesions.boxes[image.path] = []
            lesions.num_normal += 1


def _match(outlines: Sequence[OutlineFile], images: Sequence[CmmdImage]) -> _Lesions:
    """Give every annotation file its image: by patient, view and side; by the tag where that finds none."""
    by_side: dict[tuple[str, str, str], list[CmmdImage]] = defaultdict(list)
    by_tag: dict[tuple[str, str, str], list[CmmdImage]] = defaultdict(list)
    for image in images:
        by_side[image.patient, image.word, image.side].append(image)
        by_tag[image.patient, image.word, image.tag].append(image)
    lesions = _Lesions()
    for file in outlines:
        key = file.patient, file.view, file.side
        found = by_side.get(key) or by_tag.get(key, [])
        if not by_side.get(key) and len(found) == 1:
            lesions.by_tag.append(file.path.name)
        if len(found) == 1:
            _read_boxes(file, found[0], lesions)
            continue
        lesions.refused.update(image.path for image in found)
        what = "no such image on disk" if not found else f"{len(found)} images are of that view, all left out"
        lesions.dropped.append(f"{file.path.name}: {what}")
    return lesions


def _read_boxes(file: OutlineFile, image: CmmdImage, lesions: _Lesions) -> None:
    try:
        if image.path in lesions.boxes:
            raise DatasetError(f"{file.path}: its image has another annotation file by the header's side")
        outlines = read_outlines(file.path)
        boxes = [(label, clipped(box, *image.shape)) for label, box in outlines]
        inside = [(label, box) for label, box in boxes if box is not None]
        if len(inside) < len(outlines):
            raise DatasetError(
                f"{file.path}: an outline lies outside of the {image.shape[0]} x {image.shape[1]} pixels"
            )
    except DatasetError as error:
        lesions.boxes.pop(image.path, None)
        lesions.refused.add(image.path)
        lesions.dropped.append(f"{error}; the image {image.path.name} is left out with it")
        return
    lesions.num_clipped += sum(box != whole for (_, box), (_, whole) in zip(inside, outlines, strict=True))
    lesions.boxes[image.path] = inside


def _images(images: Sequence[CmmdImage], labels: BreastLabels) -> pd.DataFrame:
    patients = [image.patient for image in images]
    keys = view_keys(patients, [f"{image.side}-{image.word}" for image in images])
    return pd.DataFrame(
        {
            "image_id": [f"{patient}_{key}" for patient, key in zip(patients, keys, strict=True)],
            "modality": Modality.MAMMOGRAM.value,
            "patient_id": patients,
            "study_id": [image.study or image.patient for image in images],
            "view_key": keys,
            "laterality": [image.side for image in images],
            "view": [image.view.value for image in images],
            "split": Split.TRAIN.value,
            "label": [labels.classes.get((image.patient, image.side), UNLABELLED) for image in images],
            "path": [str(image.path) for image in images],
            "num_slices": 1,
        }
    )


def _lesion_table(table: pd.DataFrame, images: Sequence[CmmdImage], lesions: _Lesions) -> pd.DataFrame:
    rows = [
        (image_id, *box, label if of_breast == UNLABELLED else f"{label} {of_breast}")
        for image_id, of_breast, image in zip(table["image_id"], table["label"], images, strict=True)
        for label, box in lesions.boxes.get(image.path, [])
    ]
    found = pd.DataFrame(rows, columns=["image_id", *CORNERS, "category"])
    found["slice_index"] = pd.NA
    return found[list(LESION_COLUMNS)]


def _side_notes(images: Sequence[CmmdImage]) -> list[str]:
    swapped = [image for image in images if image.tag and image.tag != image.side]
    mirrored = [image for image in images if image.leaning and image.leaning != image.side]
    untagged = sum(not image.tag for image in images)
    notes = ["no official split: every patient is in the training part"]
    if swapped:
        notes.append(
            f"{len(swapped)} images lean on the other side than their laterality tag says, the pixels decide "
            f"which breast it is: {_named(swapped)}"
        )
    if mirrored:
        notes.append(
            f"{len(mirrored)} images lean on the other side than their laterality tag says, but the tag "
            f"alone gives each breast one image of a view: stored mirrored: {_named(mirrored)}"
        )
    if untagged:
        notes.append(f"{untagged} images have no laterality tag, the pixels decide which breast it is")
    return notes


def _named(images: Sequence[CmmdImage]) -> str:
    return ", ".join(f"{image.patient} {image.word} (tag {image.tag})" for image in images)


def _lesion_notes(lesions: _Lesions, outlines: Sequence[OutlineFile], labels: BreastLabels) -> list[str]:
    if not outlines:
        return [
            "no annotation files of TOMPEI-CMMD (*_AnnotationFile.json): labels of whole breasts, no "
            "lesions; not to be used as images of healthy tissue"
        ]
    notes = []
    if lesions.by_tag:
        notes.append(
            "annotation files whose side fits the laterality tag of their image and not its pixels: "
            f"{', '.join(lesions.by_tag)}"
        )
    if lesions.num_normal:
        notes.append(f"{lesions.num_normal} MLO views were read as Normal by TOMPEI-CMMD: no lesion")
    elsewhere = [
        f"{file.patient} {file.side}"
        for file in outlines
        if (file.patient, file.side) not in labels.classes
        and (file.patient, "R" if file.side == "L" else "L") in labels.classes
    ]
    if elsewhere:
        notes.append(
            f"breasts with a lesion and without a row in {labels.path.name}, which has the other breast; the "
            f"row may be of the wrong side: {', '.join(elsewhere)}"
        )
    if lesions.num_clipped:
        notes.append(f"{lesions.num_clipped} boxes clipped to the image")
    return notes


def _left_out(images: Sequence[CmmdImage], lesions: _Lesions) -> str:
    without = Counter(image.word for image in images if image.path not in lesions.boxes)
    counts = ", ".join(f"{number} {word}" for word, number in sorted(without.items())) or "none"
    return (
        f"images that TOMPEI-CMMD did not look at are not taken, a lesion on them has no box: {counts} "
        "(images=all takes them as healthy)"
    )


def _label_notes(images: Sequence[CmmdImage], labels: BreastLabels) -> list[str]:
    without = sum((image.patient, image.side) not in labels.classes for image in images)
    views = Counter((image.patient, image.side, image.word) for image in images)
    repeated = sorted(
        {f"{patient} {side}-{word}" for (patient, side, word), count in views.items() if count > 1}
    )
    notes = []
    if without:
        notes.append(
            f"{without} images are of a breast without a row in {labels.path.name}: labelled '{UNLABELLED}'"
        )
    if repeated:
        notes.append(f"more than one image of a view: {', '.join(repeated)}")
    return notes
