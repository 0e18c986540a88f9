"""Where lesions and decoys lie: one place in the breast that is inside, and plausible, in every view.

Two depths decide a point of the cross-section, since the two views press along different directions. Each
lesion draws a wanted depth for each view from the depths of real boxes and takes, of many points of the
breast, the one that comes nearest to both and has room around it in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comoto.records import View
from comoto.simulation.config import GridConfig
from comoto.simulation.second.crosssection import CrossSection
from comoto.simulation.second.lesion import Lesion, LesionShape, Placed, grow_lesion
from comoto.simulation.second.looks import DECOYS
from comoto.simulation.second.material import Material, projected_gland
from comoto.simulation.second.phantom import coarse_view
from comoto.simulation.tissue import muscle_edge

Floats = NDArray[np.floating]
DEPTH_SHARES = ((0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 1.0), (0.08, 0.15, 0.30, 0.43, 0.53, 0.65, 0.80))
"""Quantiles of the relative depth of boxes in BCS-DBT, and guesses for the two ends."""
_CANDIDATES = 2500
_STEP_MM = 1.6
_AMONG_GLAND = 0.75
_FLATTEST = 0.85
_SKIN_AND_ROOM = 2.5


@dataclass(frozen=True)
class Place:
    """A point of the breast: share of the way to the nipple, and the disc."""

    x: float
    p: float
    q: float


@dataclass(frozen=True)
class _Seen:
    """The candidates in one view (mm) and how much room they have."""

    x: Floats
    y: Floats
    z: Floats
    room: Floats
    gland_rank: Floats


def draw_places(
    sections: Mapping[View, CrossSection],
    material: Material,
    shapes: tuple[LesionShape, ...],
    grid: GridConfig,
    rng: np.random.Generator,
) -> tuple[Place, ...]:
    """Return a place for each lesion or decoy, one after the other."""
    x = rng.uniform(0.02, 0.86, _CANDIDATES)
    radius, angle = np.sqrt(rng.random(_CANDIDATES)) * 0.97, rng.uniform(0, 2 * np.pi, _CANDIDATES)
    p, q = radius * np.cos(angle), radius * np.sin(angle)
    seen = {view: _seen(section, material, grid, x, p, q) for view, section in sections.items()}
    taken: list[tuple[int, LesionShape]] = []
    for shape in shapes:
        score = np.zeros(_CANDIDATES)
        for view, section in sections.items():
            score += _fit(shape, seen[view], section, grid, rng)
        score += _hiding(shape, seen[View.CC].gland_rank, rng)
        for index, other in taken:
            for points in seen.values():
                apart = np.hypot(points.x - points.x[index], points.y - points.y[index])
                score += 40.0 * (apart > (shape.size_mm + other.size_mm) / 2 + 6)
        taken.append((int(np.argmax(score)), shape))
    return tuple(Place(float(x[i]), float(p[i]), float(q[i])) for i, _ in taken)


def _hiding(shape: LesionShape, gland_rank: Floats, rng: np.random.Generator) -> Floats:
    """Prefer the densest third of the breast for obscured lesions, mostly the middle one for others."""
    among_gland = rng.random() < _AMONG_GLAND
    if shape.family in DECOYS:
        return np.zeros_like(gland_rank)
    low, high = (2 / 3, 1.01) if shape.obscured else ((1 / 3, 2 / 3) if among_gland else (0.0, 1 / 3))
    return np.asarray(30.0 * ((gland_rank >= low) & (gland_rank < high)), np.float64)


def put(shape: LesionShape, place: Place, section: CrossSection) -> Placed:
    """Return a lesion at its place in a view."""
    lesion = grow_lesion(shape)
    x = np.asarray([place.x * section.view.depth])
    y, z = section.from_disc(x, np.asarray([place.p]), np.asarray([place.q]))
    flat = _flatness(lesion, section)
    highest = max(section.view.thickness / 2 - _SKIN_AND_ROOM - flat * lesion.radius, 0.0)
    return Placed(
        lesion, (float(x[0]), float(y[0]), float(np.clip(z[0], -highest, highest))), section.angle, flat
    )


def _flatness(lesion: Lesion, section: CrossSection) -> float:
    """Return how much a view presses a lesion; large ones must fit between the faces of the breast."""
    return min(_FLATTEST, (section.view.thickness / 2 - _SKIN_AND_ROOM) / max(lesion.radius, 1.0))


def _seen(
    section: CrossSection, material: Material, grid: GridConfig, x: Floats, p: Floats, q: Floats
) -> _Seen:
    view = section.view
    x_mm = x * view.depth
    y_mm, z_mm = section.from_disc(x_mm, p, q)
    columns, rows, lateral = coarse_view(section, grid, _STEP_MM)
    row = np.clip((y_mm / _STEP_MM).astype(int), 0, lateral.shape[0] - 1)
    column = np.clip((x_mm / _STEP_MM).astype(int), 0, lateral.shape[1] - 1)
    behind = x_mm - muscle_edge(view.muscle, y_mm.astype(np.float32)[:, None], 0.0)[:, 0]
    height = grid.rows * grid.pixel_mm
    room = np.minimum(np.minimum(lateral[row, column], behind + 3), np.minimum(y_mm, height - y_mm))
    gland_rank = np.zeros(len(x))
    if view.view is View.CC:
        gland = projected_gland(material, section, columns, rows, lateral)
        inside = np.sort(gland[lateral > 4])
        gland_rank = np.searchsorted(inside, gland[row, column]) / max(len(inside), 1)
    return _Seen(x_mm, y_mm, z_mm, room, gland_rank)


def _fit(
    shape: LesionShape, seen: _Seen, section: CrossSection, grid: GridConfig, rng: np.random.Generator
) -> Floats:
    """Return how well each candidate suits a lesion in a view."""
    wanted = float(np.interp(rng.random(), *DEPTH_SHARES))
    if shape.family in DECOYS:
        wanted = float(rng.uniform(0.12, 0.88))
    share = seen.z / section.view.thickness + 0.5
    radius = shape.size_mm / 2 * shape.body_share
    missing = np.maximum(0.8 * radius + 3 - seen.room, 0)
    score = -60.0 * np.abs(share - wanted) - 12.0 * missing
    score -= 12.0 * np.maximum(0.35 * radius - seen.x, 0)
    score -= 12.0 * np.maximum(seen.x + radius + 2 - grid.columns * grid.pixel_mm, 0)
    return np.asarray(score, np.float64)
