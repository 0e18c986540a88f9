"""What is drawn once for a breast and once for a view of it: sizes, density, nipple, muscle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comoto.records import View
from comoto.simulation.config import SimulateConfig

DENSITY_FRACTIONS = {"A": (0.03, 0.06), "B": (0.06, 0.12), "C": (0.12, 0.22), "D": (0.22, 0.38)}
"""Volumetric glandular fraction of the density classes."""


@dataclass(frozen=True)
class Breast:
    """What the views of one breast share; lengths in mm."""

    density: str
    glandular_fraction: float
    half_height: float
    depth: float
    roundness: float
    fat_under_skin: float
    thickness: float


@dataclass(frozen=True)
class MassShape:
    """One mass; the same in every view of the breast.

    Attributes:
        radius: of the body in mm.
        spiculated: whether spicules leave the body.
        attenuation: relative to the published value of carcinoma.
        distortion: marked as architectural distortion in the table.
        at_chest_wall: whether the image's border cuts the mass.
    """

    radius: float
    spiculated: bool
    attenuation: float
    distortion: bool
    at_chest_wall: bool


@dataclass(frozen=True)
class Muscle:
    """The pectoral muscle of an MLO view: ``width`` on the first row, gone ``length`` below it, in mm."""

    width: float
    length: float
    bulge: float


@dataclass(frozen=True)
class ViewShape:
    """One compression of a breast; lengths in mm, rows counted from the first one."""

    view: View
    middle: float
    half_above: float
    half_below: float
    depth: float
    roundness: float
    thickness: float
    nipple_angle: float
    wobble: tuple[tuple[float, float], ...]
    muscle: Muscle | None


def draw_breast(config: SimulateConfig, rng: np.random.Generator) -> Breast:
    """Draw a breast that fits onto the grid."""
    weights = np.asarray(config.anatomy.density_weights)
    density = "ABCD"[rng.choice(4, p=weights / weights.sum())]
    height = config.grid.rows * config.grid.pixel_mm
    width = config.grid.columns * config.grid.pixel_mm
    return Breast(
        density=density,
        glandular_fraction=float(rng.uniform(*DENSITY_FRACTIONS[density])),
        half_height=min(float(rng.uniform(66, 92)), 0.45 * height),
        depth=min(float(rng.uniform(58, 88)), 0.84 * width),
        roundness=float(rng.uniform(1.85, 2.35)),
        fat_under_skin=float(rng.uniform(6, 11)),
        thickness=float(rng.uniform(*config.anatomy.thickness_mm)),
    )


def draw_mass(
    config: SimulateConfig, spiculated: bool, rng: np.random.Generator, chest_wall_share: float = 0.0
) -> MassShape:
    """Draw a mass; ``chest_wall_share`` of them are cut by the image's border."""
    return MassShape(
        radius=float(rng.uniform(*config.anatomy.lesion_radius_mm)),
        spiculated=spiculated,
        attenuation=float(rng.uniform(0.97, 1.06)),
        distortion=bool(spiculated and rng.random() < 0.3),
        at_chest_wall=bool(rng.random() < chest_wall_share),
    )


def draw_view(breast: Breast, view: View, height_mm: float, rng: np.random.Generator) -> ViewShape:
    """Draw how ``breast`` lies on a detector of ``height_mm`` along the chest wall."""
    wobble = tuple((float(rng.normal(0, 0.012)), float(rng.uniform(0, 2 * np.pi))) for _ in range(2, 6))
    thickness = breast.thickness * float(rng.uniform(0.94, 1.06))
    depth = breast.depth * float(rng.uniform(0.96, 1.02))
    if view is View.CC:
        half = breast.half_height * float(rng.uniform(0.95, 1.0))
        return ViewShape(
            view=view,
            middle=height_mm / 2 + float(rng.uniform(-0.02, 0.02)) * height_mm,
            half_above=half,
            half_below=half * float(rng.uniform(0.94, 1.0)),
            depth=depth,
            roundness=breast.roundness,
            thickness=thickness,
            nipple_angle=float(rng.uniform(-0.12, 0.12)),
            wobble=wobble,
            muscle=None,
        )
    middle = height_mm * float(rng.uniform(0.54, 0.60))
    return ViewShape(
        view=view,
        middle=middle,
        half_above=max(breast.half_height, middle) * float(rng.uniform(1.10, 1.35)),
        half_below=min(breast.half_height, (height_mm - middle) * 0.92) * float(rng.uniform(0.92, 1.0)),
        depth=depth,
        roundness=breast.roundness * 0.97,
        thickness=thickness,
        nipple_angle=float(rng.uniform(-0.05, 0.12)),
        wobble=wobble,
        muscle=Muscle(
            width=min(float(rng.uniform(26, 46)), 0.55 * depth),
            length=float(rng.uniform(0.42, 0.68)) * height_mm,
            bulge=float(rng.uniform(0.62, 0.95)),
        ),
    )
