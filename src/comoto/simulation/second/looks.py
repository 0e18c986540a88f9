"""The looks of the families: how a lesion of each family may look, and how often each look occurs.

A look is a set of numbers that depends on the family and on the number of the look alone, so look 7 of the
distortions is the same in every data set. Frequencies follow Zipf's law: few looks are common, most are rare,
and few patients do not show all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

Span = tuple[float, float]


@dataclass(frozen=True)
class LookSpans:
    """From where to where each number of a look is drawn (see ``Look``)."""

    elongation: Span = (1.0, 1.35)
    lobes: Span = (1, 1)
    roughness: Span = (0.02, 0.06)
    waviness: Span = (1.8, 3.4)
    margin_mm: Span = (0.5, 0.9)
    strands: Span = (0, 0)
    strand_start: Span = (0.0, 0.0)
    strand_reach: Span = (0.0, 0.0)
    strand_mm: Span = (0.35, 0.6)
    curl: Span = (0.0, 0.0)
    clumping: Span = (0.0, 0.0)
    fill: Span = (1.0, 1.0)
    pull: Span = (0.0, 0.0)
    lucent: Span = (0.0, 0.0)


@dataclass(frozen=True)
class Look:
    """One look; lengths relative to half the longest side of the box, unless they end in ``_mm``.

    Attributes:
        elongation: longest over shortest axis of the body.
        lobes: bodies that flow into each other.
        roughness: size of the surface's waves, relative to the radius.
        waviness: waves around the body.
        margin_mm: width of the margin.
        strands: spicules, sheets, ligaments or vessels.
        strand_start: where they begin.
        strand_reach: where the longest ends.
        strand_mm: half width at the start.
        curl: how much they bend.
        clumping: 0: strands in all directions; 1: in two opposite bundles.
        fill: share of the body that is not fat.
        pull: how strongly tissue is pulled towards the centre; 0 not at all.
        lucent: share of fat in the centre.
    """

    elongation: float
    lobes: int
    roughness: float
    waviness: float
    margin_mm: float
    strands: int
    strand_start: float
    strand_reach: float
    strand_mm: float
    curl: float
    clumping: float
    fill: float
    pull: float
    lucent: float


FAMILIES: dict[str, LookSpans] = {
    "spiculated": LookSpans(
        elongation=(1.0, 1.5),
        lobes=(1, 3),
        roughness=(0.14, 0.28),
        waviness=(3.5, 8.0),
        margin_mm=(0.9, 2.4),
        strands=(44, 80),
        strand_start=(0.25, 0.45),
        strand_reach=(1.9, 2.9),
        strand_mm=(0.8, 1.4),
        curl=(0.0, 0.25),
        clumping=(0.0, 0.5),
        pull=(0.10, 0.30),
    ),
    "round": LookSpans(elongation=(1.0, 1.5), roughness=(0.0, 0.04), margin_mm=(0.4, 1.0)),
    "lobulated": LookSpans(elongation=(1.0, 1.4), lobes=(3, 7), roughness=(0.02, 0.09), margin_mm=(0.5, 1.8)),
    "fat_containing": LookSpans(
        elongation=(1.0, 1.5), lobes=(1, 2), roughness=(0.01, 0.04), margin_mm=(0.5, 0.8), fill=(0.2, 0.6)
    ),
    "distortion": LookSpans(
        elongation=(1.0, 1.3),
        roughness=(0.0, 0.05),
        margin_mm=(1.5, 3.0),
        strands=(14, 34),
        strand_start=(0.0, 0.18),
        strand_reach=(0.9, 1.5),
        strand_mm=(0.3, 0.65),
        curl=(0.0, 0.3),
        clumping=(0.0, 0.7),
        pull=(0.40, 0.65),
        lucent=(0.0, 0.5),
    ),
    "asymmetry": LookSpans(
        elongation=(1.0, 2.0), lobes=(1, 4), roughness=(0.1, 0.25), margin_mm=(4.0, 9.0), fill=(0.5, 1.0)
    ),
    "calcification": LookSpans(
        elongation=(1.0, 2.6), roughness=(0.05, 0.15), margin_mm=(1.0, 2.0), fill=(0.3, 1.0)
    ),
}
"""Lesion families."""
DECOYS: dict[str, LookSpans] = {
    "cyst": LookSpans(elongation=(1.0, 1.4), roughness=(0.0, 0.02), margin_mm=(0.4, 0.8)),
    "node": LookSpans(elongation=(1.3, 2.0), roughness=(0.01, 0.04), margin_mm=(0.5, 0.9)),
    "crossing": LookSpans(
        strands=(2, 4),
        strand_start=(-1.6, -1.0),
        strand_reach=(1.2, 2.2),
        strand_mm=(0.5, 0.9),
        curl=(0, 0.3),
    ),
    "vessel": LookSpans(
        strands=(1, 1),
        strand_start=(-3.5, -2.0),
        strand_reach=(2.0, 3.5),
        strand_mm=(0.9, 1.6),
        curl=(0.1, 0.5),
    ),
    "scar": LookSpans(
        strands=(6, 11),
        strand_start=(-0.5, 0.0),
        strand_reach=(1.1, 1.7),
        strand_mm=(0.8, 1.4),
        curl=(0.0, 0.4),
        clumping=(0.7, 1.0),
        pull=(0.15, 0.30),
    ),
}
"""Harmless structures."""
_NUMBER = {name: number for number, name in enumerate((*FAMILIES, *DECOYS))}


def look_of(family: str, number: int) -> Look:
    """Return look ``number``, counted from 0, of a family or decoy."""
    spans = FAMILIES.get(family) or DECOYS[family]
    rng = np.random.default_rng(np.random.SeedSequence(2_000, spawn_key=(_NUMBER[family], number)))
    drawn = {field.name: float(rng.uniform(*getattr(spans, field.name))) for field in fields(spans)}
    lobes, strands = round(drawn.pop("lobes")), round(drawn.pop("strands"))
    return Look(lobes=lobes, strands=strands, **drawn)


def draw_look(looks: int, exponent: float, rng: np.random.Generator) -> int:
    """Draw the number of a look, the k-th of ``looks`` in proportion to ``1 / k**exponent``."""
    weights = 1 / np.arange(1, looks + 1) ** exponent
    return int(rng.choice(looks, p=weights / weights.sum()))
