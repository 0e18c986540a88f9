"""What readers do with boxes that leave the image: clip and say so, or refuse."""

from __future__ import annotations

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.tables import Table

CORNERS = ["x1", "y1", "x2", "y2"]


def clip_to_image(
    table: Table, boxes: pd.DataFrame, columns: pd.Series[int], rows: pd.Series[int]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Clip boxes to their images.

    Args:
        table: where the boxes were read; for messages.
        boxes: with the columns x1, y1, x2, y2 (half-open, pixels) and the table's lines as index.
        columns: width of the image of each box, aligned.
        rows: its height.

    Returns:
        The boxes inside their images, and a note per table if any box was changed.

    Raises:
        DatasetError: a box is empty or lies wholly outside of its image.
    """
    remedy = "correct or remove these rows in a copy of the table"
    only = Table(table.path, boxes)
    only.refuse((boxes["x2"] <= boxes["x1"]) | (boxes["y2"] <= boxes["y1"]), "the box is empty", remedy)
    clipped = boxes.copy()
    for low, high, size in (("x1", "x2", columns), ("y1", "y2", rows)):
        clipped[low] = boxes[low].clip(lower=0)
        clipped[high] = boxes[high].clip(upper=size)
    outside = (clipped["x2"] <= clipped["x1"]) | (clipped["y2"] <= clipped["y1"])
    only.refuse(outside, "the box lies wholly outside of its image", remedy)
    changed = boxes.index[(clipped[CORNERS] != boxes[CORNERS]).any(axis=1)]
    if not len(changed):
        return clipped, ()
    count = f"{len(changed)} box{'es' if len(changed) > 1 else ''}"
    return clipped, (f"{table.path.name}: {count} clipped to the image ({lines_text(changed)})",)
