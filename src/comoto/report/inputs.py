"""What went in: counts by split, and pictures of mammograms and slices with their annotations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from comoto.records import ImageRecord, Lesion, Manifest, Modality, Split, View
from comoto.report.pictures import PictureBox, picture
from comoto.report.source_images import SourceImages
from comoto.report.wording import count

WITH_LESION, WITHOUT_LESION = 6, 2
SPLIT_WORDS = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.TEST: "test"}


def split_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Count patients, images and lesions of each split that is there."""
    parts = {split: manifest.split(split) for split in Split}
    return [
        {
            "split": split.value,
            "word": SPLIT_WORDS[split],
            "patients": part.images["patient_id"].nunique(),
            "images": len(part),
            "images_with_lesion": part.lesions["image_id"].nunique(),
            "lesions": len(part.lesions),
        }
        for split, part in parts.items()
        if len(part)
    ]


def examples(records: Sequence[ImageRecord], images: SourceImages, kind: str = "") -> list[dict[str, Any]]:
    """Show the first images that can be read, one a patient: six with a lesion, then two without.

    Args:
        records: what there is to show.
        images: where they come from.
        kind: what they are besides, for those who cannot see them, such as "simulated, ".
    """
    positive = _one_a_patient([record for record in records if record.lesions])
    negative = _one_a_patient([record for record in records if not record.lesions])
    shown = []
    for few, most in ((positive, WITH_LESION), (negative, WITHOUT_LESION)):
        readable = (each for record in few if (each := _example(record, images, kind)) is not None)
        shown += list(islice(readable, most))
    return shown


def lesion_marks(lesions: Sequence[Lesion], slice_index: int) -> list[PictureBox]:
    """Outline annotated lesions; one that is annotated on another slice says on which."""
    return [
        PictureBox(
            lesion.box_xyxy,
            "lesion",
            "" if lesion.slice_index in (None, slice_index) else f"slice {lesion.slice_index}",
        )
        for lesion in lesions
    ]


def view_name(record: ImageRecord) -> str:
    """Return "left CC" or the like."""
    side = {"L": "left", "R": "right"}[record.laterality.value]
    return f"{side} {record.view_key if record.view is View.OTHER else record.view.value}"


def _one_a_patient(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    first: dict[str, ImageRecord] = {}
    for record in records:
        first.setdefault(record.patient_id, record)
    return list(first.values())


def _example(record: ImageRecord, images: SourceImages, kind: str) -> dict[str, Any] | None:
    index = (record.lesions[0].slice_index or 0) if record.lesions else images.middle(record)
    pixels = images.slice(record, index)
    if pixels is None:
        return None
    marks = lesion_marks(record.lesions, index)
    found = count(len(record.lesions), "annotated lesion") if record.lesions else "no lesion"
    where = "" if record.modality is Modality.MAMMOGRAM else f", slice {index}"
    thing = "Mammogram" if record.modality is Modality.MAMMOGRAM else "Tomosynthesis slice"
    alt = f"{thing}, {kind}{view_name(record)}{where}, {found}."
    caption = f"{view_name(record)}{where}: {found} ({record.label})"
    return {"picture": picture(pixels, marks, alt), "caption": caption}
