"""One slice as a picture with its boxes, to see with one's own eyes that they line up.

The slice is shown as boxes are stored: source pixels of the corrected orientation, so a volume that is stored
the other way round is turned first, by the same plan that training uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from comoto.components import suggest
from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.preprocessing.plan import Plan, plan_image
from comoto.records import ImageRecord, Laterality, Manifest, Modality
from comoto.report.predicted_rows import rows_of_file, rows_of_record
from comoto.sources import open_source
from comoto.tables import TableSource

Box = tuple[float, float, float, float]

_FEWEST_ROWS, _MOST_ROWS = 700, 1400
_CAPTION_ROWS = 46
_TEXT_SIZE = 15
_SLICE_SHARE = 0.25
"""A detection without depth is shown this share of the volume's slices around its own, as it is scored."""

_COLORS = {"lesion": (80, 220, 100), "detection": (255, 150, 40)}


@dataclass(frozen=True)
class DrawnBox:
    """One box to draw.

    Attributes:
        box_xyxy: in source pixels of the corrected orientation.
        label: text beside it.
        kind: decides the colour: green for an annotated lesion, orange for a detection.
        here: false if it was annotated or detected on another slice; it is dashed then.
    """

    box_xyxy: Box
    label: str
    kind: Literal["lesion", "detection"]
    here: bool = True


