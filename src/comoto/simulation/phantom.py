"""A compressed breast as a stack of planes of linear attenuation coefficients, made one plane at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.simulation.anatomy import Breast, MassShape, Muscle, ViewShape
from comoto.simulation.config import GridConfig
from comoto.simulation.fields import power_law_field
from comoto.simulation.mass import Mass, grow_mass
from comoto.simulation.outline import SKIN_MM, coordinates, coverage, half_thickness, lateral_distance
from comoto.simulation.projection import DETECTOR_GAP_MM
from comoto.simulation.tissue import Tissue, grow_tissue, muscle_edge

FloatImage = NDArray[np.float32]

ADIPOSE_PER_CM = 0.456
FIBROGLANDULAR_PER_CM = 0.802
CARCINOMA_PER_CM = 0.844
"""Linear attenuation at 20 keV after Johns and Yaffe, Phys. Med. Biol. 32 (1987) 675."""
SKIN_PER_CM = 0.75
MUSCLE_PER_CM = 0.70
_MUSCLE_SHARE = 0.8
"""Share of muscle in what lies behind its border; the rest is fat between its fibres."""
_CANDIDATES = 6000
_ROOM = 1.2
"""Depth of a centre in radii; lobes reach a little farther than one."""


@dataclass(frozen=True)
class Phantom:
    """One compressed breast.

    Attributes:
        view: its shape.
        tissue: glandular tissue and ligaments.
        masses: at most a few.
        surface, under_skin: half thickness (mm) of the breast and of what the skin encloses, (rows, columns).
        grain: texture of the muscle (rows, columns), standard deviation 1; (1, 1) without a muscle.
        grid: sample distances.
    """

    view: ViewShape
    tissue: Tissue
    masses: tuple[Mass, ...]
    surface: FloatImage
    under_skin: FloatImage
    grain: FloatImage
    grid: GridConfig

    @property
    def plane_z(self) -> NDArray[np.float64]:
        """Heights (mm) of the planes above the middle one, lowest first."""
        count = int(np.ceil(self.view.thickness / self.grid.plane_mm))
        return np.asarray((np.arange(count) - (count - 1) / 2) * self.grid.plane_mm, np.float64)

    def height(self, z: float) -> float:
        """Return the height (mm) above the detector of ``z`` above the middle plane."""
        return DETECTOR_GAP_MM + self.view.thickness / 2 + z

    def plane(self, z: float) -> FloatImage:
        """Return the attenuation (rows, columns) in 1/mm of the plane around ``z``."""
        share = self.tissue.fibroglandular(z)
        per_cm = ADIPOSE_PER_CM + np.float32(FIBROGLANDULAR_PER_CM - ADIPOSE_PER_CM) * share
        add_muscle(per_cm, self.view, self.grain, self.grid.pixel_mm, z)
        for mass in self.masses:
            self._add_mass(per_cm, mass, z)
        inner = coverage(self.under_skin, z, self.grid.plane_mm)
        outer = coverage(self.surface, z, self.grid.plane_mm)
        per_cm *= inner
        per_cm += np.float32(SKIN_PER_CM) * (outer - inner)
        per_cm *= np.float32(0.1)
        return per_cm

    def _add_mass(self, per_cm: FloatImage, mass: Mass, z: float) -> None:
        if abs(z - mass.center[2]) > mass.reach:
            return
        pixel = self.grid.pixel_mm
        first_x, last_x = (max(0, int((mass.center[0] + s * mass.reach) / pixel)) for s in (-1, 1))
        first_y, last_y = (max(0, int((mass.center[1] + s * mass.reach) / pixel)) for s in (-1, 1))
        patch = per_cm[first_y : last_y + 1, first_x : last_x + 1]
        x, y = coordinates((patch.shape[0], patch.shape[1]), pixel)
        x, y = x + np.float32(first_x * pixel), y + np.float32(first_y * pixel)
        value = np.float32(CARCINOMA_PER_CM * mass.shape.attenuation)
        if len(mass.spicules):
            patch += mass.rays(x, y, z, pixel / 2) * np.maximum(value - patch, 0)
        patch += mass.body(x, y, z, max(0.8, pixel)) * (value - patch)


def add_muscle(per_cm: FloatImage, view: ViewShape, grain: FloatImage, pixel_mm: float, z: float) -> None:
    """Put the pectoral muscle of a view, if it has one, into a plane of attenuation in 1/cm."""
    if view.muscle is None:
        return
    x, y = coordinates((per_cm.shape[0], per_cm.shape[1]), pixel_mm)
    edge = muscle_edge(view.muscle, y, 2 * z / view.thickness)
    share = np.clip((edge - x) / np.float32(1.5) + 0.5, 0, 1) * np.clip(edge / 3, 0, 1)
    fibres = np.float32(_MUSCLE_SHARE) + np.float32(0.05) * grain
    value = ADIPOSE_PER_CM + fibres * np.float32(MUSCLE_PER_CM - ADIPOSE_PER_CM)
    per_cm += share * (value - per_cm)


def grow_phantom(
    breast: Breast,
    view: ViewShape,
    masses: tuple[MassShape, ...],
    grid: GridConfig,
    rng: np.random.Generator,
) -> Phantom:
    """Draw the phantom of one view with its masses in place."""
    shape = (grid.rows, grid.columns)
    lateral = lateral_distance(view, shape, grid.pixel_mm)
    tissue = grow_tissue(breast, view, lateral, grid, rng)
    phantom = Phantom(
        view=view,
        tissue=tissue,
        masses=(),
        surface=half_thickness(lateral, view.thickness, 0.0),
        under_skin=half_thickness(lateral, view.thickness, SKIN_MM),
        grain=muscle_grain(view.muscle, shape, grid.pixel_mm, rng),
        grid=grid,
    )
    for mass in masses:
        center = _place(mass, phantom, lateral, rng)
        phantom = replace(phantom, masses=(*phantom.masses, grow_mass(mass, center, rng)))
    return phantom


def muscle_grain(
    muscle: Muscle | None, shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator
) -> FloatImage:
    """Draw the muscle's texture: streaks along its border, from samples of 0.8 mm or a pixel."""
    if muscle is None:
        return np.zeros((1, 1), np.float32)
    step = max(pixel_mm, 0.8)
    coarse = (int(shape[0] * pixel_mm / step) + 2, int(2 * shape[1] * pixel_mm / step) + 2)
    field = power_law_field(coarse, (step * 0.2, step), 2.8, rng)
    x, y = coordinates(shape, pixel_mm)
    column = (x - muscle_edge(muscle, y, 0.0)) / np.float32(step) + np.float32(coarse[1] / 2)
    row = np.broadcast_to(y / np.float32(step), shape)
    return np.asarray(cv2.remap(field, column, np.ascontiguousarray(row), cv2.INTER_CUBIC), np.float32)


