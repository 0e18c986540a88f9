import base64

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comoto.report.pictures import PictureBox, picture, region_around, region_with


def pixels_of(uri):
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_box_lies_where_its_pixels_are():
    image = np.zeros((200, 100), dtype=np.uint8)
    image[50:70, 20:60] = 255
    shown = picture(image, [PictureBox((20, 50, 60, 70), "hit", "1")], "a bright box")
    (box,) = shown.outlines
    # 200 rows are 400 units: everything is twice as large
    assert (shown.width, shown.height) == (200.0, 400.0)
    assert (box.x, box.y, box.width, box.height) == (40.0, 100.0, 80.0, 40.0)
    assert (box.label_x, box.label_y, box.label_anchor) == (40.0, 95.0, "start")
    decoded = pixels_of(shown.uri).astype(int)
    assert decoded.shape == (200, 100)
    assert np.abs(decoded - image).mean() < 4


def test_a_region_is_cut_out_and_boxes_move_with_it():
    image = np.arange(100, dtype=np.uint8).repeat(100).reshape(100, 100)
    marks = [PictureBox((30, 45, 50, 55), "lesion"), PictureBox((70, 70, 90, 90), "other")]
    shown = picture(image, marks, "a region", region=(20, 40, 60, 80))
    (box,) = shown.outlines  # the other one lies outside
    assert (box.x, box.y, box.width, box.height) == (100.0, 50.0, 200.0, 100.0)
    assert pixels_of(shown.uri)[0, 0] == pytest.approx(40, abs=3)


def test_a_box_at_the_border_is_cut_and_labelled_below():
    shown = picture(np.zeros((100, 100), np.uint8), [PictureBox((-10, -5, 20, 10), "hit", "1")], "a box")
    (box,) = shown.outlines
    assert (box.x, box.y, box.width, box.height) == (0.0, 0.0, 80.0, 40.0)
    assert (box.label_x, box.label_y, box.label_anchor) == (0.0, 56.0, "start")


def label_area(outline):
    """Where the letters are: 18 view units high, 10 wide each."""
    width = 10 * len(outline.label)
    left = outline.label_x - (width if outline.label_anchor == "end" else 0)
    return left, outline.label_y - 14, left + width, outline.label_y + 3


@given(
    st.lists(
        st.tuples(st.integers(0, 150), st.integers(0, 150), st.integers(5, 60), st.integers(5, 60)),
        min_size=2,
        max_size=4,
    )
)
def test_labels_never_stand_on_each_other(places):
    marks = [PictureBox((x, y, x + w, y + h), "other", f"{k}" * 3) for k, (x, y, w, h) in enumerate(places)]
    shown = picture(np.zeros((200, 200), np.uint8), marks, "boxes")
    areas = [label_area(outline) for outline in shown.outlines]
    for number, one in enumerate(areas):
        for other in areas[:number]:
            assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def test_two_boxes_at_one_place_have_their_labels_at_two_corners():
    marks = [PictureBox((50, 50, 90, 90), "other", "2"), PictureBox((50, 50, 90, 90), "hit", "1")]
    second, first = picture(np.zeros((200, 200), np.uint8), marks, "boxes").outlines
    assert (first.label_x, first.label_y, first.label_anchor) == (100.0, 95.0, "start")
    assert (second.label_x, second.label_y, second.label_anchor) == (180.0, 95.0, "end")


def test_large_pictures_are_reduced():
    shown = picture(np.zeros((1024, 512), np.uint8), [], "large", most_rows=256)
    assert pixels_of(shown.uri).shape == (256, 128)
    assert (shown.width, shown.height) == (200.0, 400.0)


def test_region_around_by_hand():
    # 2.5 x 40 = 100 around (100, 120)
    assert region_around((80, 110, 120, 130), (300, 200)) == (50.0, 70.0, 150.0, 170.0)
    # at the corner it is moved inside; a small box gets 22 % of 200
    assert region_around((0, 0, 4, 4), (300, 200)) == (0.0, 0.0, 44.0, 44.0)
    assert region_around((196, 290, 200, 300), (300, 200)) == (156.0, 256.0, 200.0, 300.0)


@given(
    st.tuples(*[st.floats(0, 190)] * 2, *[st.floats(1, 300)] * 2),
    st.tuples(st.integers(20, 300), st.integers(20, 300)),
)
def test_region_around_is_a_square_inside_the_image(start_and_size, shape):
    x, y, width, height = start_and_size
    x1, y1, x2, y2 = region_around((x, y, x + width, y + height), shape)
    assert 0 <= x1 < x2 <= shape[1]
    assert 0 <= y1 < y2 <= shape[0]
    assert x2 - x1 == y2 - y1


def test_region_with_holds_everything_inside_the_image():
    region = region_with((10, 20, 30, 40), [(5.5, 25.0, 12.0, 48.2), (90.0, 30.0, 130.0, 35.0)], (60, 100))
    assert region == (5.0, 20.0, 100.0, 49.0)
