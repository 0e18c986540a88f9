"""Frames decoded at half resolution, or less, land on the grid where full frames do."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.config import PreprocessConfig
from comoto.dicom.read import DicomImage
from comoto.geometry import Chain, Crop, Mirror, Resize, Rotate180
from comoto.preprocessing import Plan, plan_image
from comoto.preprocessing.reduced import halvings_that_fit, onto_grid
from comoto.records import Laterality, Modality
from dicom_files import write_dicom

TOMO = Modality.TOMOSYNTHESIS


def low_band(image, levels):
    """Values centred on every ``2**levels``-th pixel, from a filter that keeps straight lines straight."""
    for _ in range(levels):
        image = cv2.pyrDown(np.asarray(image, dtype=np.float32))
    return image


def chain(shape, *makers):
    steps = []
    for maker in makers:
        steps.append(maker(*shape))
        shape = steps[-1].out_shape
    return Chain(steps[0].in_shape if steps else shape, tuple(steps))


@settings(max_examples=150)
@given(
    rows=st.integers(80, 121),
    columns=st.integers(80, 121),
    top=st.integers(0, 15),
    left=st.integers(0, 15),
    turned=st.booleans(),
    mirrored=st.booleans(),
    levels=st.integers(1, 2),
    data=st.data(),
)
def test_a_sloping_plane_is_rendered_alike(rows, columns, top, left, turned, mirrored, levels, data):
    """On a plane the mean under a pixel is nearly its value in the middle, so any shift of geometry shows.

    The slope is 3 a row and 2 a column: a shift by half a full pixel changes values by 2.5, and the shift
    that is easily forgotten is 0.5 full pixels at half and 1.5 at a quarter of the resolution. Both ways
    take a pixel for flat, which is worth up to an eighth of its 5 or 10 or 20 grey values.
    """
    plane = np.add.outer(3.0 * np.arange(rows), 2.0 * np.arange(columns)).astype(np.float32)
    orient = chain((rows, columns), *([Rotate180] if turned else []))
    height, width = rows - top - 9, columns - left - 5
    to = [data.draw(st.integers(8, side // 2**levels)) for side in (height, width)]
    makers = [
        lambda r, c: Crop(r, c, top, left, top + height, left + width),
        *([Mirror] if mirrored else []),
        lambda r, c: Resize(r, c, *to),
    ]
    to_grid = chain((rows, columns), *makers)
    assert halvings_that_fit(orient, to_grid, 5, margin=1) >= levels
    full = to_grid.image(orient.image(plane))
    reduced = onto_grid(low_band(plane, levels), orient, to_grid, levels)
    margin = 1 + max(2 ** (levels + 1) * side // size for side, size in zip(to, (height, width), strict=True))
    inside = np.s_[margin:-margin, margin:-margin]
    if full[inside].size:
        np.testing.assert_allclose(reduced[inside], full[inside], atol=0.7 * 2**levels)
        assert abs((reduced - full)[inside].mean()) < 0.3 * 2**levels


@pytest.mark.parametrize(
    ("side", "target", "available", "close", "fast"),
    [
        (2457, 2048, 5, 0, 0),
        (2457, 1229, 5, 0, 0),  # 1229 * 2 = 2458 is more than there is
        (2457, 1228, 5, 0, 1),
        (2457, 614, 5, 1, 2),
        (2457, 512, 5, 1, 2),
        (2457, 512, 1, 1, 1),
        (2457, 512, 0, 0, 0),
        (2457, 64, 5, 4, 5),
        (2457, 3000, 5, 0, 0),
    ],
)
def test_the_reduced_frame_stays_finer_than_the_grid(side, target, available, close, fast):
    to_grid = Chain((side, side), (Resize(side, side, target, target),))
    assert halvings_that_fit(Chain((side, side)), to_grid, available, margin=2) == close
    assert halvings_that_fit(Chain((side, side)), to_grid, available, margin=1) == fast


def test_the_finer_axis_of_a_stretched_grid_decides():
    to_grid = Chain((1000, 1000), (Resize(1000, 1000, 900, 100),))
    assert halvings_that_fit(Chain((1000, 1000)), to_grid, 5, margin=1) == 0


def exam(rows=701, columns=523, frames=4, side="L"):
    """Smooth tissue with a bright blob around (140, 230) that no window clips, in 10 bits."""
    y, x = np.mgrid[:rows, :columns]
    tissue = 450 + 60 * np.sin(x / 25) * np.cos(y / 31)
    image = np.where((x / 420) ** 2 + ((y - rows / 2) / 330) ** 2 < 1, tissue, 0)
    image += 170 * np.exp(-((x - 140) ** 2 + (y - 230) ** 2) / (2 * 18**2))
    if side == "R":
        image = image[:, ::-1]
    return np.repeat(np.rint(image).astype(np.uint16)[None], frames, axis=0)


def planned(path, laterality=Laterality.LEFT, **settings):
    config = PreprocessConfig(rows=160, columns=128, **settings)
    image = DicomImage(path)
    return image, plan_image(image, laterality, TOMO, config)


def bright_centre(rendered):
    """Centre of the bright blob, in pixels of the grid, weighted by how bright it is."""
    excess = np.clip(rendered.astype(float) - 200, 0, None)
    y, x = np.mgrid[: rendered.shape[0], : rendered.shape[1]]
    return [(excess * place).sum() / excess.sum() for place in (y, x)]


@pytest.mark.parametrize("codec", ["j2k", "htj2k"])
@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("laterality", [Laterality.LEFT, Laterality.RIGHT])
@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_a_plan_uses_reduced_frames_on_its_own(tmp_path, codec, side, laterality, fit):
    path = write_dicom(tmp_path / "x.dcm", exam(side=side), codec, precision=16)
    image, plan = planned(path, laterality, fit=fit, decode="fast")
    assert plan.halvings == (2 if fit == "letterbox" else 1)  # the cropped 430 columns are 3.4 times 128
    full, reduced = plan.render(image.frame(1)), plan.render(image.frame(1, plan.halvings))
    assert full.shape == reduced.shape == plan.grid_shape
    difference = np.abs(full.astype(int) - reduced)
    assert difference.mean() < 1.0
    np.testing.assert_allclose(bright_centre(reduced), bright_centre(full), atol=0.06)


def test_plans_differ_in_nothing_but_the_halvings(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", exam(), precision=16)
    (_, auto), (image, full) = planned(path), planned(path, decode="full")
    assert (auto.halvings, full.halvings) == (1, 0)
    assert planned(path, decode="fast")[1].halvings == 2
    assert auto.to_json() | {"halvings": 0} == full.to_json()
    assert Plan.from_json(auto.to_json()) == auto
    with pytest.raises(ValueError, match="shape"):
        full.render(image.frame(0, 1))


def test_two_pixels_to_one_of_the_grid_keep_most_noise_out(tmp_path):
    """White noise of 40 of 600 grey values, in frames 4.3 times as fine as the grid.

    Averaging 4.3 x 4.3 values leaves 40 / 600 * 255 / 4.3 = 4.0 grey values of it on the grid. ``auto``
    changes less than a third of that, ``fast`` more than half.
    """
    noise = np.random.default_rng(3).normal(0, 40, (4, 701, 523))
    frames = np.clip(np.where(exam() > 0, exam() + noise, 0), 0, 1023).astype(np.uint16)
    path = write_dicom(tmp_path / "x.dcm", frames, precision=16)
    changed = {}
    for decode in ("auto", "fast"):
        image, plan = planned(path, decode=decode)
        full, reduced = (
            plan.render(image.frame(1, halvings)).astype(float) for halvings in (0, plan.halvings)
        )
        changed[decode] = np.abs(full - reduced)[full > 0].mean()
    assert changed["auto"] < 4.0 / 3
    assert changed["fast"] > 4.0 / 2


def test_a_stored_plan_without_halvings_reads_full_frames(tmp_path):
    _, plan = planned(write_dicom(tmp_path / "x.dcm", exam()))
    content = plan.to_json()
    del content["halvings"]
    assert Plan.from_json(content).halvings == 0


@pytest.mark.parametrize("settings", [{"window": "frame"}, {"decode": "full"}])
def test_where_reduced_frames_would_change_more_than_a_little(tmp_path, settings):
    """The brightest value of a frame, which ``frame`` windows by, is smoothed away at half resolution."""
    _, plan = planned(write_dicom(tmp_path / "x.dcm", exam()), **settings)
    assert plan.halvings == 0


def test_formats_with_one_resolution_are_decoded_as_ever(tmp_path):
    _, plan = planned(write_dicom(tmp_path / "x.dcm", exam(), "ljpeg"))
    assert plan.halvings == 0
