"""One image from start to end: phantom, projections, processing, stored values and boxes.

Everything here is in left orientation (chest wall at column 0); the writers mirror right breasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comoto.simulation.config import GridConfig, MammographyConfig, TomosynthesisConfig
from comoto.simulation.mass import Mass
from comoto.simulation.phantom import Phantom
from comoto.simulation.presentation import (
    StoredRange,
    Tones,
    equalise,
    inner_level,
    present_mammogram,
    stored_range,
    surroundings,
)
from comoto.simulation.projection import (
    LineIntegrals,
    XraySource,
    detect,
    mammography_source,
    tomosynthesis_sources,
)
from comoto.simulation.reconstruction import Reconstruction

BoxXyxy = tuple[float, float, float, float]
MAMMOGRAM_BITS = 12
TOMOSYNTHESIS_BITS = 10
_PROBE_SLICES = 5
_MOST_BEYOND = 0.9
"""How much of a mammogram's box may lie beyond the chest wall, relative to the part inside."""
_MAMMOGRAM_TONES = Tones(equalise=0.85, darkest=0.05, brightest=0.997)
_SLICE_TONES = Tones(equalise=0.85, darkest=0.02, brightest=0.997)


@dataclass(frozen=True)
class Mammogram:
    """Stored values (H, W), air 0, the window (center, width) and the projected boxes in pixels."""

    pixels: NDArray[np.uint16]
    window: tuple[float, float]
    boxes_xyxy: tuple[BoxXyxy, ...]


@dataclass(frozen=True)
class TomosynthesisVolume:
    """A volume whose slices are made on demand, lowest first.

    Attributes:
        slice_heights: mm above the detector.
        boxes_xyxy: integer pixel edges of each lesion in its slice.
        slice_indices: the slice nearest to the centre of each lesion.
    """

    reconstruction: Reconstruction
    stored: StoredRange
    level: float
    tones: Tones
    pixel_mm: float
    slice_heights: NDArray[np.float64]
    boxes_xyxy: tuple[BoxXyxy, ...]
    slice_indices: tuple[int, ...]

    def frame(self, index: int) -> NDArray[np.uint16]:
        """Return the stored values (H, W) of one slice."""
        values, mask = self.reconstruction.slice_at(float(self.slice_heights[index]))
        blurred = surroundings(values, mask, self.pixel_mm)
        return self.stored.store(equalise(values, mask, blurred, self.level, self.tones.equalise), mask)

    def frames(self) -> Iterator[NDArray[np.uint16]]:
        """Yield the stored values of all slices in order."""
        for index in range(len(self.slice_heights)):
            yield self.frame(index)


def line_integrals(phantom: Phantom, sources: list[XraySource]) -> NDArray[np.float32]:
    """Return the noise-free projections (sources, H, W) of a phantom, made plane by plane."""
    grid = phantom.grid
    sums = LineIntegrals(sources, (grid.rows, grid.columns), grid.pixel_mm)
    for z in phantom.plane_z:
        sums.add(phantom.plane(float(z)), phantom.height(float(z)), grid.plane_mm)
    return sums.images()


def expose_mammogram(phantom: Phantom, config: MammographyConfig, rng: np.random.Generator) -> Mammogram:
    """Take a mammogram of ``phantom``."""
    grid = phantom.grid
    source = mammography_source(grid.rows, grid.pixel_mm)
    quanta = config.quanta_per_mm2 * grid.pixel_mm**2
    measured = detect(line_integrals(phantom, [source])[0], quanta, config.blur_px, rng)
    image, mask = present_mammogram(measured, grid.pixel_mm, _MAMMOGRAM_TONES.equalise)
    stored = stored_range(image[mask], MAMMOGRAM_BITS, _MAMMOGRAM_TONES, rng)
    boxes = tuple(projected_box(mass, phantom, source) for mass in phantom.masses)
    return Mammogram(stored.store(image, mask), stored.window, boxes)


