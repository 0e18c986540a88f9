"""CMMD (TCIA, Chinese mammograms with biopsy labels) as a manifest, with the lesions of TOMPEI-CMMD.

CMMD itself has a label per breast and no lesions. TOMPEI-CMMD outlines lesions on MLO views; where its
files are there, only views that it looked at are taken unless ``images=all`` says otherwise, because a lesion
on the others would pass for healthy tissue.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from comoto.datasets.cmmd.files import CmmdImage, find_images
from comoto.datasets.cmmd.outlines import OutlineFile, find_outlines, read_outlines
from comoto.datasets.cmmd.tables import BreastLabels, read_labels, read_reading
from comoto.datasets.reading.boxes import Box, clipped
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, Processes
from comoto.datasets.reading.views import view_keys
from comoto.errors import DatasetError
from comoto.records import ImageRecord, Laterality, Lesion, Manifest, Modality, Split, View

UNLABELLED = "unlabelled"
"""Label of images of a breast without a row in the clinical table."""


@dataclass
class _Lesions:
    """What the outlines gave: boxes by the image's file, and images that cannot be used."""

    boxes: dict[Path, list[tuple[str, Box]]] = field(default_factory=dict)
    refused: set[Path] = field(default_factory=set)
    by_tag: list[str] = field(default_factory=list)
    num_clipped: int = 0
    num_normal: int = 0


class CmmdOptions(AllowMissing):
    """Options of ``read_cmmd``."""

    about = DatasetAbout(
        name="cmmd",
        title="CMMD, The Chinese Mammography Database, with the outlines of TOMPEI-CMMD",
        modalities=("FFDM",),
        boxes="none; TOMPEI: MLO outlines",
        access="open: TCIA, IDC",
        licence="CC BY 4.0 (TOMPEI: not stated)",
        commercial_use="yes",
        citation=(
            "Cui C, Li L, Cai H, Fan Z, Zhang L, Dan T, Li J, Wang J. The Chinese Mammography Database "
            "(CMMD): An online mammography database with biopsy confirmed types for machine diagnosis of "
            "breast. The Cancer Imaging Archive, 2021. Data: doi.org/10.7937/tcia.eqde-4b16"
        ),
        url="https://www.cancerimagingarchive.net/collection/cmmd/",
        notes=(
            "1,775 patients, about 22 GB. Benign or malignant by biopsy for a breast, no lesions of its own. "
            "No official split. The table is an Excel sheet: pip install openpyxl, or save it as CSV."
        ),
    )

    tables: Path | None = None
    """Folder of the clinical table and of TOMPEI's JSON files, if it is not the folder of the images."""
    side: Literal["pixels", "tag"] = "pixels"
    """Which breast an image shows: the pixels decide, or the tag, which is wrong on some images."""
    images: Literal["annotated", "all"] = "annotated"
    """With TOMPEI's files: annotated views only, or all; without them all are taken."""
    workers: Processes = None
    """Processes that read the images; as many as processors if not given."""


def read_cmmd(root: Path, options: CmmdOptions) -> Manifest:
    """Read the clinical table, the images and, where they are, the outlines of TOMPEI-CMMD.

    Args:
        root: any folder above the DICOM files, in any layout; TOMPEI's JSON files are looked for here too.
        options: what is read.

    Returns:
        One image per mammogram; ``label`` is the breast's class, Malignant, Benign or ``unlabelled``; the
        category of a lesion is TOMPEI's word and that class, such as ``mass Malignant``.

    Raises:
        DatasetError: the table is missing or wrong, or images are not on disk.
    """
    folder = options.tables or root
    ledger = Ledger()
    labels = read_labels(folder, ledger)
    found = find_images(root, options.side == "pixels", options.workers, ledger)
    _note_sides(found, ledger)
    labels = _moved_to_imaged_breast(labels, found, ledger)
    _require_images(root, labels, found, options.allow_missing, ledger)
    places = [folder] if folder == root else [folder, root]
    outlines = next(filter(None, map(find_outlines, places)), [])
    before = len(ledger.dropped)
    lesions = _match(outlines, found, ledger)
    _add_normal_views(next(filter(None, map(read_reading, places)), {}), found, lesions)
    kept = [image for image in found if image.path not in lesions.refused]
    _note_lesions(lesions, outlines, labels, ledger)
    if outlines and options.images == "annotated":
        _note_left_out(kept, lesions, ledger)
        kept = [image for image in kept if image.path in lesions.boxes]
    if not kept:
        first = "".join(f" ({line})" for line in ledger.dropped[before : before + 1])
        raise DatasetError(f"{root}: no image is left{first}; read all of them with --set images=all")
    _note_labels(kept, labels, ledger)
    return Manifest.from_records("cmmd", _records(kept, labels, lesions), ledger.notes, ledger.dropped)


def _moved_to_imaged_breast(
    labels: BreastLabels, images: Sequence[CmmdImage], ledger: Ledger
) -> BreastLabels:
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
        return labels
    ledger.note(
        f"{labels.path.name}: {len(moved)} rows are of the breast that the wrong tags name, and the "
        f"patient's images show the other one: moved there: {', '.join(moved)}"
    )
    return replace(labels, classes=classes)


def _require_images(
    root: Path, labels: BreastLabels, images: Sequence[CmmdImage], allow_missing: bool, ledger: Ledger
) -> None:
    """Compare the table's breasts with the images."""
    there = {(image.patient, image.side) for image in images}
    absent = [f"{patient} {side}" for patient, side in labels.classes if (patient, side) not in there]
    what = f"breasts of {labels.path.name}"
    refuse_missing(root, what, absent, len(labels.classes), allow_missing)
    if absent:
        ledger.drop(f"{labels.path.name}: {len(absent)} breasts have no image on disk: {', '.join(absent)}")


