"""Augmentation: a painted lesion stays under its box, the chest wall stays at column 0."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comoto.config import AugmentConfig
from comoto.preprocessing.augment import Change, draw_change, moved_boxes
from comoto.preprocessing.uint8_batch import Uint8Batch

ROWS, COLUMNS, HEIGHT, WIDTH = 48, 32, 40, 28
SHAPE = (HEIGHT, WIDTH)


@st.composite
def lesions(draw):
    x1, y1 = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    return x1, y1, draw(st.integers(x1 + 1, WIDTH)), draw(st.integers(y1 + 1, HEIGHT))


changes = st.builds(
    Change,
    flip=st.booleans(),
    mirror=st.booleans(),
    down=st.integers(-12, 12),
    left=st.integers(0, 9),
    gain=st.floats(0.5, 1.5),
    gamma=st.floats(0.5, 1.5),
)


def placed(change, padded, shape):
    """Return a changed image as the network sees it; what lies in the padding is not looked at."""
    pixels = torch.zeros((1, 1, *padded.shape), dtype=torch.uint8)
    change.place(padded[: shape[0], : shape[1]], pixels[0, 0].numpy())
    return Uint8Batch(pixels, torch.from_numpy(change.lut())[None]).images()[0, 0].numpy()


def apply_change(change, padded, boxes, shape):
    return placed(change, padded, shape), moved_boxes(change, boxes, shape, padded.shape)


def step_by_step(change, padded, shape):
    """The same change, one operation after the other and in floating point: the way it was done at first."""
    height, width = shape
    rows, columns = padded.shape
    source = np.concatenate([padded[:height][::-1], padded[height:]]) if change.flip else padded
    moved = np.zeros_like(source)
    top, bottom = max(0, change.down), min(rows, rows + change.down)
    moved[top:bottom, : columns - change.left] = source[
        top - change.down : bottom - change.down, change.left :
    ]
    if change.mirror:
        moved[:, :width] = moved[:, :width][:, ::-1].copy()
    return change.lut()[moved]


@given(changes, st.integers(0, 2**32 - 1))
def test_one_pass_gives_the_bits_of_one_step_after_the_other(change, seed):
    image = np.zeros((ROWS, COLUMNS), np.uint8)
    image[:HEIGHT, :WIDTH] = np.random.default_rng(seed).integers(0, 256, SHAPE)
    assert np.array_equal(placed(change, image, SHAPE), step_by_step(change, image, SHAPE))


def test_large_images_are_looked_up_in_pairs_with_the_same_bits():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 1, 640, 480), dtype=np.uint8))
    lut = torch.rand((2, 256), generator=torch.Generator().manual_seed(0))
    images = Uint8Batch(pixels, lut).images()
    for number in (0, 1):
        assert torch.equal(images[number, 0], lut[number][pixels[number, 0].long()])


def painted(box):
    image = np.zeros((ROWS, COLUMNS), np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = 150
    return image


def bounding_box(image):
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@given(changes, lesions())
def test_image_and_box_move_together(change, box):
    image, boxes = apply_change(change, painted(box), [box], SHAPE)
    assert image.shape == (ROWS, COLUMNS)
    assert image.dtype == boxes.dtype == np.float32
    whole = (box[2] - box[0]) * (box[3] - box[1])
    left = np.count_nonzero(image)
    if left == 0 or left < 0.25 * whole:
        assert boxes.shape == (0, 4)
    else:
        assert boxes[0].tolist() == bounding_box(image)


@given(changes)
def test_no_air_opens_at_the_chest_wall(change):
    breast = np.zeros((ROWS, COLUMNS), np.uint8)
    breast[:HEIGHT, :WIDTH] = 120
    image = placed(change, breast, SHAPE)
    filled = image.any(axis=1)
    assert filled.any()
    assert image[filled, WIDTH - 1 if change.mirror else 0].all()


@given(changes)
def test_air_stays_air_and_values_stay_in_range(change):
    assert not placed(change, np.zeros((ROWS, COLUMNS), np.uint8), SHAPE).any()
    values = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS), dtype=np.uint8)
    image = placed(change, values, SHAPE)
    assert image.min() >= 0
    assert image.max() <= 1


def test_grey_values_by_hand():
    # 0.2 is 51 of 255: 1.5 x 0.2 ** 2 = 0.06; and 1.5 x 0.8 is cut at 1.
    image = np.full((1, 3), 51, np.uint8)
    assert placed(Change(gain=1.5, gamma=2), image, (1, 3)) == pytest.approx(np.full((1, 3), 0.06))
    assert placed(Change(gain=1.5), 4 * image, (1, 3)) == pytest.approx(np.ones((1, 3)))


def test_flip_and_shift_by_hand():
    # Padded to 5 rows, 4 of image; flip gives rows 3 2 1 0, one down, one column towards the chest wall.
    image = np.array([[1, 5], [2, 6], [3, 7], [4, 8], [0, 0]], dtype=np.uint8)
    moved = placed(Change(flip=True, down=1, left=1), image, (4, 2))
    assert moved == pytest.approx(np.array([[0, 0], [8, 0], [7, 0], [6, 0], [5, 0]]) / 255)
    boxes = Change(flip=True, down=1, left=1).boxes([[1, 0, 2, 3]], (4, 2))
    assert boxes.tolist() == [[0, 2, 1, 5]]


def test_mirror_by_hand():
    # 2 of 3 columns are image; one column towards the chest wall leaves 5 and 6, then the columns turn round.
    image = np.array([[1, 5, 0], [2, 6, 0]], dtype=np.uint8)
    change = Change(mirror=True, left=1)
    moved, boxes = apply_change(change, image, [[1, 0, 2, 1], [0, 0, 1, 2]], (2, 2))
    assert moved == pytest.approx(np.array([[0, 5, 0], [0, 6, 0]]) / 255)
    assert boxes.tolist() == [[1, 0, 2, 1]]  # the other box left the image with column 0
    assert apply_change(Change(mirror=True), image, [[0, 0, 1, 2]], (2, 2))[1].tolist() == [[1, 0, 2, 2]]


def test_columns_are_reversed_as_often_as_asked():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 1.0):
        drawn = [draw_change(AugmentConfig(horizontal_flip=share), (40, 30), rng) for _ in range(2000)]
        assert np.mean([change.mirror for change in drawn]) == pytest.approx(share, abs=0.03)


def test_nothing_drawn_changes_nothing():
    off = AugmentConfig(vertical_flip=0, shift=0, gain=0, gamma=0)
    assert draw_change(off, (40, 28), np.random.default_rng(3)) == Change()
    image = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    same, boxes = apply_change(Change(), image, [[1, 2, 3, 4]], SHAPE)
    assert same == pytest.approx(image / 255)
    assert boxes.tolist() == [[1, 2, 3, 4]]


def test_draws_fill_their_ranges():
    config = AugmentConfig(vertical_flip=0.25, shift=0.1, gain=0.2, gamma=0.3)
    rng = np.random.default_rng(0)
    drawn = [draw_change(config, (40, 30), rng) for _ in range(4000)]
    assert {change.down for change in drawn} == set(range(-4, 5))
    assert {change.left for change in drawn} == set(range(4))
    assert np.mean([change.flip for change in drawn]) == pytest.approx(0.25, abs=0.03)
    gains = [change.gain for change in drawn]
    assert (min(gains), max(gains)) == pytest.approx((1 / 1.2, 1.2), abs=0.005)
    assert np.mean(np.log(gains)) == pytest.approx(0, abs=0.01)
    gammas = [change.gamma for change in drawn]
    assert (min(gammas), max(gammas)) == pytest.approx((1 / 1.3, 1.3), abs=0.005)


def test_a_shift_that_opens_a_gap_is_refused():
    with pytest.raises(ValueError, match="gap"):
        Change(left=-1)