def _place(
    mass: MassShape, phantom: Phantom, lateral: FloatImage, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Draw a centre deep enough under the skin, in three of four cases inside glandular tissue.

    Of a fixed number of candidates the first that satisfies most conditions is taken, so a breast with hardly
    any room still gets its mass at the best place there is.
    """
    view, grid = phantom.view, phantom.grid
    widest = 0.5 * mass.radius if mass.at_chest_wall else grid.columns * grid.pixel_mm
    x = rng.uniform(-0.2 * mass.radius if mass.at_chest_wall else 0.0, widest, _CANDIDATES)
    y = rng.uniform(0, grid.rows * grid.pixel_mm, _CANDIDATES)
    z = rng.uniform(-0.5, 0.5, _CANDIDATES) * max(view.thickness - 2 * _ROOM * mass.radius, 0.0)
    wants_gland = rng.random() < 0.75
    column = np.clip((x / grid.pixel_mm).astype(int), 0, grid.columns - 1)
    row = np.minimum((y / grid.pixel_mm).astype(int), grid.rows - 1)
    half = view.thickness / 2
    depth = half - np.hypot(np.maximum(half - lateral[row, column], 0), z)
    room = depth - _ROOM * mass.radius
    margin = 1.35 * mass.radius + 2
    height = grid.rows * grid.pixel_mm
    edge = muscle_edge(view.muscle, y.astype(np.float32)[:, None], 0.0)[:, 0]
    score = np.where(room > 0, 100.0, room)
    score += 40.0 * ((y > margin) & (y < height - margin) & ((x > mass.radius + 2) | mass.at_chest_wall))
    score += 20.0 * (x > edge + 0.8 * mass.radius)
    score += 4.0 * (_gland_at(phantom.tissue, row, column, z) == wants_gland)
    for other in phantom.masses:
        apart = np.hypot(x - other.center[0], y - other.center[1])
        score += 60.0 * (apart > mass.radius + other.shape.radius + 8)
    best = int(np.argmax(score))
    return float(x[best]), float(y[best]), float(z[best])


def _gland_at(
    tissue: Tissue, row: NDArray[np.int64], column: NDArray[np.int64], z: NDArray[np.float64]
) -> NDArray[np.bool_]:
    layers, rows, columns = tissue.score.shape
    layer = np.rint(np.interp(z, tissue.layer_z, np.arange(layers))).astype(int)
    r = np.minimum(row * rows // tissue.shape[0], rows - 1)
    c = np.minimum(column * columns // tissue.shape[1], columns - 1)
    return np.asarray(tissue.score[layer, r, c] > 0)
