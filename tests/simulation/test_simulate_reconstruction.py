"""Slices: a mass is sharpest and brightest in its own plane, and smears along the sweep elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from comoto.records import View
from comoto.simulation import sized
from comoto.simulation.anatomy import draw_breast, draw_mass, draw_view
from comoto.simulation.exams import expose_mammogram, expose_tomosynthesis
from comoto.simulation.phantom import grow_phantom
from comoto.simulation.projection import LineIntegrals, tomosynthesis_sources
from comoto.simulation.reconstruction import Reconstruction, filter_projections


def _exam(seed: int):
    config = sized("demo", anatomy={"density_weights": (1, 0, 0, 0), "lesion_radius_mm": (6, 8)})
    rng = np.random.default_rng(seed)
    breast = draw_breast(config, rng)
    view = draw_view(breast, View.CC, 256 * 0.8, rng)
    phantom = grow_phantom(breast, view, (draw_mass(config, False, rng),), config.grid, rng)
    return config, phantom, rng


def _contrast(image: np.ndarray, box: tuple[float, float, float, float]) -> float:
    """Mean inside minus mean of a ring of 6 pixels around, over the standard deviation of the ring."""
    x1, y1, x2, y2 = (round(edge) for edge in box)
    inside = np.zeros(image.shape, bool)
    inside[max(y1, 0) : y2, max(x1, 0) : x2] = True
    ring = np.zeros(image.shape, bool)
    ring[max(y1 - 6, 0) : y2 + 6, max(x1 - 6, 0) : x2 + 6] = True
    ring &= ~inside & (image > 0)
    values = image.astype(float)
    return float((values[inside].mean() - values[ring].mean()) / values[ring].std())


def _edge(frame: np.ndarray, box: tuple[float, float, float, float]) -> float:
    """Steepest step along the sweep in five columns through the middle of the box, mean of the columns."""
    x1, y1, x2, y2 = (round(edge) for edge in box)
    middle = (x1 + x2) // 2
    part = frame[y1 - 3 : y2 + 3, middle - 2 : middle + 3].astype(float)
    return float(np.abs(np.diff(part, axis=0)).max(axis=0).mean())


def test_filter_has_the_floor_and_the_ramp():
    rows = np.arange(256)
    wave = np.sin(2 * np.pi * 0.125 * (rows + 0.5) * 1.0)[:, None]
    flat, waving = np.ones((1, 256, 4), np.float32), np.tile(wave, (1, 1, 4)).astype(np.float32)
    assert filter_projections(flat, 1.0)[0, 128, 0] == pytest.approx(0.12, abs=0.002)
    # f = 0.125 / mm: 0.12 + 0.88 * 0.125 / 0.25 = 0.56, Hann to 0.5 / mm: (1 + cos(pi / 4)) / 2 = 0.853553
    gain = filter_projections(waving, 1.0)[0, 96:160, 0].std() / waving[0, 96:160, 0].std()
    assert gain == pytest.approx(0.56 * 0.853553, rel=0.02)


def test_thin_disc_is_brightest_and_narrowest_in_its_plane():
    shape, pixel = (160, 60), 1.0
    sources = tomosynthesis_sources(shape[0], pixel, 7.5, 9)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    sums = LineIntegrals(sources, shape, pixel)
    for index in range(40):
        plane = np.full(shape, 0.05, np.float32)
        if index == 25:
            plane[np.hypot(x - 30, y - 80) < 2.5] += 0.05
        sums.add(plane, 15.5 + index, 1.0)
    reconstruction = Reconstruction(sums.images(), sources, pixel)
    heights = 15.5 + np.arange(40)
    slices = np.stack([reconstruction.slice_at(float(height))[0] for height in heights])
    at_disc = slices[:, 78:82, 28:32].mean(axis=(1, 2)) - slices[:, 65:70, 28:32].mean(axis=(1, 2))
    assert abs(int(at_disc.argmax()) - 25) <= 1
    gradient = np.abs(np.diff(slices[:, 60:100, 28:32], axis=1)).max(axis=(1, 2))
    assert abs(int(gradient.argmax()) - 25) <= 1
    # 20 mm below: the shadows are spread over 2 * 20 * tan(7.5 deg) = 5.3 mm and the edge is less steep.
    assert gradient[5] < 0.6 * gradient[25]


@pytest.mark.parametrize("seed", range(3))
def test_mass_of_a_breast_is_sharpest_near_its_annotated_slice(seed):
    config, phantom, rng = _exam(seed)
    volume = expose_tomosynthesis(phantom, config.tomosynthesis, rng)
    box, central = volume.boxes_xyxy[0], volume.slice_indices[0]
    edges = [_edge(frame, box) for frame in volume.frames()]
    assert abs(int(np.argmax(edges)) - central) <= 2  # slices are 2 mm apart
    far = 0 if central > len(edges) / 2 else len(edges) - 1
    assert edges[far] < 0.6 * edges[central]
    assert _contrast(volume.frame(central), box) > 0.5


def test_boxes_hold_the_mass_in_mammograms_of_fatty_breasts():
    contrasts = []
    for seed in range(6):
        config, phantom, rng = _exam(seed)
        mammogram = expose_mammogram(phantom, config.mammography, rng)
        contrasts.append(_contrast(mammogram.pixels, mammogram.boxes_xyxy[0]))
        (x1, y1, x2, y2) = mammogram.boxes_xyxy[0]
        width, height = x2 - x1, y2 - y1
        moved = (x1, y1 + 2 * height, x2, y2 + 2 * height)
        if y2 + 2 * height < 200:
            assert _contrast(mammogram.pixels, moved) < contrasts[-1]
        assert width == pytest.approx(height, rel=0.6)
    assert min(contrasts) > 0.5
    assert np.mean(contrasts) > 1.5


def test_stored_values_use_ten_bits_and_air_is_zero():
    config, phantom, rng = _exam(0)
    volume = expose_tomosynthesis(phantom, config.tomosynthesis, rng)
    frame = volume.frame(len(volume.slice_heights) // 2)
    assert frame.max() <= 1023
    assert (frame[:, -1] == 0).all()
    center, width = volume.stored.window
    assert 0 < center - width / 2 < center + width / 2 < 1023
