"""Pictures inside the page: a grey JPEG with boxes as vector lines over it.

Lines stay sharp at any size and on paper, and screen readers get a text. Coordinates of a picture are *view
units*: the picture is ``VIEW_HEIGHT`` high whatever its number of pixels.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from comoto.report.source_images import ByteImage

VIEW_HEIGHT = 400.0
MOST_ROWS = 512
"""Pictures with more rows are reduced to this number."""
_JPEG_QUALITY = 85
_LABEL_SPACE, _LABEL_GAP, _LETTER_WIDTH = 18.0, 5.0, 10.0
"""Of labels, in view units; the letters are those of report.css."""
_LEAST_SIDE_SHARE = 0.22
_BOX_SIDES = 2.5

Kind = Literal["lesion", "hit", "plane", "other"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PictureBox:
    """A box to draw, (x1, y1, x2, y2) in source pixels.

    Attributes:
        kind: an annotated lesion, a detection that hits one, a detection over one at another depth, or
            another detection.
        label: a short text at the box, may be empty.
    """

    box_xyxy: Box
    kind: Kind
    label: str = ""


@dataclass(frozen=True)
class Outline:
    """A box in view units, with the place of its label."""

    x: float
    y: float
    width: float
    height: float
    kind: Kind
    label: str
    label_x: float
    label_y: float
    label_anchor: str


@dataclass(frozen=True)
class Picture:
    """One picture of the page.

    Attributes:
        uri: the JPEG as a data URI.
        width, height: in view units.
        alt: what is to be seen, in words.
    """

    uri: str
    width: float
    height: float
    outlines: tuple[Outline, ...]
    alt: str


@dataclass(frozen=True)
class FigureImage:
    """One drawn figure of the page: an SVG as a data URI, and what is to be seen in words."""

    uri: str
    alt: str


def picture(
    image: ByteImage,
    marks: Sequence[PictureBox],
    alt: str,
    region: Box | None = None,
    most_rows: int = MOST_ROWS,
) -> Picture:
    """Embed an image, or a region of it, with boxes.

    Args:
        image: (H, W) in source pixels.
        marks: boxes to draw; those wholly outside the region are left out, the others cut at its border.
        alt: what is to be seen, in words.
        region: (x1, y1, x2, y2) in whole source pixels inside the image; None takes everything.
        most_rows: a taller picture is reduced.
    """
    x1, y1, x2, y2 = region or (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    pixels = image[round(y1) : round(y2), round(x1) : round(x2)]
    scale = VIEW_HEIGHT / (y2 - y1)
    width = (x2 - x1) * scale
    taken: list[Box] = []
    # what is drawn last is on top, so it has the first choice of a place for its label
    outlines = [_outline(mark, (x1, y1, x2, y2), scale, taken) for mark in reversed(marks)]
    shown = tuple(outline for outline in reversed(outlines) if outline is not None)
    return Picture(jpeg_uri(_reduced(pixels, most_rows)), round(width, 1), VIEW_HEIGHT, shown, alt)


def region_around(box: Box, shape: tuple[int, ...]) -> Box:
    """Return a square around a box, in whole pixels, moved so that it lies inside the image.

    Its side is 2.5 sides of the box, at least 22 % of the image's shorter side, and at most all of it.

    Args:
        box: (x1, y1, x2, y2) in source pixels.
        shape: (rows, columns) of the image.
    """
    rows, columns = shape[0], shape[1]
    shorter = min(rows, columns)
    longest = max(box[2] - box[0], box[3] - box[1])
    side = round(min(shorter, max(_BOX_SIDES * longest, _LEAST_SIDE_SHARE * shorter, 8.0)))
    left = min(max(round((box[0] + box[2] - side) / 2), 0), columns - side)
    top = min(max(round((box[1] + box[3] - side) / 2), 0), rows - side)
    return float(left), float(top), float(left + side), float(top + side)


def region_with(bounds: Box, boxes: Iterable[Box], shape: tuple[int, ...]) -> Box:
    """Return the smallest region, in whole pixels inside the image, that holds ``bounds`` and all boxes.

    Args:
        bounds: (x1, y1, x2, y2) in source pixels.
        boxes: likewise.
        shape: (rows, columns) of the image.
    """
    every = np.array([bounds, *boxes])
    left, top = np.floor(every[:, :2].min(axis=0)).clip(0)
    right, bottom = np.minimum(np.ceil(every[:, 2:].max(axis=0)), (shape[1], shape[0]))
    return float(left), float(top), float(right), float(bottom)


def jpeg_uri(pixels: ByteImage) -> str:
    """Return a grey image (H, W) as a data URI."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels), options)
    if not done:
        raise ValueError(f"an image of shape {pixels.shape} cannot be written as JPEG")
    return _data_uri("image/jpeg", encoded.tobytes())


