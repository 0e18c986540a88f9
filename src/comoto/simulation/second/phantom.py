"""A breast of the second exams in one view, as planes of attenuation with and without its lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comoto.simulation.anatomy import ViewShape
from comoto.simulation.config import GridConfig
from comoto.simulation.outline import SKIN_MM, coordinates, coverage, half_thickness, lateral_distance
from comoto.simulation.phantom import (
    ADIPOSE_PER_CM,
    FIBROGLANDULAR_PER_CM,
    SKIN_PER_CM,
    add_muscle,
    muscle_grain,
)
from comoto.simulation.projection import DETECTOR_GAP_MM
from comoto.simulation.second.crosssection import CrossSection
from comoto.simulation.second.effects import Window, add_body, change_tissue
from comoto.simulation.second.lesion import Placed
from comoto.simulation.second.material import Grain, Material, gland_share, sample_tissue
from comoto.simulation.tissue import Tissue

FloatImage = NDArray[np.float32]
_LIGAMENT_WIDTH = 0.06


@dataclass(frozen=True)
class SecondPhantom:
    """One compressed breast.

    Attributes:
        section: the view and what it compresses.
        tissue: glandular tissue and ligaments.
        fine: structure below a millimetre.
        lesions, decoys: in place.
        surface, under_skin: half thickness (mm) of the breast and of what the skin encloses, (rows, columns).
        muscle: texture of the muscle.
        grid: sample distances.
    """

    section: CrossSection
    tissue: Tissue
    fine: Grain
    lesions: tuple[Placed, ...]
    decoys: tuple[Placed, ...]
    surface: FloatImage
    under_skin: FloatImage
    muscle: FloatImage
    grid: GridConfig

    @property
    def view(self) -> ViewShape:
        """The compression."""
        return self.section.view

    @property
    def plane_z(self) -> NDArray[np.float64]:
        """Heights (mm) of the planes above the middle one, lowest first."""
        count = int(np.ceil(self.view.thickness / self.grid.plane_mm))
        return np.asarray((np.arange(count) - (count - 1) / 2) * self.grid.plane_mm, np.float64)

    def height(self, z: float) -> float:
        """Return the height (mm) above the detector of ``z`` above the middle plane."""
        return DETECTOR_GAP_MM + self.view.thickness / 2 + z

    def plane(self, index: int) -> tuple[FloatImage, FloatImage | None]:
        """Return the attenuation (rows, columns) in 1/mm of a plane, and the lesions' part of it, if any."""
        z = float(self.plane_z[index])
        score = self.tissue.at(self.tissue.score, z) + self.fine.plane(index)
        sheets = self.tissue.at(self.tissue.sheets, z)
        gland = gland_share(score)
        fibre = np.exp(-((sheets / np.float32(_LIGAMENT_WIDTH)) ** 2)) * np.float32(self.tissue.ligament)
        share = np.asarray(gland + (1 - gland) * fibre, np.float32)
        decoys = tuple(decoy for decoy in self.decoys if decoy.reaches(z))
        lesions = tuple(lesion for lesion in self.lesions if lesion.reaches(z))
        healthy = self._attenuation(share, score, decoys, z)
        if not lesions:
            return healthy, None
        whole = self._attenuation(share, score, (*decoys, *lesions), z)
        return whole, whole - healthy

    def _attenuation(
        self, share: FloatImage, score: FloatImage, items: tuple[Placed, ...], z: float
    ) -> FloatImage:
        """Return attenuation in 1/mm of tissue with lesions and decoys, skin and muscle."""
        share = share.copy() if items else share
        windows = [Window.around(item, self.grid, z) for item in items]
        for window in windows:
            change_tissue(share, score, window)
        per_cm = ADIPOSE_PER_CM + np.float32(FIBROGLANDULAR_PER_CM - ADIPOSE_PER_CM) * share
        add_muscle(per_cm, self.view, self.muscle, self.grid.pixel_mm, z)
        for window in windows:
            add_body(per_cm, window)
        inner = coverage(self.under_skin, z, self.grid.plane_mm)
        outer = coverage(self.surface, z, self.grid.plane_mm)
        per_cm *= inner
        per_cm += np.float32(SKIN_PER_CM) * (outer - inner)
        per_cm *= np.float32(0.1)
        return per_cm


def compress(
    section: CrossSection,
    material: Material,
    lesions: tuple[Placed, ...],
    decoys: tuple[Placed, ...],
    grid: GridConfig,
    rng: np.random.Generator,
) -> SecondPhantom:
    """Return the phantom of one view; ``rng`` draws only its finest structure and the muscle's."""
    view, shape = section.view, (grid.rows, grid.columns)
    lateral = lateral_distance(view, shape, grid.pixel_mm)
    return SecondPhantom(
        section=section,
        tissue=sample_tissue(material, section, lateral, grid),
        fine=Grain(grid, rng),
        lesions=lesions,
        decoys=decoys,
        surface=half_thickness(lateral, view.thickness, 0.0),
        under_skin=half_thickness(lateral, view.thickness, SKIN_MM),
        muscle=muscle_grain(view.muscle, shape, grid.pixel_mm, rng),
        grid=grid,
    )


def coarse_view(
    section: CrossSection, grid: GridConfig, step: float
) -> tuple[FloatImage, FloatImage, FloatImage]:
    """Return x (1, W), y (H, 1) and the lateral distance (H, W) of a view sampled every ``step`` mm."""
    shape = round(grid.rows * grid.pixel_mm / step), round(grid.columns * grid.pixel_mm / step)
    x, y = coordinates(shape, step)
    lateral = lateral_distance(section.view, shape, step)
    return x, y, lateral
