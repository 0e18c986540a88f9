"""What readers do with boxes: make them of outlines, clip them to the image, count one once, or refuse."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.tables import Table
from comoto.records import Manifest
from comoto.wording import first_few

Box = tuple[float, float, float, float]
"""(x1, y1, x2, y2), half-open, in pixels."""

CORNERS = ["x1", "y1", "x2", "y2"]

LEAST_SIDE = 1.0
"""Pixels: a smaller box is none that anybody drew, but of another unit or another grid."""

_NEARLY = 1e-6
_LEAST_INSIDE = 0.5
_WHOLE_SHARE = 0.98
_SAME_IOU = 0.7
_MOST_ON_AN_IMAGE = 1000
"""Boxes of one image that are compared with each other."""


def remedy(option: str) -> str:
    """Return what to do about rows of lesions. Never: take the row away, which makes a cancer healthy.

    Args:
        option: how the reader leaves out an image, such as ``--set exclude=IMAGE``.
    """
    return (
        f"correct these rows in a copy of the table, or leave out their images wholly ({option}); an image "
        "whose lesion row is taken away counts as healthy"
    )


def clip_to_image(
    table: Table,
    boxes: pd.DataFrame,
    columns: pd.Series[int],
    rows: pd.Series[int],
    way_out: str,
    ledger: Ledger,
) -> pd.DataFrame:
    """Clip boxes to their images.

    Args:
        table: where the boxes were read; for messages.
        boxes: with the columns x1, y1, x2, y2 (half-open, pixels) and the table's lines as index.
        columns: width of the image of each box, aligned.
        rows: its height.
        way_out: what the user can do about a wrong box.
        ledger: gets notes where any was changed or covers its whole image.

    Raises:
        DatasetError: a box is empty, smaller than a pixel, or lies for the greater part outside of its image.
    """
    only = Table(table.path, boxes)
    width, height = boxes["x2"] - boxes["x1"], boxes["y2"] - boxes["y1"]
    only.refuse((width <= 0) | (height <= 0), "the box is empty", way_out)
    small = (width < LEAST_SIDE - _NEARLY) | (height < LEAST_SIDE - _NEARLY)
    only.refuse(small, "the box is smaller than a pixel", way_out)
    clipped = parts_inside(boxes, columns, rows)
    outside = pd.Series(False, index=boxes.index)
    mostly_outside = pd.Series(False, index=boxes.index)
    for low, high in (("x1", "x2"), ("y1", "y2")):
        inside = clipped[high] - clipped[low]
        outside |= inside <= 0
        mostly_outside |= (inside < _LEAST_INSIDE * (boxes[high] - boxes[low])) | (
            inside < LEAST_SIDE - _NEARLY
        )
    turned = (boxes["x1"] + boxes["x2"] < 2 * rows) & (boxes["y1"] + boxes["y2"] < 2 * columns)
    swapped = (
        "; they fit with x and y, or rows and columns, exchanged" if turned[mostly_outside].all() else ""
    )
    only.refuse(outside, "the box lies wholly outside of its image", way_out + swapped)
    only.refuse(mostly_outside, "the box lies for the greater part outside of its image", way_out + swapped)
    changed = boxes.index[(clipped[CORNERS] != boxes[CORNERS]).any(axis=1)]
    if len(changed):
        count = f"{len(changed)} box{'es' if len(changed) > 1 else ''}"
        ledger.note(f"{table.path.name}: {count} clipped to the image ({lines_text(changed)})")
    covers_columns = clipped["x2"] - clipped["x1"] >= _WHOLE_SHARE * columns
    covers_rows = clipped["y2"] - clipped["y1"] >= _WHOLE_SHARE * rows
    whole = boxes.index[covers_columns & covers_rows]
    if len(whole):
        where = lines_text(whole)
        ledger.note(f"{table.path.name}: the box covers the whole image in {where}; is it a lesion?")
    return clipped


def parts_inside(boxes: pd.DataFrame, columns: pd.Series[int], rows: pd.Series[int]) -> pd.DataFrame:
    """Return the parts of boxes inside their images, as ``clip_to_image``; nothing is refused.

    A box wholly outside comes inside out.
    """
    x1, y1, x2, y2 = (boxes[name] for name in CORNERS)
    low = {"x1": x1.clip(lower=0), "y1": y1.clip(lower=0)}
    return boxes.assign(**low, x2=x2.clip(upper=columns), y2=y2.clip(upper=rows))


def counted_once(table: Table, lesions: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Return one lesion for each box: a row that stands twice would be two lesions to find.

    Args:
        table: where they were read; for messages.
        lesions: columns of a manifest's lesions, the table's lines as index.
        ledger: gets notes with the lines of rows that were joined, and of boxes that are nearly the same.

    Returns:
        The first row of each box, with the categories of all of them.
    """
    columns = ["image_id", "slice_index", *CORNERS]
    repeated = lesions.duplicated(columns, keep=False)
    if not repeated.any():
        _note_nearly_same(table, lesions, ledger)
        return lesions
    groups = lesions[repeated].groupby(columns, sort=False, dropna=False)
    categories = groups["category"].transform(lambda words: ", ".join(dict.fromkeys(words)))
    joined = lesions.copy()
    joined.loc[repeated, "category"] = categories
    kept = joined[~joined.duplicated(columns)]
    count = len(lesions) - len(kept)
    ledger.note(
        f"{table.path.name}: {'1 row has' if count == 1 else f'{count} rows have'} the box of another row of "
        f"the same image and {'is' if count == 1 else 'are'} counted once with it "
        f"({lines_text(lesions.index[repeated])})"
    )
    _note_nearly_same(table, kept, ledger)
    return kept


