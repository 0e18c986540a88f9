"""Every step: image and boxes move together, boxes come back, JSON makes an equal step."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.geometry import Chain, Crop, Mirror, Pad, Resize, Rotate180, chain_from_json, step_from_json

ROWS, COLUMNS = 40, 30


@st.composite
def steps(draw, shape):
    """Draw one step for images of ``shape``."""
    rows, columns = shape
    kind = draw(st.sampled_from(["rotate", "mirror", "crop", "grow", "pad"]))
    if kind == "rotate":
        return Rotate180(rows, columns)
    if kind == "mirror":
        return Mirror(rows, columns)
    if kind == "crop":
        top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        bottom, right = draw(st.integers(top + 1, rows)), draw(st.integers(left + 1, columns))
        return Crop(rows, columns, top, left, bottom, right)
    if kind == "grow":
        return Resize(rows, columns, draw(st.integers(1, 100)), draw(st.integers(1, 100)))
    return Pad(rows, columns, rows + draw(st.integers(0, 20)), columns + draw(st.integers(0, 20)))


@st.composite
def chains(draw):
    shape, drawn = (ROWS, COLUMNS), []
    for _ in range(draw(st.integers(0, 5))):
        drawn.append(draw(steps(shape)))
        shape = drawn[-1].out_shape
    return Chain((ROWS, COLUMNS), tuple(drawn))


@st.composite
def boxes_in(draw, rows, columns):
    x1, y1 = draw(st.integers(0, columns - 1)), draw(st.integers(0, rows - 1))
    return x1, y1, draw(st.integers(x1 + 1, columns)), draw(st.integers(y1 + 1, rows))


def painted(box, shape, value=200):
    image = np.zeros(shape, dtype=np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = value
    return image


def bounding_box(image):
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@given(chains(), st.lists(boxes_in(ROWS, COLUMNS), max_size=3))
def test_boxes_come_back(chain, boxes):
    array = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    assert chain.undo_boxes(chain.boxes(array)) == pytest.approx(array, abs=1e-6)


@given(boxes_in(ROWS, COLUMNS), st.sampled_from([Rotate180, Mirror]))
def test_turned_rectangle_is_where_its_box_is(box, kind):
    step = kind(ROWS, COLUMNS)
    assert bounding_box(step.image(painted(box, (ROWS, COLUMNS)))) == step.boxes([box])[0].tolist()


@given(boxes_in(ROWS, COLUMNS), boxes_in(ROWS, COLUMNS))
def test_cropped_rectangle_is_where_its_box_is(box, kept):
    left, top, right, bottom = kept
    step = Crop(ROWS, COLUMNS, top, left, bottom, right)
    image = step.image(painted(box, (ROWS, COLUMNS)))
    x1, y1, x2, y2 = step.boxes([box])[0]
    rows, columns = step.out_shape
    inside = [max(x1, 0), max(y1, 0), min(x2, columns), min(y2, rows)]
    if inside[0] < inside[2] and inside[1] < inside[3]:
        assert bounding_box(image) == inside
    else:
        assert not image.any()


@given(boxes_in(ROWS, COLUMNS))
def test_padding_moves_nothing(box):
    step = Pad(ROWS, COLUMNS, ROWS + 7, COLUMNS + 3)
    image = step.image(painted(box, (ROWS, COLUMNS)))
    assert image.shape == (ROWS + 7, COLUMNS + 3)
    assert bounding_box(image) == step.boxes([box])[0].tolist() == list(box)


@given(boxes_in(20, 16), st.integers(2, 5))
def test_shrinking_by_a_whole_factor_is_exact(box, factor):
    big = tuple(factor * side for side in box)
    step = Resize(20 * factor, 16 * factor, 20, 16)
    assert bounding_box(step.image(painted(big, (20 * factor, 16 * factor)))) == list(box)
    assert step.boxes([big])[0] == pytest.approx(box)


def covered(low, high, pixels):
    """Return how much of each pixel the interval covers."""
    left = np.arange(pixels)
    return np.clip(np.minimum(left + 1, high) - np.maximum(left, low), 0, None)


@settings(max_examples=200)
@given(boxes_in(97, 61), st.integers(20, 97), st.integers(20, 61))
def test_shrunk_rectangle_covers_pixels_as_its_box_does(box, rows, columns):
    step = Resize(97, 61, rows, columns)
    image = step.image(painted(box, (97, 61)).astype(np.float32) / 200)
    x1, y1, x2, y2 = step.boxes([box])[0]
    assert image == pytest.approx(np.outer(covered(y1, y2, rows), covered(x1, x2, columns)), abs=1e-4)


@given(boxes_in(20, 16), st.integers(2, 5))
def test_grown_rectangle_reaches_half_its_value_at_the_box(box, factor):
    step = Resize(20, 16, 20 * factor, 16 * factor)
    image = step.image(painted(box, (20, 16)))
    x1, y1, x2, y2 = (round(v) for v in step.boxes([box])[0])
    assert image[(y1 + y2) // 2, (x1 + x2) // 2] > 100
    bright = bounding_box(image > 100)
    assert np.abs(np.array(bright) - [x1, y1, x2, y2]).max() <= 1


@given(chains(), boxes_in(ROWS, COLUMNS))
def test_chain_is_its_steps_in_order(chain, box):
    image, boxes = painted(box, (ROWS, COLUMNS)), np.array([box], dtype=np.float64)
    for step in chain.steps:
        image, boxes = step.image(image), step.boxes(boxes)
    assert np.array_equal(chain.image(painted(box, (ROWS, COLUMNS))), image)
    assert chain.out_shape == image.shape
    assert np.array_equal(chain.boxes([box]), boxes)


@given(chains())
def test_json_makes_an_equal_chain(chain):
    text = json.dumps(chain.to_json())
    assert chain_from_json(json.loads(text)) == chain
    assert step_from_json(json.loads(text)) == chain


def test_mirror_by_hand():
    # An image of 10 columns: pixels 2 and 3 become pixels 6 and 7.
    step = Mirror(4, 10)
    assert step.boxes([[2, 1, 4, 3]]).tolist() == [[6, 1, 8, 3]]
    row = step.image(np.arange(40).reshape(4, 10))[0]
    assert row.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_rotation_by_hand():
    step = Rotate180(2457, 1890)
    assert step.boxes([[100, 200, 130, 250]]).tolist() == [[1760, 2207, 1790, 2257]]
    image = np.arange(6).reshape(2, 3)
    assert Rotate180(2, 3).image(image).tolist() == [[5, 4, 3], [2, 1, 0]]


def test_resize_by_hand_uses_each_axis_own_factor():
    # 2457 x 1890 into 512 x 256: the width decides, 256 / 1890; 2457 x 0.13545 = 332.8 -> 333 rows.
    step = Resize.to_fit((2457, 1890), (512, 256), 1.0)
    assert step.out_shape == (333, 256)
    assert step.boxes([[945, 1228.5, 1890, 2457]])[0] == pytest.approx([128, 166.5, 256, 333])


def test_resize_does_not_enlarge_beyond_its_limit():
    assert Resize.to_fit((100, 50), (512, 256), 1.0).out_shape == (100, 50)
    assert Resize.to_fit((100, 50), (512, 256), 2.0).out_shape == (200, 100)
    assert Resize.to_fit((100, 50), (512, 256), 9.0).out_shape == (512, 256)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_resize_keeps_the_aspect_ratio_up_to_rounding(rows, columns):
    step = Resize.to_fit((rows, columns), (512, 256), 1.0)
    scale = min(512 / rows, 256 / columns, 1.0)
    assert step.to_rows <= 512
    assert step.to_columns <= 256
    assert abs(step.to_rows - max(1, rows * scale)) <= 0.5
    assert abs(step.to_columns - max(1, columns * scale)) <= 0.5


def test_shrinking_averages_areas():
    image = np.array([[0, 100, 10, 10], [200, 100, 10, 10]], dtype=np.uint16)
    assert Resize(2, 4, 1, 2).image(image).tolist() == [[100, 10]]
    assert Resize(2, 4, 1, 2).image(image).dtype == np.uint16


def test_each_axis_is_resampled_in_its_own_way():
    # Rows shrink to the mean of pairs; 2 columns with centres 0.5 and 1.5 become 4, at 0.25, 0.75, 1.25 and
    # 1.75 of the old ones, linear in between.
    image = np.array([[0, 80], [40, 160]], dtype=np.float32)
    step = Resize(2, 2, 1, 4)
    assert step.image(image) == pytest.approx(np.array([[20, 45, 95, 120]]))
    assert step.boxes([[0, 0, 1, 2]]).tolist() == [[0, 0, 2, 1]]
    assert step.undo_boxes([[0, 0, 2, 1]]).tolist() == [[0, 0, 1, 2]]


@settings(max_examples=100)
@given(boxes_in(97, 20), st.integers(20, 97), st.integers(2, 5))
def test_a_rectangle_that_shrinks_along_one_axis_and_grows_along_the_other(box, rows, factor):
    step = Resize(97, 20, rows, 20 * factor)
    image = step.image(painted(box, (97, 20)).astype(np.float32) / 200)
    x1, y1, x2, y2 = step.boxes([box])[0]
    column = image[:, round((x1 + x2) / 2)]
    assert column / column.max() == pytest.approx(
        covered(y1, y2, rows) / covered(y1, y2, rows).max(), abs=1e-3
    )
    bright = np.flatnonzero(image.max(axis=0) > image.max() / 2)
    assert abs(bright[0] - x1) <= 1
    assert abs(bright[-1] + 1 - x2) <= 1


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Crop(10, 10, 5, 0, 5, 10), "empty"),
        (lambda: Crop(10, 10, 0, -1, 5, 10), "leaves"),
        (lambda: Crop(10, 10, 0, 0, 11, 10), "leaves"),
        (lambda: Resize(10, 10, 0, 5), "shorter"),
        (lambda: Pad(10, 10, 9, 10), "shrink"),
        (lambda: Chain((10, 10), (Mirror(10, 9),)), "follows"),
        (lambda: Mirror(10, 9).image(np.zeros((9, 10))), "made for"),
        (lambda: step_from_json({"step": "Shear"}), "unknown"),
        (lambda: step_from_json({"step": "Mirror", "rows": 3}), "Mirror"),
        (lambda: chain_from_json({"steps": []}), "in_shape"),
    ],
)
def test_what_cannot_be_is_refused(make, what):
    with pytest.raises(ValueError, match=what):
        make()
