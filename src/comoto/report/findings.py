"""Montages of what a model found, missed and invented at the operating threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from comoto.records import ImageRecord
from comoto.report.held_out import Detection, HeldOut, HeldOutLesion, Scored
from comoto.report.inputs import view_name
from comoto.report.pictures import Box, PictureBox, picture, region_around
from comoto.report.side_by_side import kind_of
from comoto.report.source_images import SourceImages
from comoto.report.wording import count, of_total

MOST_EACH = 6
_CLOSE_UP_ROWS, _THUMB_ROWS = 384, 256
Item = TypeVar("Item")


Finding = dict[str, Any]
"""``pair``: a close-up and the whole slice, if the image can be read; ``lines``: what there is to say."""


def findings_of(
    model: Scored, held_out: HeldOut, images: SourceImages, volumes: str = "volume"
) -> dict[str, Any]:
    """Show hits, misses and false positives of one model; ``volumes`` is what one of them is called."""
    reported = model.reported_lesions
    strongest = _strongest_hits(model)
    hits = [strongest[number] for number in sorted(reported, key=lambda n: -strongest[n].score)]
    elsewhere = model.only_in_plane()
    missed = [lesion for lesion in held_out.lesions if lesion.number not in {*reported, *elsewhere}]
    every_false = [found for found in model.detections if found.lesion < 0 and found.score >= model.threshold]
    false = _strongest_of_each_volume(every_false)
    misplaced = sum(found.in_plane >= 0 for found in every_false)
    show = _Show(held_out, images)
    groups = (
        (
            f"Lesions found: {of_total(len(hits), len(held_out.lesions))}",
            _shown(hits, "spread evenly from the highest to the lowest score"),
            [show.hit(found) for found in evenly(hits, MOST_EACH)],
        ),
        (
            f"Lesions found in the plane at another depth: {of_total(len(elsewhere), len(held_out.lesions))}",
            _shown(list(elsewhere), "spread evenly from the highest to the lowest score"),
            [show.other_depth(found) for found in evenly(list(elsewhere.values()), MOST_EACH)],
        ),
        (
            f"Lesions missed: {of_total(len(missed), len(held_out.lesions))}",
            _shown(missed, "spread evenly over the table"),
            [show.miss(lesion, strongest.get(lesion.number)) for lesion in evenly(missed, MOST_EACH)],
        ),
        (
            f"False positives: {len(every_false)} in {count(len(false), 'volume')}",
            _shown(false, "the highest scores, one a volume"),
            [show.false_positive(found) for found in false[:MOST_EACH]],
        ),
    )
    summary = (
        f"Reported: {model.threshold_text}. That gives {model.fps_per_volume:.2f} false positives "
        f"per volume over {count(model.result.num_volumes_all, volumes)}. Of these "
        f"false positives, {of_total(misplaced, len(every_false))} lie over an annotated lesion at another "
        "depth."
    )
    return {
        "title": model.title,
        "summary": summary,
        "groups": [{"title": title, "rule": rule, "findings": found} for title, rule, found in groups],
    }


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most ``most`` items, spread evenly, first and last included."""
    if len(items) <= most:
        return list(items)
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]


def _shown(items: Sequence[object], rule: str) -> str:
    if not items:
        return "None."
    return f"Shown: {rule}." if len(items) > MOST_EACH else "All are shown."


def _strongest_hits(model: Scored) -> dict[int, Detection]:
    """Return the strongest detection of each lesion that is hit, reported or not."""
    strongest: dict[int, Detection] = {}
    for found in model.detections:
        if found.lesion >= 0:
            strongest.setdefault(found.lesion, found)
    return strongest


def _strongest_of_each_volume(detections: Sequence[Detection]) -> list[Detection]:
    """Return the first of each volume; what comes in is sorted by falling score."""
    first: dict[str, Detection] = {}
    for found in detections:
        first.setdefault(found.record.image_id, found)
    return list(first.values())


class _Show:
    """Makes findings of one set of volumes."""

    def __init__(self, held_out: HeldOut, images: SourceImages) -> None:
        self._held_out = held_out
        self._images = images

    def hit(self, found: Detection) -> Finding:
        lesion = self._held_out.lesions[found.lesion]
        lines = (f"score {found.score:.2f}, {found.place}", lesion.text)
        mark = PictureBox(found.box_xyxy, "hit")
        return self._finding(found.record, found.slice_index, lesion.box_xyxy, [mark], lines)

    def other_depth(self, found: Detection) -> Finding:
        lesion = self._held_out.lesions[found.in_plane]
        lines = (
            f"found in the plane, depth off by {count(found.slices_off, 'slice')}",
            f"score {found.score:.2f}, {found.place}",
            lesion.text,
        )
        mark = PictureBox(found.box_xyxy, "plane")
        return self._finding(lesion.record, lesion.slice_index, lesion.box_xyxy, [mark], lines)

    def miss(self, lesion: HeldOutLesion, best: Detection | None) -> Finding:
        told = "no box hits it" if best is None else f"best hit {best.score:.3f}, below the threshold"
        lines = (lesion.text, told)
        return self._finding(lesion.record, lesion.slice_index, lesion.box_xyxy, [], lines)

    def false_positive(self, found: Detection) -> Finding:
        if found.in_plane >= 0:
            told = f"over a lesion, depth off by {count(found.slices_off, 'slice')}"
        elif self._held_out.lesions_of(found.record):
            told = "elsewhere in a volume with a lesion"
        else:
            told = "volume without a lesion"
        lines = (f"score {found.score:.2f}, {found.place}", told)
        mark = PictureBox(found.box_xyxy, kind_of(found))
        return self._finding(found.record, found.slice_index, found.box_xyxy, [mark], lines)

    def _finding(
        self, record: ImageRecord, index: int, center: Box, marks: list[PictureBox], lines: tuple[str, ...]
    ) -> Finding:
        told = (f"{record.patient_id}, {view_name(record)}", *lines)
        pixels = self._images.slice(record, index)
        if pixels is None:
            return {"pair": (), "lines": told}
        annotated = [PictureBox(lesion.box_xyxy, "lesion") for lesion in self._held_out.lesions_of(record)]
        every = [*annotated, *marks]
        about = f"{view_name(record)}: {', '.join(lines)}."
        region = region_around(center, pixels.shape)
        close_up = picture(pixels, every, f"Close-up, {about}", region, _CLOSE_UP_ROWS)
        whole = picture(pixels, every, f"Whole slice, {about}", most_rows=_THUMB_ROWS)
        return {"pair": (close_up, whole), "lines": told}
