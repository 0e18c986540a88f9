"""The breast is found whatever surrounds it: labels, frames, noisy film, inverted polarity."""

import cv2
import numpy as np
import pytest

from comoto.preprocessing.breast import find_breast
from comoto.records import Laterality

SHAPE = (640, 480)
BREAST = (64, 0, 576, 336)  # top, left, bottom, right of the drawn ellipse: half axes 0.4 and 0.7


def scene(side="L", air=0.0, noise=0.0, tissue=2000.0, reach=0.7):
    """Draw half an ellipse with a bright core and a darker, thinning rim."""
    rows, columns = SHAPE
    y, x = np.mgrid[:rows, :columns]
    radius = ((x + 0.5) / (reach * columns)) ** 2 + ((y + 0.5 - rows / 2) / (0.4 * rows)) ** 2
    thickness = np.sqrt(np.clip(1 - radius, 0, None))
    image = air + tissue * np.minimum(1, 0.25 + thickness) * (radius < 1)
    image += np.random.default_rng(0).normal(0, noise, SHAPE)
    image = np.clip(image, 0, 4095).astype(np.uint16)
    return image if side == "L" else image[:, ::-1]


def check(breast, expected, slack=14):
    """The bounds hold the breast wholly and add at most a margin."""
    top, left, bottom, right = breast.bounds()
    assert top <= expected[0]
    assert left <= expected[1]
    assert bottom >= expected[2]
    assert right >= expected[3]
    assert np.abs(np.array([top, left, bottom, right]) - expected).max() <= slack


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_digital_mammogram(side):
    breast = find_breast([scene(side)])
    check(breast, BREAST if side == "L" else (64, 480 - 336, 576, 480))
    assert breast.side() is Laterality(side)


def test_a_label_apart_from_the_breast_is_left_out():
    image = scene()
    image[20:60, 380:460] = 4095
    image[600:630, 400:470] = 3000
    check(find_breast([image]), BREAST)


def test_scanned_film_with_fog_noise_label_and_white_frame():
    image = scene(air=350, noise=40)
    image[30:90, 370:455] = 4000
    image[:6], image[-6:], image[:, -5:] = 4095, 4095, 4095
    breast = find_breast([image])
    check(breast, BREAST)
    assert breast.side() is Laterality.LEFT


def test_a_closed_frame_does_not_tie_the_label_to_the_breast():
    image = scene()
    image[:6], image[-6:], image[:, -5:], image[:, :5] = 4095, 4095, 4095, 4095
    image[6:60, 380:475] = 4000
    check(find_breast([image]), BREAST)


def test_blotchy_film_is_not_taken_for_breast():
    # Blotches of about 8 mm whose standard deviation, 70, is near 4 % of the contrast.
    blotches = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 1, SHAPE), (0, 0), 6)
    image = scene(air=500) + 70 * blotches / blotches.std()
    check(find_breast([image.astype(np.uint16)]), BREAST)


def test_film_whose_corners_all_hold_light_leaks_or_labels_keeps_its_faint_rim():
    # As on real film: light along both edges, 9 % of the contrast in every corner, labels beside it, black
    # film in between. Measured in the corners alone, the air's noise hid all but the bright core.
    columns = np.arange(SHAPE[1])
    leak = 600 * (np.exp(-columns / 15) + np.exp(-columns[::-1] / 15))
    image = np.clip(scene().astype(np.float64) + leak, 0, 4095).astype(np.uint16)
    image[8:30, 420:470], image[606:632, 420:470] = 3600, 3600
    breast = find_breast([image])
    drawn = scene() > 0
    assert (breast.on(SHAPE) & drawn).sum() > 0.95 * drawn.sum()
    top, left, bottom, right = breast.bounds()
    assert BREAST[3] <= right <= BREAST[3] + 14
    # The leak ties the whole height to the breast, which costs resolution only.
    assert (top, left, bottom) == (0, 0, SHAPE[0])
    assert breast.side() is Laterality.LEFT


def test_a_frame_does_not_turn_the_side():
    # White strips on the far edge would win a plain comparison of the outer columns.
    image = scene()
    image[:, -8:] = 4095
    assert image[:, 0].sum() < image[:, -1].sum()
    assert find_breast([image]).side() is Laterality.LEFT


def test_the_largest_extent_of_several_slices_counts():
    frames = [scene(reach=reach) for reach in (0.3, 0.7, 0.4)]
    check(find_breast(frames), BREAST)


def test_specks_and_flat_images_are_no_breast():
    assert not find_breast([np.zeros(SHAPE, np.uint16)]).found
    assert not find_breast([np.full(SHAPE, 900, np.uint16)]).found
    speck = np.zeros(SHAPE, np.uint16)
    speck[300:330, 200:230] = 3000
    breast = find_breast([speck])
    assert not breast.found
    assert breast.bounds() == (0, 0, *SHAPE)
    assert breast.side() is None
    assert breast.on((7, 5)).all()


def test_noise_alone_is_no_breast():
    noise = np.random.default_rng(1).normal(400, 60, SHAPE).clip(0, 4095).astype(np.uint16)
    assert not find_breast([noise]).found


def test_a_breast_that_fills_the_image_keeps_its_edges():
    image = np.full(SHAPE, 2000, np.uint16)
    image[:60, 380:] = 0
    assert find_breast([image]).bounds() == (0, 0, *SHAPE)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (20, 12), (64, 32)])
def test_tiny_images_do_not_crash(shape):
    image = np.zeros(shape, np.uint16)
    image[:, : max(1, shape[1] // 2)] = 1000
    top, left, bottom, right = find_breast([image]).bounds()
    assert 0 <= top < bottom <= shape[0]
    assert 0 <= left < right <= shape[1]


def test_the_mask_covers_the_breast():
    image = scene()
    mask = find_breast([image]).on(SHAPE)
    truth = image > 0
    # The border strips that are left out take 4 of the breast's 134 small columns.
    assert (mask & truth).sum() > 0.95 * truth.sum()
    assert (mask & ~truth).sum() < 0.02 * truth.sum()