def projected_box(mass: Mass, phantom: Phantom, source: XraySource) -> BoxXyxy:
    """Return the box (pixels) around the shadow of a mass' body on the detector.

    Where the chest wall's border cuts a mass, a reader would draw what is seen: less of the box lies beyond
    the border than inside.
    """
    corners = []
    for z, (x1, y1, x2, y2) in mass.extent(phantom.grid.pixel_mm, phantom.grid.plane_mm):
        height = phantom.height(z)
        corners.append((*source.onto_detector(x1, y1, height), *source.onto_detector(x2, y2, height)))
    edges = np.asarray(corners) / phantom.grid.pixel_mm
    x1, y1 = edges[:, :2].min(axis=0)
    x2, y2 = edges[:, 2:].max(axis=0)
    return float(max(x1, _MOST_BEYOND * -x2)), float(y1), float(x2), float(y2)


def expose_tomosynthesis(
    phantom: Phantom, config: TomosynthesisConfig, rng: np.random.Generator
) -> TomosynthesisVolume:
    """Acquire limited-angle projections of ``phantom`` and prepare their reconstruction."""
    grid = phantom.grid
    sources = tomosynthesis_sources(grid.rows, grid.pixel_mm, config.angle_deg, config.num_views)
    projections = line_integrals(phantom, sources)
    quanta = config.quanta_per_mm2 * grid.pixel_mm**2 / config.num_views
    for projection in projections:
        projection[:] = detect(projection, quanta, 0.0, rng)
    reconstruction = Reconstruction(projections, sources, grid.pixel_mm)
    heights = slice_heights(phantom.view.thickness, phantom.height(0.0), grid.slice_mm)
    stored, level = common_range(reconstruction, heights, grid.pixel_mm, _SLICE_TONES, rng)
    return TomosynthesisVolume(
        reconstruction=reconstruction,
        stored=stored,
        level=level,
        tones=_SLICE_TONES,
        pixel_mm=grid.pixel_mm,
        slice_heights=heights,
        boxes_xyxy=tuple(_slice_box(mass, grid) for mass in phantom.masses),
        slice_indices=tuple(
            nearest_slice(heights, phantom.height(mass.center[2])) for mass in phantom.masses
        ),
    )


def slice_heights(thickness: float, middle: float, slice_mm: float) -> NDArray[np.float64]:
    """Return the heights (mm above the detector) of the slices of a breast around its middle."""
    count = max(1, round(thickness / slice_mm))
    return np.asarray(middle + (np.arange(count) - (count - 1) / 2) * slice_mm, np.float64)


def nearest_slice(heights: NDArray[np.float64], height: float) -> int:
    """Return the index of the slice nearest to ``height``."""
    return int(np.argmin(np.abs(heights - height)))


def common_range(
    reconstruction: Reconstruction,
    heights: NDArray[np.float64],
    pixel_mm: float,
    tones: Tones,
    rng: np.random.Generator,
) -> tuple[StoredRange, float]:
    """Choose one level and one stored range for all slices from a few of them."""
    chosen = np.unique(np.linspace(0, len(heights) - 1, _PROBE_SLICES + 2)[1:-1].round().astype(int))
    slices = [reconstruction.slice_at(float(heights[index])) for index in chosen]
    values, mask = slices[len(slices) // 2]
    level = inner_level(surroundings(values, mask, pixel_mm), mask)
    lifted = [equalise(v, m, surroundings(v, m, pixel_mm), level, tones.equalise)[m][::3] for v, m in slices]
    return stored_range(np.concatenate(lifted), TOMOSYNTHESIS_BITS, tones, rng), level


def _slice_box(mass: Mass, grid: GridConfig) -> BoxXyxy:
    """Return the smallest box of whole pixels around a mass' body, clipped to the slice.

    Slices keep the true size of the planes, so there is no magnification.
    """
    boxes = np.asarray([box for _, box in mass.extent(grid.pixel_mm, grid.plane_mm)]) / grid.pixel_mm
    x1, y1 = np.floor(np.maximum(boxes[:, :2].min(axis=0), 0))
    x2, y2 = np.ceil(np.minimum(boxes[:, 2:].max(axis=0), [grid.columns, grid.rows]))
    return float(x1), float(y1), float(x2), float(y2)
