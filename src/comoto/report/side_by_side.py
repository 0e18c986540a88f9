"""The same slices in a row: once with the annotation, and once with each model's strongest boxes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from comoto.preprocessing.breast import find_breast
from comoto.report.held_out import Detection, HeldOut, HeldOutLesion
from comoto.report.inputs import lesion_marks, view_name
from comoto.report.pictures import Kind, Mark, Picture, picture, region_with
from comoto.report.source_images import ByteImage, SourceImages
from comoto.report.wording import count

MOST_VOLUMES = 6
STRONGEST = 3


@dataclass(frozen=True)
class Panel:
    """One picture of a row, with a line per box."""

    title: str
    picture: Picture
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One volume: a panel for the annotation and one for each model."""

    title: str
    panels: tuple[Panel, ...]


def comparisons(held_out: HeldOut, images: SourceImages) -> tuple[Comparison, ...]:
    """Show the first six volumes with a lesion that can be read, one a patient, in the order of the table.

    The order of the table knows nothing of the results, so nothing is picked to please.
    """
    chosen: dict[str, HeldOutLesion] = {}
    for lesion in held_out.lesions:
        chosen.setdefault(lesion.record.patient_id, lesion)
    readable = (
        _comparison(held_out, lesion, pixels)
        for lesion in chosen.values()
        if (pixels := images.slice(lesion.record, lesion.slice_index)) is not None
    )
    return tuple(islice(readable, MOST_VOLUMES))


def _comparison(held_out: HeldOut, lesion: HeldOutLesion, pixels: ByteImage) -> Comparison:
    record, index = lesion.record, lesion.slice_index
    strongest = {model.title: model.detections_on(record)[:STRONGEST] for model in held_out.models}
    lesions = held_out.lesions_of(record)
    boxes = [lesion.box_xyxy for lesion in lesions]
    boxes += [found.box_xyxy for several in strongest.values() for found in several]
    top, left, bottom, right = find_breast([pixels]).bounds()
    region = region_with((left, top, right, bottom), boxes, pixels.shape)
    marks = lesion_marks(record.lesions, index)
    alt = f"Slice {index} of {view_name(record)} with the annotated lesions."
    lines = tuple(each.text for each in lesions)
    panels = [Panel("Annotation", picture(pixels, marks, alt, region), lines)]
    for title, several in strongest.items():
        drawn = _detected(title, several, marks)
        panels.append(Panel(title, picture(pixels, drawn.marks, drawn.alt, region), drawn.lines))
    return Comparison(f"{record.patient_id}, {view_name(record)}, slice {index}", tuple(panels))


@dataclass(frozen=True)
class _Detected:
    """What one model says of a slice, to draw and to read."""

    marks: list[Mark]
    lines: tuple[str, ...]
    alt: str


def _detected(title: str, strongest: list[Detection], annotation: list[Mark]) -> _Detected:
    marks = [Mark(mark.box_xyxy, mark.kind) for mark in annotation]
    numbered = list(enumerate(strongest, start=1))
    for place, found in reversed(numbered):  # the strongest is drawn last, on top
        marks.append(Mark(found.box_xyxy, kind_of(found), str(place)))
    lines = tuple(_line(place, found) for place, found in numbered) or ("no detection",)
    alt = f"The same slice with the annotation and the strongest boxes of {title}: {'; '.join(lines)}."
    return _Detected(marks, lines, alt)


def kind_of(found: Detection) -> Kind:
    """Return how a detection is drawn."""
    if found.lesion >= 0:
        return "hit"
    return "plane" if found.in_plane >= 0 else "other"


def _line(place: int, found: Detection) -> str:
    verdict = "hit" if found.lesion >= 0 else "no hit"
    if found.lesion < 0 <= found.in_plane:
        verdict = f"found in the plane, depth off by {count(found.slices_off, 'slice')}"
    return f"{place}: score {found.score:.2f}, {found.place}, {verdict}"