def without_repeats(manifest: Manifest) -> Manifest:
    """Return the manifest without lesions that stand in it twice, and say on which images they were.

    Readers that know the lines say them (``counted_once``); this holds for every reader.
    """
    repeated = manifest.lesions.duplicated(["image_id", "slice_index", *CORNERS, "category"])
    if not repeated.any():
        return manifest
    images = manifest.lesions["image_id"][repeated].unique()
    count = int(repeated.sum())
    note = (
        f"{count} lesion{'s are' if count > 1 else ' is'} given twice and counted once, on "
        f"{first_few(images)}"
    )
    lesions = manifest.lesions[~repeated].reset_index(drop=True)
    return Manifest(manifest.name, manifest.images, lesions, (*manifest.notes, note), manifest.dropped)


def box_of_points(points: Sequence[tuple[float, float]]) -> Box:
    """Return the smallest box of whole pixels that covers every point.

    A single point gives the one pixel in which it lies, so no box is empty.

    Args:
        points: (x, y), at least one; pixel (0, 0) covers 0 to 1 on both axes.

    Returns:
        (x1, y1, x2, y2), half-open.
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return float(floor(min(xs))), float(floor(min(ys))), floor(max(xs)) + 1.0, floor(max(ys)) + 1.0


def grown(box: Box, least: int) -> Box:
    """Return the box, enlarged about its centre to at least ``least`` pixels on each axis."""
    x1, x2 = _grown(box[0], box[2], least)
    y1, y2 = _grown(box[1], box[3], least)
    return x1, y1, x2, y2


def clipped(box: Box, rows: int, columns: int) -> Box | None:
    """Return the part of the box inside an image; None if there is none."""
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(columns)), min(box[3], float(rows))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _note_nearly_same(table: Table, lesions: pd.DataFrame, ledger: Ledger) -> None:
    """Name boxes that overlap another one of their image almost wholly: one lesion twice, or two readers."""
    several = lesions[lesions.duplicated(["image_id", "slice_index"], keep=False)]
    lines: set[int] = set()
    for _, boxes in several.groupby(["image_id", "slice_index"], sort=False, dropna=False):
        if len(boxes) <= _MOST_ON_AN_IMAGE:
            lines.update(_nearly_same(boxes))
    if lines:
        where = lines_text(sorted(lines))
        ledger.note(
            f"{table.path.name}: boxes of one image are almost the same in {where}; each counts as a lesion"
        )


def _nearly_same(boxes: pd.DataFrame) -> set[int]:
    x1, y1, x2, y2 = (boxes[name].to_numpy(dtype="float64") for name in CORNERS)
    area = (x2 - x1) * (y2 - y1)
    lines = [int(line) for line in boxes.index]
    found: set[int] = set()
    for k in range(len(lines) - 1):
        rest = slice(k + 1, None)
        width = x2[rest].clip(max=x2[k]) - x1[rest].clip(min=x1[k])
        height = y2[rest].clip(max=y2[k]) - y1[rest].clip(min=y1[k])
        shared = width.clip(min=0) * height.clip(min=0)
        same = shared > _SAME_IOU * (area[rest] + area[k] - shared)
        if same.any():
            found.update(
                [lines[k], *(line for line, is_so in zip(lines[k + 1 :], same, strict=True) if is_so)]
            )
    return found


def _grown(low: float, high: float, least: int) -> tuple[float, float]:
    short = max(0.0, least - (high - low))
    return low - short / 2, high + short / 2
