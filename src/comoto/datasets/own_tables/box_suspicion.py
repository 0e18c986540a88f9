"""Boxes that belong to another picture than the one they are given for: shares, smaller or mirrored copies.

Each of these trains a detector on healthy tissue, or on air, without a complaint. What a table of boxes
cannot say, the picture can: a box that lies on air while its mirror image lies on the breast was drawn on a
mirrored copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.datasets.reading.boxes import CORNERS
from comoto.dicom.decode import Pixels
from comoto.errors import DicomError
from comoto.progress import track
from comoto.records import Laterality
from comoto.sources import open_source

_MOST_IMAGES = 32
"""Images of each side whose pixels are looked at; a whole data set would take hours."""

_LEAST_BOXES, _LEAST_IMAGES = 8, 5
_CORNER = 0.5
_STRIP_SHARE = 0.05
_ABOVE_AIR = 0.04
_LONG_SIDE = 512
_LARGEST_SHARE = 1.0


def are_shares(values: pd.DataFrame) -> bool:
    """Return whether numbers of boxes all lie between 0 and 1, as shares of an image do and pixels do not."""
    return len(values) > 0 and bool((values.ge(0) & values.le(_LARGEST_SHARE)).all(axis=None))


def in_upper_left_quarter(
    boxes: pd.DataFrame, images: pd.Series[str], columns: pd.Series[int], rows: pd.Series[int]
) -> bool:
    """Return whether all of many boxes lie in the upper left quarter, as those of smaller copies do."""
    if len(boxes) < _LEAST_BOXES or images.nunique() < _LEAST_IMAGES:
        return False
    return bool(((boxes["x2"] <= _CORNER * columns) & (boxes["y2"] <= _CORNER * rows)).all())


@dataclass(frozen=True)
class MirrorEvidence:
    """What pictures say about the boxes of one side.

    Attributes:
        mirrored: lines of boxes that lie on air and whose mirror images lie on the breast.
        right: number of boxes with which it is the other way round.
    """

    side: Laterality
    mirrored: tuple[int, ...]
    right: int

    @property
    def is_suspect(self) -> bool:
        """More boxes speak for mirrored copies than against."""
        return len(self.mirrored) > self.right


def look_for_mirrored(boxes: pd.DataFrame, of_image: pd.DataFrame) -> list[MirrorEvidence]:
    """Compare boxes of mammograms, and their mirror images, with the outline of the breast.

    Args:
        boxes: x1, y1, x2, y2 inside their images, the table's lines as index.
        of_image: path and laterality of the image of each box, aligned.

    Returns:
        For each side with a box that lies on air and whose mirror image lies on the breast. Pictures that
        cannot be read, or whose outline is not clear, say nothing.
    """
    found = []
    for side in Laterality:
        own = of_image[of_image["laterality"] == side.value]
        paths = list(dict.fromkeys(own["path"]))
        step = max(1, -(-len(paths) // _MOST_IMAGES))
        mirrored: list[int] = []
        right = 0
        chosen = paths[::step]
        for path in track(chosen, f"compare boxes with outlines ({side.value})", len(chosen)):
            tissue = _tissue(str(path))
            if tissue is None:
                continue
            for line in own.index[own["path"] == path]:
                here, there = _on_tissue(tissue, boxes.loc[line, CORNERS].to_numpy(dtype="float64"))
                mirrored += [int(line)] if here < _CORNER <= there else []
                right += there < _CORNER <= here
        if mirrored:
            found.append(MirrorEvidence(side, tuple(mirrored), right))
    return found


@dataclass(frozen=True)
class _Tissue:
    mask: NDArray[np.bool_]
    step: int
    columns: int


def _tissue(path: str) -> _Tissue | None:
    """Return where an image is not as its air; None where there is no strip of air at a side."""
    try:
        with open_source(Path(path)) as source:
            frame = source.frame(0)
    except DicomError:
        return None  # the images that cannot be read are told where their headers are read, and by 'prepare'
    step = max(1, max(frame.shape) // _LONG_SIDE)
    small = frame[::step, ::step].astype(np.float64)
    air = _air(small)
    if air is None:
        return None
    low, high = np.percentile(small, (0.5, 99.5))
    mask = np.abs(small - air) > _ABOVE_AIR * max(high - low, 1.0)
    return _Tissue(mask, step, frame.shape[1])


def _air(frame: Pixels | NDArray[np.float64]) -> float | None:
    """Return the grey value of air: that of the strip at the evener side; None where both are as even.

    Percentiles first, because a burnt-in letter lies on air.
    """
    width = max(1, round(_STRIP_SHARE * frame.shape[1]))
    strips = frame[:, :width], frame[:, -width:]
    spread = [(float(np.subtract(*np.percentile(strip, (90, 10)))), float(strip.std())) for strip in strips]
    if spread[0] == spread[1]:
        return None
    return float(np.median(strips[int(spread[1] < spread[0])]))


def _on_tissue(tissue: _Tissue, box: NDArray[np.float64]) -> tuple[float, float]:
    """Return which shares of a box and of its mirror image lie on the breast."""
    x1, y1, x2, y2 = box
    there = np.array([tissue.columns - x2, y1, tissue.columns - x1, y2])
    return _share(tissue, box), _share(tissue, there)


def _share(tissue: _Tissue, box: NDArray[np.float64]) -> float:
    rows, columns = tissue.mask.shape
    left, top = (int(value) for value in np.floor(box[:2] / tissue.step))
    left, top = min(left, columns - 1), min(top, rows - 1)
    right, bottom = (int(value) for value in np.ceil(box[2:] / tissue.step))
    return float(tissue.mask[top : max(bottom, top + 1), left : max(right, left + 1)].mean())
