"""Orientation, window, crop, mirror and resize of one image, each checked by hand-made pixels."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from comoto.config import PreprocessConfig
from comoto.dicom.read import DicomImage
from comoto.errors import DatasetError, DicomError
from comoto.geometry import Mirror, Rotate180
from comoto.preprocessing import Plan, pad, plan_image
from comoto.records import Laterality, Modality

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT
MAMMOGRAM, TOMO = Modality.MAMMOGRAM, Modality.TOMOSYNTHESIS
SMALL = PreprocessConfig(rows=128, columns=64)


@pytest.fixture
def plan_of(tmp_path, write_dicom):
    """Write frames to a file, plan it, and return the plan with the frames as read."""

    def make(frames, laterality=LEFT, modality=TOMO, config=SMALL, **header):
        with DicomImage(write_dicom(tmp_path / "image.dcm", np.stack(frames), **header)) as image:
            return plan_image(image, laterality, modality, config), list(image.frames())

    return make


def with_lesion(image, box, value=900):
    image = image.copy()
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = value
    return image


def bright_box(rendered, threshold=200):
    rows = np.flatnonzero((rendered > threshold).any(axis=1))
    columns = np.flatnonzero((rendered > threshold).any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("touching", ["L", "R"])
@pytest.mark.parametrize("laterality", [LEFT, RIGHT])
def test_a_volume_is_turned_once_if_it_touches_the_other_side(plan_of, breast, touching, laterality):
    frames = [breast(side=touching, seed=k) for k in range(4)]
    plan, _ = plan_of(frames, laterality)
    assert bool(plan.orient.steps) == (touching != laterality.value)
    source = plan.orient.image(frames[0])
    assert (source[:, 0].sum() > source[:, -1].sum()) == (laterality is LEFT)
    if touching != laterality.value:
        assert plan.orient.steps == (Rotate180(160, 100),)
        assert "turned" in plan.notes[0]
    grid = plan.render(frames[0])
    assert grid[:, 0].sum() > grid[:, -1].sum()  # the chest wall is at column 0, whatever was stored


def test_frame_0_alone_decides_and_all_frames_follow(plan_of, breast):
    frames = [breast(side="R"), *[breast(side="L")] * 3]
    plan, _ = plan_of(frames, LEFT)
    assert plan.orient.steps == (Rotate180(160, 100),)
    assert np.array_equal(plan.orient.image(frames[2]), frames[2][::-1, ::-1])


def test_an_empty_first_frame_counts_as_left_and_is_noted(plan_of, breast):
    frames = [np.zeros((160, 100)), *[breast(side="R")] * 3]
    plan, _ = plan_of(frames, RIGHT)
    assert plan.orient.steps == (Rotate180(160, 100),)  # the rule that defines the boxes of BCS-DBT
    assert "neither side" in plan.notes[0]


@pytest.mark.parametrize(("touching", "expected"), [("L", LEFT), ("R", RIGHT)])
@pytest.mark.parametrize("modality", [MAMMOGRAM, TOMO])
def test_without_laterality_the_pixels_decide_and_nothing_is_turned(
    plan_of, breast, touching, expected, modality
):
    frames = [breast(side=touching)] * (1 if modality is MAMMOGRAM else 3)
    plan, _ = plan_of(frames, None, modality)
    assert plan.laterality is expected
    assert not plan.orient.steps
    assert plan.render(frames[0])[:, 0].any()


def test_a_mammogram_is_never_turned_but_its_pixels_mirror_it(plan_of, breast):
    plan, _ = plan_of([breast(side="R")], LEFT, MAMMOGRAM)
    assert not plan.orient.steps
    assert any(isinstance(step, Mirror) for step in plan.to_grid.steps)
    assert plan.laterality is LEFT
    assert "leans on the other side" in plan.notes[0]


def test_mirror_can_be_switched_off(plan_of, breast):
    config = SMALL.model_copy(update={"mirror": False})
    plan, frames = plan_of([breast(side="R")] * 3, RIGHT, config=config)
    assert not any(isinstance(step, Mirror) for step in plan.to_grid.steps)
    assert plan.render(frames[0])[:, -1].any()


def test_the_window_of_a_volume_is_centre_plus_minus_half_width(plan_of, breast):
    plan, frames = plan_of([breast()] * 3, window=(450, 500))
    assert plan.window == (200, 700)
    assert plan.window_source == "file"
    config = PreprocessConfig(rows=160, columns=128, crop_air=False)
    plan, frames = plan_of([breast()] * 3, window=(450, 500), config=config)
    expected = np.clip((frames[1].astype(float) - 200) / 500, 0, 1) * 255
    assert np.abs(plan.render(frames[1]) - expected).max() <= 0.501


def test_the_window_of_a_mammogram_follows_the_standard(plan_of, breast):
    # PS3.3 C.11.2.1.2: c - 0.5 plus or minus (w - 1) / 2; with c 2048 and w 4096 that is 0 to 4095.
    plan, _ = plan_of([breast()], LEFT, MAMMOGRAM, bits=12, window=(400, 601))
    assert plan.window == (99.5, 699.5)
    image = np.clip(breast() * 8, 0, 4095)
    plan, _ = plan_of([image], LEFT, MAMMOGRAM, bits=12, window=(2048, 4096))
    assert plan.window == (0, 4095)


def test_the_rescale_is_undone_because_frames_are_not_rescaled(plan_of, breast):
    # rescaled = 2 v - 100; the window 300..1301 of rescaled values is 200..700.5 of stored ones.
    plan, _ = plan_of([breast()], LEFT, MAMMOGRAM, window=(801, 1002), rescale=(2, -100))
    assert plan.window == (200, 700.5)


def test_an_inverted_image_renders_as_its_positive(plan_of, breast):
    """MONOCHROME1 stores max - value; its window speaks about stored values and must be reflected."""
    positive = breast()
    config = PreprocessConfig(rows=160, columns=128, crop_air=False)
    plain, frames = plan_of([positive], LEFT, MAMMOGRAM, config=config, window=(450.5, 501))
    assert plain.window == (200, 700)
    stored = 1023 - positive
    inverted, read = plan_of(
        [stored], LEFT, MAMMOGRAM, config=config, photometric="MONOCHROME1", window=(1023 - 450 + 0.5, 501)
    )
    assert np.array_equal(read[0], positive)
    assert inverted.window == (200, 700)
    assert inverted.window_source == "file"
    assert np.array_equal(inverted.render(read[0]), plain.render(frames[0]))


def test_an_inverted_and_rescaled_window_by_hand(plan_of, breast):
    # Stored s = 1023 - v, rescaled r = 2 s + 10. Window centre 1156.5, width 1001: r from 656 to 1656,
    # so s from 323 to 823, so v from 200 to 700.
    plan, _ = plan_of(
        [1023 - breast()], LEFT, MAMMOGRAM, photometric="MONOCHROME1", window=(1156.5, 1001), rescale=(2, 10)
    )
    assert plan.window == (200, 700)


@pytest.mark.parametrize("window", [(5000, 200), (400, 1e6), (512, 1)])
def test_an_implausible_window_is_replaced_and_the_plan_says_so(plan_of, breast, window):
    frames = [breast()]
    plan, _ = plan_of(frames, LEFT, MAMMOGRAM, window=window)
    assert plan.window_source == "percentile"
    assert any("percentiles" in note for note in plan.notes)
    inside = frames[0][frames[0] > 0]
    assert plan.window == pytest.approx(np.percentile(inside, [0.5, 99.8]), abs=15)


def test_without_a_window_in_the_file_the_breast_decides(plan_of, breast):
    frames = [breast(seed=k) for k in range(5)]
    plan, _ = plan_of(frames)
    assert plan.window_source == "percentile"
    inside = np.concatenate([frame[frame > 0] for frame in frames])
    assert plan.window == pytest.approx(np.percentile(inside, [0.5, 99.8]), abs=15)
    assert not plan.notes


def test_the_percentile_window_can_be_asked_for(plan_of, breast):
    config = SMALL.model_copy(update={"window": "percentile"})
    plan, _ = plan_of([breast()] * 3, window=(450, 500), config=config)
    assert plan.window_source == "percentile"
    assert plan.window != (200, 700)


def test_a_negative_rescale_slope_turns_dark_and_bright_round(plan_of, breast):
    """Rescaled r = 1023 - stored s, shown from 200 to 700: frames are 1023 - s, and so is r."""
    plan, frames = plan_of([1023 - breast()], LEFT, MAMMOGRAM, window=(450.5, 501), rescale=(-1, 1023))
    np.testing.assert_array_equal(frames[0], breast())
    assert (plan.window, plan.window_source) == ((200, 700), "file")


def test_the_wrong_kind_of_file_is_refused(plan_of, breast):
    with pytest.raises(DicomError, match=r"mammogram was expected.*3 frames"):
        plan_of([breast()] * 3, LEFT, MAMMOGRAM)
    with pytest.raises(DicomError, match="volume was expected"):
        plan_of([breast()], LEFT, TOMO)


def test_one_scale_and_one_crop_for_all_slices(plan_of, breast):
    frames = [breast(reach=reach) for reach in (0.3, 0.5, 0.7, 0.5, 0.3)]
    plan, _ = plan_of(frames)
    assert {plan.render(frame).shape for frame in frames} == {plan.grid_shape}
    # Breast rows 16..144 and columns 0..70 of 160 x 100; crop margins are one small pixel and 1 %.
    crop = plan.to_grid.steps[0]
    assert 12 <= crop.top <= 16
    assert 144 <= crop.bottom <= 148
    assert crop.left == 0
    assert 69 <= crop.right <= 74


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize(("modality", "turned"), [(MAMMOGRAM, False), (TOMO, False), (TOMO, True)])
def test_a_lesion_is_where_its_box_says(plan_of, breast, side, turned, modality):
    shape, box = (640, 400), (60, 300, 100, 350)
    if side == "R":
        box = (300, 300, 340, 350)
    source = with_lesion(breast(shape, side=side), box)
    stored = source[::-1, ::-1] if turned else source
    frames = [stored] * (1 if modality is MAMMOGRAM else 3)
    plan, read = plan_of(frames, Laterality(side), modality)
    grid = plan.render(read[0])
    assert grid.shape == plan.grid_shape
    assert np.abs(np.array(bright_box(grid, 220)) - plan.boxes_to_grid([box])[0]).max() <= 1
    assert plan.boxes_to_source(plan.boxes_to_grid([box]))[0] == pytest.approx(box, abs=1e-3)


def test_nothing_found_keeps_everything(plan_of):
    plan, frames = plan_of([np.full((160, 100), 7)], LEFT, MAMMOGRAM)
    assert plan.source_shape == (160, 100)
    assert plan.grid_shape == (102, 64)
    assert "no breast found" in " ".join(plan.notes)
    assert not plan.render(frames[0]).any()


def test_a_small_image_is_not_enlarged_beyond_the_limit(plan_of, breast):
    big = PreprocessConfig(rows=512, columns=256, crop_air=False)
    assert plan_of([breast()] * 3, config=big)[0].grid_shape == (160, 100)
    twice = big.model_copy(update={"max_scale": 2.0})
    assert plan_of([breast()] * 3, config=twice)[0].grid_shape == (320, 200)


def test_json_makes_an_equal_plan(plan_of, breast):
    plan, _ = plan_of([breast(side="R")] * 3, LEFT, window=(9000, 2))
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    with pytest.raises(DatasetError, match="not the description"):
        Plan.from_json({"window": [0, 1]})


def test_render_refuses_another_shape(plan_of, breast):
    plan, _ = plan_of([breast()] * 3)
    with pytest.raises(ValueError, match="made for"):
        plan.render(breast((100, 160)))


def test_only_a_few_frames_are_decoded(breast):
    asked = []
    header = SimpleNamespace(
        path="x", num_frames=80, window=None, rescale=(1, 0), photometric="MONOCHROME2", bits_stored=10,
        require_volume=lambda: None, boxes_as_stored=False, directions=None, laterality_tag=None,
        padding=None,
    )  # fmt: skip

    def frame(index, reduce):
        asked.append((index, reduce))
        return breast()

    plan_image(SimpleNamespace(header=header, reductions=0, frame=frame), LEFT, TOMO, SMALL)
    assert sorted(asked) == [(0, 0), (20, 0), (40, 0), (60, 0)]


def test_pad_fills_below_and_right():
    padded = pad(np.ones((2, 3, 4), np.uint8), 5, 6)
    assert padded.shape == (2, 5, 6)
    assert padded[:, :3, :4].all()
    assert padded.sum() == 24
    with pytest.raises(ValueError, match="does not fit"):
        pad(np.ones((3, 4)), 2, 9)


STRETCHED = PreprocessConfig(
    rows=128, columns=128, fit="stretch", window="frame", crop_air=False, mirror=False
)


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("crop", [False, True])
def test_stretch_fills_the_grid_and_boxes_come_back(plan_of, breast, side, crop):
    """640 x 400 onto 128 x 128: rows shrink by 5 and columns by 3.125."""
    box = (60, 300, 100, 350) if side == "L" else (300, 300, 340, 350)
    config = STRETCHED.model_copy(update={"crop_air": crop})
    plan, read = plan_of(
        [with_lesion(breast((640, 400), side=side), box, 1023)] * 3, Laterality(side), config=config
    )
    assert plan.grid_shape == (128, 128)
    on_grid = plan.boxes_to_grid([box])[0]
    if not crop:
        assert on_grid == pytest.approx([box[0] / 3.125, 60, box[2] / 3.125, 70])
    assert np.abs(np.array(bright_box(plan.render(read[1]), 220)) - on_grid).max() <= 1
    assert plan.boxes_to_source([on_grid])[0] == pytest.approx(box, abs=1e-3)


def test_stretch_enlarges_whatever_the_limit_says(plan_of, breast):
    plan, _ = plan_of([breast()] * 3, config=STRETCHED.model_copy(update={"rows": 512, "max_scale": 1.0}))
    assert plan.grid_shape == (512, 128)


def test_every_frame_is_stretched_from_its_own_minimum_to_its_own_maximum(plan_of):
    ramp = np.linspace(1, 0, 128 * 128).reshape(128, 128)
    frames = [np.rint(low + ramp * (high - low)) for low, high in ((0, 1000), (200, 400), (7, 7), (10, 20))]
    plan, read = plan_of(frames, config=STRETCHED, window=(450, 500))
    assert plan.window_source == "frame"
    for index in (0, 1, 3):
        frame = read[index].astype(float)
        expected = (frame - frame.min()) / (frame.max() - frame.min()) * 255
        assert np.abs(plan.render(read[index]) - expected).max() <= 0.501
    assert not plan.render(read[2]).any()  # one grey alone is black
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_an_unknown_window_is_no_plan(plan_of, breast):
    content = plan_of([breast()] * 3)[0].to_json() | {"window_source": "guessed"}
    with pytest.raises(DatasetError, match="guessed"):
        Plan.from_json(content)
