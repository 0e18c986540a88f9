"""Projection against closed forms: attenuation of a slab, magnification of a point, noise of a counter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comoto.simulation.projection import (
    LineIntegrals,
    XraySource,
    backproject,
    detect,
    mammography_source,
    tomosynthesis_sources,
)

SHAPE = (100, 60)
PIXEL_MM = 1.0


def _slab(sources: list[XraySource], per_mm: float, thickness: float) -> np.ndarray:
    sums = LineIntegrals(sources, SHAPE, PIXEL_MM)
    for index in range(round(thickness)):
        sums.add(np.full(SHAPE, per_mm, np.float32), 20.5 + index, 1.0)
    return sums.images()


def test_uniform_slab_obeys_beer_lambert():
    source = mammography_source(SHAPE[0], PIXEL_MM)
    image = _slab([source], 0.05, 40)[0]
    # Nearest to straight below the source: 0.05 / mm * 40 mm = 2, transmission exp(-2) = 0.135335.
    assert math.exp(-image[50, 0]) == pytest.approx(0.135335, rel=1e-4)
    # 50 mm aside at the chest wall's far corner of a 650 mm distance the path is longer by
    # sqrt(1 + (59.5**2 + 49.5**2) / 650**2) = 1.0070650.
    assert image[99, 59] == pytest.approx(2 * math.sqrt(1 + (59.5**2 + 49.5**2) / 650**2), rel=1e-5)


def test_oblique_projection_of_a_slab_is_longer_by_the_cosine():
    source = tomosynthesis_sources(SHAPE[0], PIXEL_MM, 7.5, 3)[0]
    image = _slab([source], 0.05, 40)[0]
    row = 49  # pixel centre at 49.5 mm; the source is at 50 - 650 sin(7.5 deg) = -34.8427 mm
    away = 49.5 - (50 - 650 * math.sin(math.radians(7.5)))
    height = 650 * math.cos(math.radians(7.5))
    assert image[row, 0] == pytest.approx(2 * math.sqrt(1 + (away**2 + 0.25) / height**2), rel=1e-5)


def test_blob_lands_where_the_cone_beam_puts_it_and_grows_by_the_magnification():
    source = mammography_source(SHAPE[0], PIXEL_MM)
    height = 65.0  # magnification 650 / (650 - 65) = 1.111111
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    blob = np.exp(-((x - 30.0) ** 2 + (y - 70.0) ** 2) / (2 * 3.0**2)).astype(np.float32)
    sums = LineIntegrals([source], SHAPE, PIXEL_MM)
    sums.add(blob, height, 1.0)
    image = sums.images()[0].astype(np.float64)
    total = image.sum()
    center_x, center_y = (image * x).sum() / total, (image * y).sum() / total
    assert center_x == pytest.approx(30.0 * 10 / 9, abs=0.02)
    assert center_y == pytest.approx(50 + 20.0 * 10 / 9, abs=0.02)
    spread = math.sqrt((image * (x - center_x) ** 2).sum() / total)
    # Linear interpolation adds a variance of a sixth of a squared pixel at most.
    assert 3.0 * 10 / 9 - 0.01 < spread < math.sqrt((3.0 * 10 / 9) ** 2 + 0.26)
    assert source.onto_detector(30.0, 70.0, height) == pytest.approx((33.3333333, 72.2222222))


@given(
    x=st.floats(0, 60),
    y=st.floats(0, 100),
    height=st.floats(0, 100),
    angle=st.floats(0.5, 25),
)
def test_ray_source_point_and_shadow_lie_on_one_line(x, y, height, angle):
    source = tomosynthesis_sources(100, 1.0, angle, 5)[1]
    shadow = np.array([*source.onto_detector(x, y, height), 0.0])
    start = np.array([source.x, source.y, source.height])
    point = np.array([x, y, height])
    assert np.linalg.norm(np.cross(point - start, shadow - start)) < 1e-6 * source.height**2


def test_backprojection_puts_a_shadow_back_to_its_point_only_at_its_height():
    sources = tomosynthesis_sources(SHAPE[0], PIXEL_MM, 7.5, 9)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    blob = np.exp(-((x - 30.0) ** 2 + (y - 60.0) ** 2) / (2 * 2.0**2)).astype(np.float32)
    sums = LineIntegrals(sources, SHAPE, PIXEL_MM)
    sums.add(blob, 40.0, 1.0)
    images = sums.images()
    focal = backproject(images, sources, 40.0, PIXEL_MM)
    row, column = np.unravel_index(focal.argmax(), focal.shape)
    assert (row, column) in {(59, 29), (60, 29), (59, 30), (60, 30)}
    away = backproject(images, sources, 80.0, PIXEL_MM)
    # 40 mm off the plane the nine shadows lie 40 tan(7.5 deg) / 4 = 1.3 mm apart over +-5.3 mm.
    assert away.max() < 0.6 * focal.max()


def test_detector_noise_has_the_variance_of_counting():
    rng = np.random.default_rng(0)
    measured = detect(np.full((400, 400), 2.0, np.float32), 1e5, 0.0, rng)
    # mean count 1e5 exp(-2) = 13533.5; the logarithm's standard deviation is 1 / sqrt(13533.5) = 0.008596
    assert measured.mean() == pytest.approx(2.0, abs=2e-4)
    assert measured.std() == pytest.approx(0.008596, rel=0.02)
