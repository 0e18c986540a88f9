"""Box arithmetic against values worked by hand and against counting pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comoto.geometry import area, centers, clip_boxes, iou_matrix, iou_pairs, visible_boxes

SIDE = 24


@st.composite
def pixel_boxes(draw, max_size=5):
    boxes = []
    for _ in range(draw(st.integers(0, max_size))):
        x1, y1 = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
        boxes.append((x1, y1, draw(st.integers(x1 + 1, SIDE)), draw(st.integers(y1 + 1, SIDE))))
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def painted(box):
    image = np.zeros((SIDE, SIDE), dtype=bool)
    x1, y1, x2, y2 = (int(v) for v in box)
    image[y1:y2, x1:x2] = True
    return image


def test_area_and_centers_by_hand():
    boxes = [[0, 0, 2, 3], [1.5, 1, 2, 2], [5, 5, 4, 9]]
    assert area(boxes).tolist() == [6, 0.5, 0]
    assert centers(boxes).tolist() == [[1, 1.5], [1.75, 1.5], [4.5, 7]]


def test_iou_by_hand():
    # 10x10 against itself, shifted by half (50 / 150), touching only, inside (25 / 100), apart.
    first = [[0, 0, 10, 10]]
    second = [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 5, 5], [30, 30, 40, 40]]
    assert iou_matrix(first, second) == pytest.approx(np.array([[1, 1 / 3, 0, 0.25, 0]]))


def test_boxes_without_area_overlap_nothing():
    assert iou_matrix([[3, 3, 3, 3]], [[3, 3, 3, 3], [0, 0, 9, 9]]).tolist() == [[0, 0]]
    assert iou_pairs([[3, 3, 3, 3]] * 2, [[3, 3, 3, 3], [0, 0, 9, 9]]).tolist() == [0, 0]


def test_empty_lists_keep_their_axes():
    assert iou_matrix([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert area([]).shape == (0,)
    assert clip_boxes(np.zeros((0, 4), np.float32), (5, 5)).shape == (0, 4)


@given(pixel_boxes(), pixel_boxes())
def test_iou_equals_counted_pixels(first, second):
    counted = np.zeros((len(first), len(second)))
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            a, b = painted(one), painted(other)
            counted[i, j] = (a & b).sum() / (a | b).sum()
    assert iou_matrix(first, second) == pytest.approx(counted)
    row, column = np.indices(counted.shape).reshape(2, -1)
    assert iou_pairs(first[row], second[column]) == pytest.approx(counted.ravel())


def test_clip_by_hand_and_leaves_its_input_alone():
    boxes = np.array([[-5.0, -5, 5, 5], [8, 2, 30, 4], [40, 40, 50, 50]])
    kept = boxes.copy()
    assert clip_boxes(boxes, (10, 20)).tolist() == [[0, 0, 5, 5], [8, 2, 20, 4], [20, 10, 20, 10]]
    assert np.array_equal(boxes, kept)


def test_visible_boxes_drops_below_a_quarter():
    # 8x8 boxes hanging over the left edge: 2 of 8 columns left is exactly a quarter, 1 of 8 is less.
    boxes = [[-6, 0, 2, 8], [-7, 0, 1, 8], [-8, 0, 0, 8]]
    left, which = visible_boxes(boxes, (20, 20))
    assert which.tolist() == [True, False, False]
    assert left.tolist() == [[0, 0, 2, 8]]


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        area([[1, 2, 3]])
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        area([1, 2, 3, 4])
