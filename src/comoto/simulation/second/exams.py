"""One image of the second exams: projections, processing, stored values, boxes and how visible lesions are.

Everything here is in left orientation (chest wall at column 0); the writers mirror right breasts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from comoto.simulation.exams import (
    MAMMOGRAM_BITS,
    BoxXyxy,
    Mammogram,
    TomosynthesisVolume,
    common_range,
    nearest_slice,
    slice_heights,
)
from comoto.simulation.presentation import (
    StoredRange,
    equalise,
    inner_level,
    stored_range,
    surroundings,
    tissue_mask,
)
from comoto.simulation.projection import (
    LineIntegrals,
    XraySource,
    detect,
    mammography_source,
    tomosynthesis_sources,
)
from comoto.simulation.reconstruction import Reconstruction
from comoto.simulation.second.lesion import Placed
from comoto.simulation.second.phantom import SecondPhantom
from comoto.simulation.second.styles import (
    MAMMOGRAPHY,
    TOMOSYNTHESIS,
    MammographyStyle,
    TomosynthesisStyle,
    filter_sweep,
    sharpen,
)

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class VolumeHabits:
    """How a workstation stores volumes.

    Attributes:
        beyond_mm: how much thicker than the breast the stack of slices is.
        window: (lowest, highest) shown stored value; None draws them.
    """

    beyond_mm: float = 0.0
    window: tuple[float, float] | None = None


@dataclass(frozen=True)
class SecondVolume(TomosynthesisVolume):
    """A volume and what else is known about it.

    Attributes:
        style: the system.
        depth_shares: where the centre of each lesion lies between the lowest and the highest slice.
        visibilities: of each lesion in its slice.
    """

    style: TomosynthesisStyle
    depth_shares: tuple[float, ...]
    visibilities: tuple[float, ...]


@dataclass(frozen=True)
class SecondMammogram:
    """A mammogram and how visible each of its lesions is."""

    image: Mammogram
    visibilities: tuple[float, ...]


def line_integrals(
    phantom: SecondPhantom, sources: list[XraySource]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the noise-free projections (sources, H, W) of a phantom, and the lesions' part of them."""
    grid = phantom.grid
    shape = grid.rows, grid.columns
    whole, part = (LineIntegrals(sources, shape, grid.pixel_mm) for _ in range(2))
    for index, z in enumerate(phantom.plane_z):
        plane, lesions = phantom.plane(index)
        height = phantom.height(float(z))
        whole.add(plane, height, grid.plane_mm)
        if lesions is not None:
            part.add(lesions, height, grid.plane_mm)
    return whole.images(), part.images()


def visibility(part: FloatImage, image: FloatImage, box: BoxXyxy) -> float:
    """Return a lesion's contrast-to-noise ratio: its root mean square over the spread of what hides it.

    Args:
        part: what the lesions add to the image, without noise.
        image: the image with lesions and noise.
        box: of the lesion, in pixels; outside of the image it is cut.
    """
    x1, y1 = (max(0, int(np.floor(edge))) for edge in box[:2])
    x2, y2 = (int(np.ceil(edge)) for edge in box[2:])
    signal = part[y1:y2, x1:x2]
    noise = image[y1:y2, x1:x2] - signal
    if noise.size < 4:
        return 0.0
    return float(np.sqrt(np.mean(signal.astype(np.float64) ** 2)) / max(float(noise.std()), 1e-9))


def expose_mammogram(phantom: SecondPhantom, name: str, rng: np.random.Generator) -> SecondMammogram:
    """Take a mammogram of ``phantom`` in a style of ``MAMMOGRAPHY``."""
    grid, style = phantom.grid, MAMMOGRAPHY[name]
    source = mammography_source(grid.rows, grid.pixel_mm)
    whole, part = line_integrals(phantom, [source])
    quanta = style.quanta_per_mm2 * grid.pixel_mm**2
    measured = detect(whole[0], quanta, style.blur_mm / grid.pixel_mm, rng)
    mask = tissue_mask(measured)
    blurred = surroundings(measured, mask, grid.pixel_mm)
    image = equalise(measured, mask, blurred, inner_level(blurred, mask), style.tones.equalise)
    image = sharpen(image, mask, grid.pixel_mm, style)
    stored = stored_range(image[mask], MAMMOGRAM_BITS, style.tones, rng)
    pixels = _curved(stored.store(image, mask), stored, style)
    boxes = tuple(projected_box(lesion, phantom, source) for lesion in phantom.lesions)
    seen = tuple(visibility(part[0], measured, box) for box in boxes)
    return SecondMammogram(Mammogram(pixels, stored.window, boxes), seen)


