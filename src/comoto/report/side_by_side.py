"""The same slices in a row: once with the annotation, and once with each model's strongest boxes."""

from __future__ import annotations

from itertools import islice
from typing import Any

from comoto.preprocessing.breast import find_breast
from comoto.report.held_out import Detection, HeldOut, HeldOutLesion
from comoto.report.inputs import lesion_marks, view_name
from comoto.report.pictures import Kind, PictureBox, picture, region_with
from comoto.report.source_images import ByteImage, SourceImages
from comoto.report.wording import count

MOST_VOLUMES = 6
STRONGEST = 3


def comparisons(held_out: HeldOut, images: SourceImages) -> list[dict[str, Any]]:
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
    return list(islice(readable, MOST_VOLUMES))


def _comparison(held_out: HeldOut, lesion: HeldOutLesion, pixels: ByteImage) -> dict[str, Any]:
    """Return a row of pictures: one with the annotation, and one for each model, with a line per box."""
    record, index = lesion.record, lesion.slice_index
    strongest = {model.title: model.detections_on(record)[:STRONGEST] for model in held_out.models}
    lesions = held_out.lesions_of(record)
    boxes = [lesion.box_xyxy for lesion in lesions]
    boxes += [found.box_xyxy for several in strongest.values() for found in several]
    top, left, bottom, right = find_breast([pixels]).bounds()
    region = region_with((left, top, right, bottom), boxes, pixels.shape)
    marks = lesion_marks(record.lesions, index)
    alt = f"Slice {index} of {view_name(record)} with the annotated lesions."
    annotated = picture(pixels, marks, alt, region)
    panels = [{"title": "Annotation", "picture": annotated, "lines": [each.text for each in lesions]}]
    unlabelled = [PictureBox(mark.box_xyxy, mark.kind) for mark in marks]
    for title, several in strongest.items():
        numbered = list(enumerate(several, start=1))
        lines = [_line(place, found) for place, found in numbered] or ["no detection"]
        alt = f"The same slice with the annotation and the strongest boxes of {title}: {'; '.join(lines)}."
        # the strongest is drawn last, on top
        boxes_of = [
            PictureBox(found.box_xyxy, kind_of(found), str(place)) for place, found in reversed(numbered)
        ]
        drawn = picture(pixels, [*unlabelled, *boxes_of], alt, region)
        panels.append({"title": title, "picture": drawn, "lines": lines})
    return {"title": f"{record.patient_id}, {view_name(record)}, slice {index}", "panels": panels}


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