def draw_record(
    manifest: Manifest,
    image_id: str,
    slice_index: int | None = None,
    predictions: TableSource | None = None,
    min_score: float = 0.0,
) -> Image.Image:
    """Draw one slice of an image of a manifest, with its lesions and, if given, detections.

    Args:
        manifest: from ``comoto index``.
        image_id: as in the manifest.
        slice_index: 0-based; the slice of the first lesion if not given, else the middle one.
        predictions: table with the columns of ``PREDICTION_COLUMNS``.
        min_score: detections below are not drawn.

    Raises:
        DatasetError: the image is unknown, or the predictions are wrong or of other images.
        DicomError: the file cannot be read or has no such slice.
    """
    record = _record(manifest, image_id)
    with open_source(record.path) as image:
        plan = plan_image(image, record.laterality, record.modality, PreprocessConfig())
        annotated = [lesion.slice_index for lesion in record.lesions if lesion.slice_index is not None]
        index = slice_index if slice_index is not None else (annotated or [image.num_frames // 2])[0]
        frame = image.frame(index)
        num_slices = image.num_frames
    marks = _lesion_marks(record, index)
    if predictions is not None:
        detections = rows_of_record(manifest, record, predictions)
        strong = detections[detections[:, -1] >= min_score]
        marks += _detection_marks(strong, index, num_slices)
    return _compose(plan, frame, marks, _caption(image_id, index, num_slices, record.modality, plan))


def draw_file(
    path: Path,
    slice_index: int | None = None,
    laterality: Laterality | None = None,
    predictions: Path | None = None,
    min_score: float = 0.0,
) -> Image.Image:
    """Draw one slice of an image that no manifest names, with detections if they are given.

    Args:
        path: a mammogram or a volume.
        slice_index: 0-based; if not given the middle slice of the strongest box, else of the volume.
        laterality: side of the body, which decides whether a volume is turned; without it nothing is turned,
            because header tags are known to be wrong.
        predictions: table of ``comoto predict`` on volumes; its JSON sidecar tells which rows are of the
            file.
        min_score: detections below are not drawn.

    Raises:
        DatasetError: the predictions are wrong, are not of this file, or need a side of the body.
        DicomError: the file cannot be read or has no such slice.
    """
    detections = np.zeros((0, 7))
    if predictions is not None:
        detections = rows_of_file(path, predictions, has_side=laterality is not None)
        detections = detections[detections[:, -1] >= min_score]
    with open_source(path) as image:
        modality = Modality.TOMOSYNTHESIS if image.header.is_multiframe else Modality.MAMMOGRAM
        plan = plan_image(image, laterality, modality, PreprocessConfig())
        index = slice_index
        if index is None:
            index = _strongest_slice(detections) if len(detections) else image.num_frames // 2
        marks = _detection_marks(detections, index, image.num_frames)
        caption = _caption(path.name, index, image.num_frames, modality, plan)
        return _compose(plan, image.frame(index), marks, caption)


def _strongest_slice(detections: NDArray[np.float64]) -> int:
    first, spanned = detections[detections[:, -1].argmax(), 4:6]
    return _middle_slice(first, spanned)


def _middle_slice(first: float, spanned: float) -> int:
    return int(first + max(spanned - 1, 0) // 2)


def _record(manifest: Manifest, image_id: str) -> ImageRecord:
    if image_id not in set(manifest.images["image_id"]):
        known = [str(name) for name in manifest.images["image_id"]]
        near = suggest(image_id, known) if len(known) <= 20000 else ""
        hint = near if near.startswith("did you mean") else f"the first of {len(known)} is {known[0]}"
        raise DatasetError(f"{manifest.name}: no image '{image_id}'; {hint}")
    return next(manifest.select(manifest.images["image_id"] == image_id).records())


def _lesion_marks(record: ImageRecord, index: int) -> list[DrawnBox]:
    marks = []
    for lesion in record.lesions:
        here = lesion.slice_index in (None, index)
        label = lesion.category if here else f"{lesion.category}, slice {lesion.slice_index}"
        marks.append(DrawnBox(lesion.box_xyxy, label, "lesion", here))
    return marks


def _detection_marks(detections: NDArray[np.float64], index: int, num_slices: int) -> list[DrawnBox]:
    """Mark those that reach the slice; one without depth reaches a quarter of the volume either way.

    A label names the slice that a detection is most likely on, if that is another one.
    """
    marks = []
    for x, width, y, height, first, depth, score in detections.tolist():
        box = (x, y, x + width, y + height)
        if first <= index < first + depth or (depth <= 0 and first == index):
            best = _middle_slice(first, depth)
            label = f"{score:.3f}" if best == index else f"{score:.3f}, slice {best}"
            marks.append(DrawnBox(box, label, "detection"))
        elif depth <= 0 and abs(first - index) <= _SLICE_SHARE * num_slices:
            marks.append(DrawnBox(box, f"{score:.3f}, slice {first:.0f}", "detection", here=False))
    return marks


def _caption(name: str, index: int, num_slices: int, modality: Modality, plan: Plan) -> str:
    """Say on two lines what is shown."""
    parts = []
    if modality is Modality.TOMOSYNTHESIS:
        parts.append(f"slice {index} of 0-{num_slices - 1}")
    parts.append("turned by 180 degrees" if plan.orient.steps else "as stored")
    low, high = plan.window
    parts.append(f"window {low:.0f}-{high:.0f} ({plan.window_source})")
    return f"{name}\n{' | '.join(parts)}"


def _compose(plan: Plan, frame: NDArray[Any], marks: Sequence[DrawnBox], caption: str) -> Image.Image:
    """Window and scale the slice, and draw marks and caption over it."""
    low, high = plan.window
    source = np.ascontiguousarray(plan.upright(frame), dtype=np.float32)
    grey = np.rint(np.clip((source - low) * (255.0 / (high - low)), 0, 255)).astype(np.uint8)
    rows, columns = grey.shape
    scale = min(max(1.0, _FEWEST_ROWS / rows), _MOST_ROWS / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    slice_picture = Image.fromarray(np.asarray(cv2.resize(grey, size, interpolation=how)))
    font = ImageFont.load_default(_TEXT_SIZE)
    width = max([size[0], *(math.ceil(font.getlength(line)) + 12 for line in caption.splitlines())])
    picture = Image.new("RGB", (width, size[1] + _CAPTION_ROWS), (20, 20, 20))
    picture.paste(slice_picture, (0, _CAPTION_ROWS))
    pen = ImageDraw.Draw(picture)
    pen.text((6, 4), caption, fill=(235, 235, 235), font=font)
    for mark in marks:
        _draw_mark(pen, font, mark, (size[0] / columns, size[1] / rows), picture.width)
    return picture


def _draw_mark(
    pen: ImageDraw.ImageDraw, font: Any, mark: DrawnBox, scale: tuple[float, float], picture_width: int
) -> None:
    """Frame a box just outside of its pixels; lesions are labelled above it, detections below."""
    x1, x2 = (value * scale[0] for value in mark.box_xyxy[::2])
    y1, y2 = (value * scale[1] + _CAPTION_ROWS for value in mark.box_xyxy[1::2])
    left, top, right, bottom = round(x1) - 2, round(y1) - 2, round(x2) + 1, round(y2) + 1
    color = _COLORS[mark.kind]
    if mark.here:
        pen.rectangle((left, top, right, bottom), outline=color, width=2)
    else:
        _dashed(pen, (left, top, right, bottom), color)
    x = max(2, min(left, picture_width - pen.textlength(mark.label, font=font) - 4))
    above = top - _TEXT_SIZE - 5
    y = above if mark.kind == "lesion" and above >= _CAPTION_ROWS else bottom + 3
    pen.text((x, y), mark.label, fill=color, font=font, stroke_width=2, stroke_fill=(0, 0, 0))


def _dashed(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], color: tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    for x in range(left, right, 12):
        for y in (top, bottom):
            pen.line((x, y, min(x + 6, right), y), fill=color, width=1)
    for y in range(top, bottom, 12):
        for x in (left, right):
            pen.line((x, y, x, min(y + 6, bottom)), fill=color, width=1)