def figure_image(figure: Figure, alt: str) -> FigureImage:
    """Return a matplotlib figure as an SVG data URI; the same figure gives the same bytes."""
    stream = BytesIO()
    with rc_context({"svg.hashsalt": "comoto"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return FigureImage(_data_uri("image/svg+xml", stream.getvalue()), alt)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _reduced(pixels: ByteImage, most_rows: int) -> ByteImage:
    rows, columns = pixels.shape
    if rows <= most_rows:
        return pixels
    size = (max(1, round(columns * most_rows / rows)), most_rows)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _outline(mark: PictureBox, region: Box, scale: float, taken: list[Box]) -> Outline | None:
    """Place a box and its label; ``taken`` are the areas of labels, in view units, and gets this one."""
    x1, y1 = max(mark.box_xyxy[0], region[0]), max(mark.box_xyxy[1], region[1])
    x2, y2 = min(mark.box_xyxy[2], region[2]), min(mark.box_xyxy[3], region[3])
    if x2 <= x1 or y2 <= y1:
        return None
    x, y, width, height = (
        round(value * scale, 1) for value in (x1 - region[0], y1 - region[1], x2 - x1, y2 - y1)
    )
    label_x, label_y, anchor = x, y - _LABEL_GAP, "start"
    if mark.label:
        right = (region[2] - region[0]) * scale
        label_x, label_y, anchor = _label_place(mark.label, (x, y, x + width, y + height), right, taken)
    return Outline(
        x=x,
        y=y,
        width=width,
        height=height,
        kind=mark.kind,
        label=mark.label,
        label_x=round(label_x, 1),
        label_y=round(label_y, 1),
        label_anchor=anchor,
    )


def _label_place(label: str, box: Box, right: float, taken: list[Box]) -> tuple[float, float, str]:
    """Choose the corner of a box at which its label lies in the picture and over no other label.

    If there is none, it goes above or below until it is free.

    Returns:
        x and y of the text's base line, and which end of the text stands at x.
    """
    x1, y1, x2, y2 = box
    width = _LETTER_WIDTH * len(label)
    above, below = y1 - _LABEL_GAP, y2 + _LABEL_SPACE - 2
    corners = [(x1, above, "start"), (x2, above, "end"), (x1, below, "start"), (x2, below, "end")]
    steps = [step * _LABEL_SPACE for step in range(1, 12)]
    corners += [
        (x1, base + sign * step, "start") for step in steps for base, sign in ((above, -1), (below, 1))
    ]
    fits = []
    for x, y, anchor in corners:
        left = x if anchor == "start" else x - width
        area = (left, y - _LABEL_SPACE + 4, left + width, y + 3)
        inside = area[0] >= 0 and area[1] >= -1 and area[2] <= right and area[3] <= VIEW_HEIGHT
        if not any(_overlap(area, other) for other in taken):
            fits.append((not inside, (x, y, anchor), area))
    if not fits:
        return corners[0]
    _, place, area = min(fits, key=lambda each: each[0])  # the first that lies inside, else the first
    taken.append(area)
    return place


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
