"""Marks of OMI-DB: boxes that radiologists drew, what they show, and which of them count as lesions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from comoto.datasets.omidb.nbss import Episode, lesion_number
from comoto.datasets.reading.boxes import LEAST_SIDE, Box, clipped
from comoto.records import Laterality

_FLAGS = {
    "Mass": "mass",
    "SuspiciousCalcifications": "calcification",
    "ArchitecturalDistortion": "architectural distortion",
    "FocalAsymmetry": "asymmetry",
    "WithCalcification": "calcification",
    "OtherBenignCluster": "benign cluster",
    "Dystrophic": "dystrophic calcification",
    "FatNecrosis": "fat necrosis",
    "MilkOfCalcium": "milk of calcium",
    "PlasmaCellMastitis": "plasma cell mastitis",
    "Skin": "skin feature",
    "SutureCalcification": "suture calcification",
    "Vascular": "vascular calcification",
}
UNCLASSIFIED = "unclassified"
LesionCategory = Literal[
    "mass",
    "calcification",
    "architectural distortion",
    "asymmetry",
    "benign cluster",
    "cyst",
    "unclassified",
]
OtherCategory = Literal[
    "dystrophic calcification",
    "fat necrosis",
    "lymph node",
    "milk of calcium",
    "plasma cell mastitis",
    "skin feature",
    "suture calcification",
    "vascular calcification",
]
LESION_CATEGORIES: tuple[LesionCategory, ...] = get_args(LesionCategory)
"""What counts as a lesion unless something else is asked for."""

OTHER_CATEGORIES: tuple[OtherCategory, ...] = get_args(OtherCategory)
"""Typically benign signs and lymph nodes, left out by default."""

Conspicuity = Literal["obvious", "subtle", "very_subtle", "occult", "not_recalled", "unknown"]
CONSPICUITIES: tuple[Conspicuity, ...] = get_args(Conspicuity)


@dataclass(frozen=True)
class MarkedLesion:
    """One mark.

    Attributes:
        box: x1, y1, x2, y2 with sorted corners, not clipped; None if the corners are no numbers.
    """

    box: Box | None
    categories: tuple[str, ...]
    conspicuity: str

    def on_image(self, rows: int, columns: int) -> Box | None:
        """Return the box inside the image, half-open; None if less than a pixel of it is."""
        inside = None if self.box is None else clipped(self.box, rows, columns)
        if inside is None:
            return None
        x1, y1, x2, y2 = inside
        return inside if min(x2 - x1, y2 - y1) >= LEAST_SIDE else None


def parse_marks(value: Any, side: Laterality, episode: Episode) -> list[MarkedLesion]:
    """Return the marks of one image; what is no dictionary is no mark.

    Args:
        value: what IMAGEDB holds for the image: marks by their key, or anything else where there is none.
        side: of the image, to find the lesions that a mark names.
        episode: of the image.
    """
    if not isinstance(value, dict):
        return []
    return [_mark(data, side, episode) for data in value.values() if isinstance(data, dict)]


def _mark(data: Mapping[str, Any], side: Laterality, episode: Episode) -> MarkedLesion:
    shown = [word for flag, word in _FLAGS.items() if data.get(flag)]
    if not shown:
        shown = [
            word
            for number in str(data.get("LinkedNBSSLesionNumber") or "").split(",")
            for word in episode.descriptions.get((side, lesion_number(number)), "").split(", ")
            if word
        ]
    words = str(data.get("Conspicuity") or "").strip().lower()
    return MarkedLesion(
        _box(data),
        tuple(dict.fromkeys(shown)) or (UNCLASSIFIED,),
        words if words in CONSPICUITIES else "unknown",
    )


def _box(data: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    try:
        x1, y1, x2, y2 = (float(str(data[name]).strip()) for name in ("X1", "Y1", "X2", "Y2"))
    except (KeyError, ValueError):
        return None
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return None
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
