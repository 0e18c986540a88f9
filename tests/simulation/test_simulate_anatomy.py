"""The phantom: texture, outline, tissue fraction and masses against independent numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comoto.errors import ConfigError
from comoto.records import View
from comoto.simulation import SIZES, SimulateConfig, sized
from comoto.simulation.anatomy import DENSITY_FRACTIONS, MassShape, draw_breast, draw_mass, draw_view
from comoto.simulation.exams import projected_box
from comoto.simulation.fields import power_law_field
from comoto.simulation.mass import Mass, grow_mass
from comoto.simulation.outline import coverage, half_thickness, lateral_distance
from comoto.simulation.phantom import Phantom, grow_phantom
from comoto.simulation.projection import mammography_source


def _phantom(seed: int, view: View, size: str = "tiny", masses: int = 1, density: str = "B") -> Phantom:
    weights = [float(name == density) for name in "ABCD"]
    config = sized(size, anatomy={"density_weights": weights})
    rng = np.random.default_rng(seed)
    breast = draw_breast(config, rng)
    shapes = tuple(draw_mass(config, bool(index % 2), rng) for index in range(masses))
    shape = draw_view(breast, view, config.grid.rows * config.grid.pixel_mm, rng)
    return grow_phantom(breast, shape, shapes, config.grid, rng)


def _ball(radius: float, center: tuple[float, float, float]) -> Mass:
    return Mass(
        MassShape(radius, False, 1.0, False, False),
        center,
        np.zeros((0, 5), np.float32),
        np.zeros((0, 7), np.float32),
    )


def test_power_law_field_has_the_wanted_slope():
    field = power_law_field((256, 256), (1.0, 1.0), 3.0, np.random.default_rng(1), cuts_per_mm=(0.001, None))
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)
    # Periodogram of the rows with a Hann taper; in two dimensions a row's spectrum falls by one power less.
    tapered = field * np.hanning(256)[None, :]
    power = (np.abs(np.fft.rfft(tapered, axis=1)) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(256)
    chosen = slice(8, 64)
    slope = np.polyfit(np.log(frequency[chosen]), np.log(power[chosen]), 1)[0]
    assert slope == pytest.approx(-2.0, abs=0.25)


@given(
    lateral=st.floats(0.1, 60), thickness=st.floats(20, 80), depth=st.floats(0, 5), plane=st.floats(0.3, 2.5)
)
def test_planes_add_up_to_the_exact_thickness(lateral, thickness, depth, plane):
    half = half_thickness(np.array([[lateral]], np.float32), thickness, depth)
    count = math.ceil(thickness / plane)
    heights = (np.arange(count) - (count - 1) / 2) * plane
    total = sum(float(coverage(half, z, plane)[0, 0]) * plane for z in heights)
    rest = (thickness / 2 - depth) ** 2 - max(thickness / 2 - lateral, 0) ** 2
    # Where the surface is just reached, float32 decides by a few hundredths of a millimetre.
    assert total == pytest.approx(2 * math.sqrt(max(rest, 0)), abs=0.06)


def test_half_thickness_by_hand():
    # T = 50: 10 mm inside the silhouette the surface is at sqrt(25^2 - 15^2) = 20 mm, 25 mm inside at 25 mm.
    half = half_thickness(np.array([[-1.0, 0.0, 10.0, 25.0, 40.0]], np.float32), 50.0, 0.0)
    np.testing.assert_allclose(half, [[-1.0, -1.0, 20.0, 25.0, 25.0]], atol=1e-5)


@pytest.mark.parametrize("view", list(View))
def test_silhouette_touches_the_chest_wall_and_stays_off_the_far_edge(view):
    config = sized("demo")
    rng = np.random.default_rng(3)
    shape = draw_view(draw_breast(config, rng), view, 256 * 0.8, rng)
    lateral = lateral_distance(shape, (256, 128), 0.8)
    assert (lateral[:, 0] > 0).sum() > 100
    assert (lateral[:, -1] < 0).all()
    # A distance map changes by at most the distance of neighbouring pixels.
    assert np.abs(np.diff(lateral, axis=0)).max() < 0.8 * 1.05


@pytest.mark.parametrize("density", list("ABCD"))
def test_glandular_fraction_is_that_of_the_density_class(density):
    phantom = _phantom(5, View.CC, density=density, masses=0)
    glandular = volume = 0.0
    for z in phantom.plane_z:
        inner = coverage(phantom.under_skin, float(z), phantom.grid.plane_mm)
        score = phantom.tissue.at(phantom.tissue.score, float(z))
        glandular += float((inner * (score > 0)).sum())
        volume += float(inner.sum())
    low, high = DENSITY_FRACTIONS[density]
    assert low * 0.9 < glandular / volume < high * 1.1


def test_attenuation_lies_between_fat_and_carcinoma():
    phantom = _phantom(2, View.MLO)
    plane = phantom.plane(float(phantom.masses[0].center[2]))
    assert plane.min() == 0.0
    inside = plane[phantom.under_skin > abs(phantom.masses[0].center[2]) + phantom.grid.plane_mm]
    assert 0.0455 < inside.min() < 0.0470
    assert 0.075 < inside.max() < 0.0844 * 1.06 + 1e-6


def test_ball_has_the_volume_and_extent_of_a_sphere():
    ball = _ball(8.0, (30.2, 40.1, 1.3))
    step = 0.5
    x = np.arange(20, 41, step, dtype=np.float32)[None, :]
    y = np.arange(30, 51, step, dtype=np.float32)[:, None]
    volume = sum(float(ball.body(x, y, z, step).sum()) for z in np.arange(-9, 11, step)) * step**3
    assert volume == pytest.approx(4 / 3 * math.pi * 8.0**3, rel=0.01)
    boxes = np.array([box for _, box in ball.extent(0.4, 0.5)])
    assert boxes[:, 0].min() == pytest.approx(22.2, abs=0.45)
    assert boxes[:, 3].max() == pytest.approx(48.1, abs=0.45)


def test_projected_box_is_magnified_about_the_source_axis():
    phantom = _phantom(1, View.CC, size="demo", masses=0)
    ball = _ball(8.0, (40.0, 130.0, 0.0))
    x1, y1, x2, y2 = (
        edge * 0.8 for edge in projected_box(ball, phantom, mammography_source(256, phantom.grid.pixel_mm))
    )
    # Shadow of a sphere at height h: centre magnified by 650 / (650 - h); the width is 2 r times that.
    factor = 650 / (650 - phantom.height(0.0))
    middle = 256 * 0.8 / 2
    assert (x1 + x2) / 2 == pytest.approx(40.0 * factor, abs=0.5)
    assert (y1 + y2) / 2 == pytest.approx(middle + (130.0 - middle) * factor, abs=0.5)
    assert x2 - x1 == pytest.approx(16.0 * factor, abs=0.9)


@pytest.mark.parametrize("x", [-2.0, 0.0, 3.0])
def test_more_of_a_box_at_the_chest_wall_lies_inside_than_beyond(x):
    phantom = _phantom(1, View.CC, size="demo", masses=0)
    source = mammography_source(256, phantom.grid.pixel_mm)
    x1, _, x2, _ = projected_box(_ball(8.0, (x, 100.0, 0.0)), phantom, source)
    assert 0 < -x1 < x2
    if x > 0:
        assert -x1 == pytest.approx((8.0 - x) / 0.8, abs=1.5)


def test_spiculated_mass_has_thin_rays_outside_of_its_body():
    mass = grow_mass(MassShape(8.0, True, 1.0, False, False), (30.0, 30.0, 0.0), np.random.default_rng(0))
    x = np.arange(0, 60, 0.25, dtype=np.float32)[None, :]
    y = np.arange(0, 60, 0.25, dtype=np.float32)[:, None]
    rays = mass.rays(x, y, 0.0, 0.1)
    radius = np.hypot(x - 30, y - 30)
    ring = rays[(radius > 11) & (radius < 12)]
    assert 0.02 < (ring > 0.4).mean() < 0.5
    assert rays[radius > mass.reach].max() < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_masses_lie_inside_the_breast_and_apart(seed):
    phantom = _phantom(seed, View.CC, size="demo", masses=2)
    first, second = phantom.masses
    gap = math.dist(first.center[:2], second.center[:2])
    assert gap > first.shape.radius + second.shape.radius
    for mass in phantom.masses:
        x, y, z = mass.center
        column, row = int(x / 0.8), int(y / 0.8)
        assert phantom.surface[row, column] > abs(z) + 0.5 * mass.shape.radius


def test_muscle_only_in_mlo_and_tapering():
    assert _phantom(4, View.CC).view.muscle is None
    phantom = _phantom(4, View.MLO, size="demo", masses=0)
    muscle = phantom.view.muscle
    plane = phantom.plane(0.0)
    column = int(muscle.width * 0.5 / 0.8)
    assert plane[4, :column].mean() == pytest.approx(0.1 * (0.456 + 0.8 * (0.70 - 0.456)), rel=0.04)


def test_configuration_errors_name_the_remedy():
    with pytest.raises(ConfigError, match="demo, full, small, tiny"):
        sized("huge")
    with pytest.raises(ValueError, match="do not fit"):
        SimulateConfig(anatomy={"lesion_radius_mm": (5, 30)})
    with pytest.raises(ValueError, match="a breast needs"):
        SimulateConfig(grid={"rows": 64, "columns": 32, "pixel_mm": 0.8})
    none = {"train_patients": 0, "validation_patients": 0, "test_patients": 0}
    with pytest.raises(ValueError, match="no patients: one of the numbers"):
        SimulateConfig(tomosynthesis=none, mammography={"training_patients": 0, "test_patients": 0})
    assert SIZES["full"].rows == 2457