def _curved(pixels: NDArray[np.uint16], stored: StoredRange, style: MammographyStyle) -> NDArray[np.uint16]:
    """Return stored values after the style's curve, which leaves the ends of the window in place."""
    if style.gamma == 1.0:
        return pixels
    values = np.arange(2**stored.bits, dtype=np.float64)
    share = (values - stored.stored_low) / (stored.stored_high - stored.stored_low)
    curve = np.where((share > 0) & (share < 1), np.clip(share, 0, 1) ** style.gamma, share)
    table = np.rint(curve * (stored.stored_high - stored.stored_low) + stored.stored_low)
    table = np.clip(table, 1, 2**stored.bits - 1).astype(np.uint16)
    table[0] = 0
    return np.asarray(table[pixels], np.uint16)


def projected_box(lesion: Placed, phantom: SecondPhantom, source: XraySource) -> BoxXyxy:
    """Return the box (pixels) around the shadow of a lesion on the detector."""
    corners = []
    for z, (x1, y1, x2, y2) in lesion.planes:
        height = phantom.height(z)
        corners.append((*source.onto_detector(x1, y1, height), *source.onto_detector(x2, y2, height)))
    edges = np.asarray(corners) / phantom.grid.pixel_mm
    return _generous(edges, lesion)


def _generous(edges: NDArray[np.float64], lesion: Placed) -> BoxXyxy:
    """Return the box around the body's ``edges`` (N, 4), larger about its middle as radiologists draw it."""
    low, high = edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 / lesion.lesion.shape.body_share
    (x1, y1), (x2, y2) = middle - half, middle + half
    return float(x1), float(y1), float(x2), float(y2)


def slice_box(lesion: Placed, phantom: SecondPhantom) -> BoxXyxy:
    """Return the smallest box of whole pixels around a lesion, clipped to the slice."""
    grid = phantom.grid
    edges = np.asarray([box for _, box in lesion.planes]) / grid.pixel_mm
    x1, y1, x2, y2 = _generous(edges, lesion)
    left, top = max(0.0, np.floor(x1)), max(0.0, np.floor(y1))
    return left, top, float(min(grid.columns, np.ceil(x2))), float(min(grid.rows, np.ceil(y2)))


def expose_tomosynthesis(
    phantom: SecondPhantom, name: str, rng: np.random.Generator, habits: VolumeHabits | None = None
) -> SecondVolume:
    """Acquire projections of ``phantom`` with a system of ``TOMOSYNTHESIS`` and prepare their slices."""
    grid, style = phantom.grid, TOMOSYNTHESIS[name]
    sources = tomosynthesis_sources(grid.rows, grid.pixel_mm, style.angle_deg, style.num_views)
    whole, part = line_integrals(phantom, sources)
    quanta = style.quanta_per_mm2 * grid.pixel_mm**2 / style.num_views
    for projection in whole:
        projection[:] = detect(projection, quanta, 0.0, rng)
    filtered_part = filter_sweep(part, grid.pixel_mm, style) if phantom.lesions else None
    reconstruction = Reconstruction(whole, sources, grid.pixel_mm, filter_sweep(whole, grid.pixel_mm, style))
    habits = habits or VolumeHabits()
    heights = slice_heights(
        phantom.view.thickness + habits.beyond_mm, phantom.height(0.0), grid.slice_mm * style.slice_factor
    )
    stored, level = common_range(reconstruction, heights, grid.pixel_mm, style.tones, rng)
    if habits.window is not None:
        stored = replace(stored, stored_low=habits.window[0], stored_high=habits.window[1])
    boxes = tuple(slice_box(lesion, phantom) for lesion in phantom.lesions)
    places = [phantom.height(lesion.center[2]) for lesion in phantom.lesions]
    indices = tuple(nearest_slice(heights, place) for place in places)
    low, high = float(heights[0]), float(heights[-1])
    return SecondVolume(
        reconstruction=reconstruction,
        stored=stored,
        level=level,
        tones=style.tones,
        pixel_mm=grid.pixel_mm,
        slice_heights=heights,
        boxes_xyxy=boxes,
        slice_indices=indices,
        style=style,
        depth_shares=tuple((place - low) / max(high - low, 1e-6) for place in places),
        visibilities=_visibilities(filtered_part, reconstruction, heights, boxes, indices),
    )


def _visibilities(
    filtered_part: NDArray[np.float32] | None,
    reconstruction: Reconstruction,
    heights: NDArray[np.float64],
    boxes: tuple[BoxXyxy, ...],
    indices: tuple[int, ...],
) -> tuple[float, ...]:
    """Return how visible each lesion is in its own slice."""
    seen = []
    for box, index in zip(boxes, indices, strict=True):
        if filtered_part is None:
            raise ValueError("boxes without lesions")
        height = float(heights[index])
        seen.append(
            visibility(
                reconstruction.same_geometry(filtered_part, height), reconstruction.slice_at(height)[0], box
            )
        )
    return tuple(seen)
