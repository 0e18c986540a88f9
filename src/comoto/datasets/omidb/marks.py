"""Marks of OMI-DB: boxes that radiologists drew, what they show, and which of them count as lesions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comoto.components import suggest
from comoto.datasets.omidb.nbss import STATUSES, Episode, lesion_number
from comoto.datasets.reading.boxes import LEAST_SIDE
from comoto.errors import ConfigError
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
LESION_CATEGORIES = (
    "mass",
    "calcification",
    "architectural distortion",
    "asymmetry",
    "benign cluster",
    "cyst",
    UNCLASSIFIED,
)
"""What counts as a lesion unless something else is asked for."""

OTHER_CATEGORIES = (
    "dystrophic calcification",
    "fat necrosis",
    "lymph node",
    "milk of calcium",
    "plasma cell mastitis",
    "skin feature",
    "suture calcification",
    "vascular calcification",
)
"""Typically benign signs and lymph nodes, left out by default."""

CONSPICUITIES = ("obvious", "subtle", "very_subtle", "occult", "not_recalled", "unknown")


@dataclass(frozen=True)
class MarkRules:
    """Which marks count as lesions.

    Attributes:
        categories: a mark with several counts if one of them does.
        conspicuities: words of ``CONSPICUITIES``; ``unknown`` is a mark without one.
        statuses: states of the breast (``STATUSES``) in which marks count.
    """

    categories: frozenset[str]
    conspicuities: frozenset[str]
    statuses: frozenset[str]

    def count(self, mark: Mark, status: str) -> bool:
        """Return whether a mark in a breast of that state counts."""
        return (
            bool(self.categories & set(mark.categories))
            and mark.conspicuity in self.conspicuities
            and status in self.statuses
        )


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        box: x1, y1, x2, y2 with sorted corners, not clipped; None if the corners are no numbers.
    """

    box: tuple[float, float, float, float] | None
    categories: tuple[str, ...]
    conspicuity: str

    def on_image(self, rows: int, columns: int) -> tuple[float, float, float, float] | None:
        """Return the box inside the image, half-open; None if less than a pixel of it is."""
        if self.box is None:
            return None
        x1, y1, x2, y2 = self.box
        inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(columns)), min(y2, float(rows))
        large = min(inside[2] - inside[0], inside[3] - inside[1]) >= LEAST_SIDE
        return inside if large else None


def mark_rules(categories: Sequence[str] | None, conspicuity: str | None, status: str | None) -> MarkRules:
    """Check the options and return the rules.

    Raises:
        ConfigError: a word is unknown.
    """
    return MarkRules(
        _chosen("category", categories, (*LESION_CATEGORIES, *OTHER_CATEGORIES), LESION_CATEGORIES),
        _chosen("conspicuity", listed(conspicuity), CONSPICUITIES, CONSPICUITIES),
        _chosen("status", listed(status), STATUSES, STATUSES),
    )


def listed(text: str | None) -> list[str] | None:
    """Return the parts of a comma separated option."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def parse_marks(value: Any, side: Laterality, episode: Episode) -> list[Mark]:
    """Return the marks of one image; what is no dictionary is no mark.

    Args:
        value: what IMAGEDB holds for the image: marks by their key, or anything else where there is none.
        side: of the image, to find the lesions that a mark names.
        episode: of the image.
    """
    if not isinstance(value, dict):
        return []
    return [_mark(data, side, episode) for data in value.values() if isinstance(data, dict)]


def _mark(data: Mapping[str, Any], side: Laterality, episode: Episode) -> Mark:
    shown = [word for flag, word in _FLAGS.items() if data.get(flag)]
    if not shown:
        shown = [
            word
            for number in str(data.get("LinkedNBSSLesionNumber") or "").split(",")
            for word in episode.descriptions.get((side, lesion_number(number)), "").split(", ")
            if word
        ]
    words = str(data.get("Conspicuity") or "").strip().lower()
    return Mark(
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


def _chosen(
    option: str, words: Iterable[str] | None, known: Sequence[str], default: Sequence[str]
) -> frozenset[str]:
    chosen = None if words is None else [word.lower() for word in words]
    for word in chosen or ():
        if word not in known:
            raise ConfigError(f"omidb: unknown {option} '{word}'; {suggest(word, known)}")
    return frozenset(chosen or default)