def _add_normal_views(
    reading: dict[tuple[str, str], str], images: Sequence[CmmdImage], lesions: _Lesions
) -> None:
    """Count MLO views of breasts that were read as Normal as looked at and without a lesion."""
    for image in images:
        is_normal = image.view is View.MLO and reading.get((image.patient, image.side)) == "Normal"
        if is_normal and image.path not in lesions.boxes and image.path not in lesions.refused:
            lesions.boxes[image.path] = []
            lesions.num_normal += 1


def _match(outlines: Sequence[OutlineFile], images: Sequence[CmmdImage], ledger: Ledger) -> _Lesions:
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
            _read_boxes(file, found[0], lesions, ledger)
            continue
        lesions.refused.update(image.path for image in found)
        what = "no such image on disk" if not found else f"{len(found)} images are of that view, all left out"
        ledger.drop(f"{file.path.name}: {what}")
    return lesions


def _read_boxes(file: OutlineFile, image: CmmdImage, lesions: _Lesions, ledger: Ledger) -> None:
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
        ledger.drop(f"{error}; the image {image.path.name} is left out with it")
        return
    lesions.num_clipped += sum(box != whole for (_, box), (_, whole) in zip(inside, outlines, strict=True))
    lesions.boxes[image.path] = inside


def _records(images: Sequence[CmmdImage], labels: BreastLabels, lesions: _Lesions) -> Iterator[ImageRecord]:
    keys = view_keys([image.patient for image in images], [f"{image.side}-{image.word}" for image in images])
    for image, key in zip(images, keys, strict=True):
        of_breast = labels.classes.get((image.patient, image.side))
        yield ImageRecord(
            image_id=f"{image.patient}_{key}",
            modality=Modality.MAMMOGRAM,
            patient_id=image.patient,
            study_id=image.study or image.patient,
            view_key=key,
            laterality=Laterality(image.side),
            view=image.view,
            split=Split.TRAIN,
            label=of_breast or UNLABELLED,
            path=image.path,
            num_slices=1,
            lesions=tuple(
                Lesion(box, None, f"{word} {of_breast}" if of_breast else word)
                for word, box in lesions.boxes.get(image.path, [])
            ),
        )


def _note_sides(images: Sequence[CmmdImage], ledger: Ledger) -> None:
    swapped = [image for image in images if image.tag and image.tag != image.side]
    mirrored = [image for image in images if image.leaning and image.leaning != image.side]
    untagged = sum(not image.tag for image in images)
    ledger.note("no official split: every patient is in the training part")
    if swapped:
        ledger.note(
            f"{len(swapped)} images lean on the other side than their laterality tag says, the pixels decide "
            f"which breast it is: {_named(swapped)}"
        )
    if mirrored:
        ledger.note(
            f"{len(mirrored)} images lean on the other side than their laterality tag says, but the tag "
            f"alone gives each breast one image of a view: stored mirrored: {_named(mirrored)}"
        )
    if untagged:
        ledger.note(f"{untagged} images have no laterality tag, the pixels decide which breast it is")


def _named(images: Sequence[CmmdImage]) -> str:
    return ", ".join(f"{image.patient} {image.word} (tag {image.tag})" for image in images)


def _note_lesions(
    lesions: _Lesions, outlines: Sequence[OutlineFile], labels: BreastLabels, ledger: Ledger
) -> None:
    if not outlines:
        ledger.note(
            "no annotation files of TOMPEI-CMMD (*_AnnotationFile.json): labels of whole breasts, no "
            "lesions; not to be used as images of healthy tissue"
        )
        return
    if lesions.by_tag:
        ledger.note(
            "annotation files whose side fits the laterality tag of their image and not its pixels: "
            f"{', '.join(lesions.by_tag)}"
        )
    if lesions.num_normal:
        ledger.note(f"{lesions.num_normal} MLO views were read as Normal by TOMPEI-CMMD: no lesion")
    elsewhere = [
        f"{file.patient} {file.side}"
        for file in outlines
        if (file.patient, file.side) not in labels.classes
        and (file.patient, "R" if file.side == "L" else "L") in labels.classes
    ]
    if elsewhere:
        ledger.note(
            f"breasts with a lesion and without a row in {labels.path.name}, which has the other breast; the "
            f"row may be of the wrong side: {', '.join(elsewhere)}"
        )
    if lesions.num_clipped:
        ledger.note(f"{lesions.num_clipped} boxes clipped to the image")


def _note_left_out(images: Sequence[CmmdImage], lesions: _Lesions, ledger: Ledger) -> None:
    without = Counter(image.word for image in images if image.path not in lesions.boxes)
    counts = ", ".join(f"{number} {word}" for word, number in sorted(without.items())) or "none"
    ledger.note(
        f"images that TOMPEI-CMMD did not look at are not taken, a lesion on them has no box: {counts} "
        "(images=all takes them as healthy)"
    )


def _note_labels(images: Sequence[CmmdImage], labels: BreastLabels, ledger: Ledger) -> None:
    without = sum((image.patient, image.side) not in labels.classes for image in images)
    views = Counter((image.patient, image.side, image.word) for image in images)
    repeated = sorted(
        {f"{patient} {side}-{word}" for (patient, side, word), count in views.items() if count > 1}
    )
    if without:
        ledger.note(
            f"{without} images are of a breast without a row in {labels.path.name}: labelled '{UNLABELLED}'"
        )
    if repeated:
        ledger.note(f"more than one image of a view: {', '.join(repeated)}")
