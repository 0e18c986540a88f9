"""What the second exams know about each lesion and image, beside the tables of the releases.

``lesions.csv`` has a row for each box, in the order of the boxes' table, ``images.csv`` one for each image.
Numbers of lesions count from 1 within an image. ``size_mm`` is the longest side of the box in the row's view,
before it is cut or rounded and without magnification; ``visibility`` is that in the row's view too.
``obscured`` is not: 1 says that a place was sought where CC sees much gland, which MLO sees from the side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from comoto.simulation.cohort import MammogramCase, TomosynthesisCase
from comoto.simulation.second.cohort import SecondCase, SecondMammogramCase, SecondVolumeCase
from comoto.simulation.tables import Finding, write_table

VOLUME_KEYS = ("PatientID", "StudyUID", "View")
MAMMOGRAM_KEYS = ("study_id", "image_id")
LESION_FACTS = ("type", "look", "size_mm", "visibility", "density", "style", "obscured", "pathology")
IMAGE_FACTS = ("density", "thickness_mm", "style", "decoys", "exam_label", "boxed")
LESIONS, IMAGES = "lesions.csv", "images.csv"


def write_second_tables(
    root: Path,
    cases: Sequence[TomosynthesisCase | MammogramCase],
    findings: dict[tuple[int, int], list[Finding]],
) -> None:
    """Write both tables of the cases of one modality; the first exams have none."""
    chosen = [case for case in cases if isinstance(case, SecondVolumeCase | SecondMammogramCase)]
    if not chosen:
        return
    volumes = isinstance(chosen[0], SecondVolumeCase)
    keys = VOLUME_KEYS if volumes else MAMMOGRAM_KEYS
    places = ("Slice", "Lesion") if volumes else ("Lesion",)
    depth = ("depth_share",) if volumes else ()
    write_table(
        root / LESIONS,
        (*keys, *places, *LESION_FACTS, *depth),
        (row for case in chosen for row in _lesion_rows(case, findings[case.key])),
    )
    extra = () if volumes else ("same_as",)
    write_table(root / IMAGES, (*keys, *IMAGE_FACTS, *extra), (_image_row(case) for case in chosen))


def _keys(case: SecondCase) -> tuple[str, ...]:
    if isinstance(case, SecondVolumeCase):
        return case.patient_id, case.study_alias, case.view_key
    return case.study_id, case.image_id


def _lesion_rows(case: SecondCase, findings: Sequence[Finding]) -> Iterable[tuple[object, ...]]:
    shapes = case.exam.lesions if findings else ()
    for number, (finding, shape) in enumerate(zip(findings, shapes, strict=True), start=1):
        volume = isinstance(case, SecondVolumeCase)
        yield (
            *_keys(case),
            *((round(finding["slice"]),) if volume else ()),
            number,
            shape.family,
            shape.look + 1,
            round(finding["size_mm"], 2),
            round(finding["visibility"], 4),
            case.breast.density,
            case.exam.style,
            int(shape.obscured),
            "cancer" if shape.cancer else "benign",
            *((round(finding["depth_share"], 4),) if volume else ()),
        )


def _image_row(case: SecondCase) -> tuple[object, ...]:
    exam = case.exam
    thickness = next(view.thickness for view in exam.views if view.view is case.view)
    label = "lesion" if exam.lesions else "normal"
    extra: tuple[str, ...] = ()
    if isinstance(case, SecondVolumeCase):
        label, boxed = case.label.lower(), case.boxed
    else:
        boxed, extra = True, (case.same_as,)
    return (
        *_keys(case),
        exam.breast.density,
        round(thickness, 2),
        exam.style,
        " ".join(decoy.family for decoy in exam.decoys),
        label,
        int(boxed),
        *extra,
    )
