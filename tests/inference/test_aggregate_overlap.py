"""The quick search for overlapping boxes gives what looking at every pair in full gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.config import AggregationConfig
from comoto.detections import Detections, Spans
from comoto.geometry.boxes import iou_matrix
from comoto.inference.aggregate import LookedAt
from comoto.inference.aggregate.local_maximum import LocalMaximum
from comoto.inference.aggregate.nms_3d import Nms3d
from comoto.inference.aggregate.overlap import Overlap

LIMITS = (0.0, 0.1, 0.5, 0.9, 1.0)


def stacked(number, num_slices, seed, side=60.0, crowd=0.5):
    """Boxes on whole and half pixels, some alike, some without area, scores with ties."""
    generator = np.random.default_rng(seed)
    low = np.round(generator.uniform(0, side, (number, 2)) * 2) / 2
    size = np.round(generator.exponential(12, (number, 2)) * 2) / 2
    boxes = np.hstack([low, low + size]).astype(np.float32)
    alike = generator.random(number) < crowd
    if number:
        boxes[alike] = boxes[generator.integers(0, max(number // 8, 1), alike.sum())]
    scores = np.round(generator.random(number), 2).astype(np.float32)
    slices = np.sort(generator.integers(0, num_slices, number))
    return Detections(boxes, scores, Spans(slices, np.ones(number, dtype=np.int64)), space="grid")


def plain_local_maximum(boxes, num_slices, config):
    reach = int(config.window_share * max(num_slices - 2 * config.border_slices, 0))
    inside = [
        row
        for row in range(len(boxes))
        if config.border_slices <= boxes.first_slice[row] < num_slices - config.border_slices
    ]
    overlap = iou_matrix(boxes.boxes_xyxy, boxes.boxes_xyxy)
    kept = []
    for row in inside:
        own = boxes.first_slice[row]
        window = [k for k in inside if own - reach <= boxes.first_slice[k] < own + max(reach, 1)]
        rivals = [boxes.scores[k] for k in window if k == row or overlap[row, k] > config.iou]
        fit = boxes.scores[row] >= config.min_score and boxes.have_area()[row]
        if len(window) == 1 or (boxes.scores[row] >= max(rivals) and fit):
            kept.append(row)
    return kept


def plain_nms_3d(boxes, num_slices, config):
    """Return (row, first slice, number of slices) of what stays."""
    reach = int(config.window_share * num_slices)
    overlap = iou_matrix(boxes.boxes_xyxy, boxes.boxes_xyxy)
    order = sorted(
        np.flatnonzero((boxes.scores >= config.min_score) & boxes.have_area()).tolist(),
        key=lambda row: -boxes.scores[row],
    )
    found = []
    while order:
        best, order = order[0], order[1:]
        gone = [
            k
            for k in order
            if overlap[best, k] > config.iou and abs(boxes.first_slice[k] - boxes.first_slice[best]) <= reach
        ]
        order = [k for k in order if k not in gone]
        strong = [boxes.first_slice[k] for k in [best, *gone] if boxes.scores[k] >= 0.5 * boxes.scores[best]]
        found.append((best, min(strong), max(strong) - min(strong) + 1))
    return found


@settings(max_examples=60)
@given(
    number=st.integers(0, 90),
    num_slices=st.integers(1, 30),
    seed=st.integers(0, 10_000),
    iou=st.sampled_from(LIMITS),
    window_share=st.sampled_from([0.02, 0.25, 1.0]),
    border=st.sampled_from([0, 2]),
)
def test_both_rules_keep_what_plain_loops_keep(number, num_slices, seed, iou, window_share, border):
    boxes = stacked(number, num_slices, seed)
    settings_ = {"iou": iou, "window_share": window_share, "min_score": 0.1}
    stack = LookedAt(num_slices, np.arange(num_slices))

    config = AggregationConfig(border_slices=border, **settings_)
    found = LocalMaximum(config)(boxes, stack)
    expected = boxes[plain_local_maximum(boxes, num_slices, config)].by_score()
    assert np.array_equal(found.boxes_xyxy, expected.boxes_xyxy)
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.first_slice, expected.first_slice)

    config = AggregationConfig(span="strong", **settings_)
    found = Nms3d(config)(boxes, stack)
    expected_rows = plain_nms_3d(boxes, num_slices, config)
    rows = np.asarray([row for row, *_ in expected_rows], dtype=np.int64)
    assert np.array_equal(found.boxes_xyxy, boxes.boxes_xyxy[rows])
    assert found.first_slice.tolist() == [first for _, first, _ in expected_rows]
    assert found.num_spanned.tolist() == [number for *_, number in expected_rows]


@pytest.mark.parametrize("iou", LIMITS)
def test_candidates_hold_every_overlapping_pair(iou):
    """Sizes from a pixel to the whole image, far from the origin; many more boxes than a portion."""
    generator = np.random.default_rng(3)
    low = generator.uniform(1000, 3000, (400, 2))
    size = np.exp(generator.uniform(0, 7, (400, 2)))
    boxes = np.hstack([low, low + size]).astype(np.float32)
    slices = generator.integers(0, 40, 400)
    overlap, rows = Overlap(boxes, iou), np.arange(400)
    some, others = rows[::2], rows[1::3]
    windows = slices - 6, slices + 5
    found = set()
    for one, other in overlap.near(some, others, slices, windows):
        good = overlap.pairs(one, other)
        found |= set(zip(one[good].tolist(), other[good].tolist(), strict=True))
    exact = iou_matrix(boxes[some], boxes[others]) > iou
    near = slices[others] - slices[some][:, None]
    expected = np.argwhere(exact & (near >= -6) & (near < 5))
    assert found == {(int(some[i]), int(others[k])) for i, k in expected}
    one, other = overlap.matrix(some, others)
    assert np.array_equal(np.stack([one, other], axis=1), np.argwhere(exact))


def test_an_overlap_of_exactly_the_limit_does_not_count():
    """Half of a box is 0.5 of the union, in float32 as in float64; a hair more counts."""
    boxes = np.array([[0, 0, 10, 10], [0, 0, 5, 10], [0, 0, 5.001, 10]], dtype=np.float32)
    rows = np.arange(3)
    one, other = Overlap(boxes, 0.5).matrix(rows[:1], rows[1:])
    assert other.tolist() == [1]
    assert one.tolist() == [0]


def test_many_boxes_in_one_place_leave_the_highest():
    number = 3000
    boxes = np.tile(np.array([[5, 5, 40, 60]], dtype=np.float32), (number, 1))
    scores = np.linspace(0.1, 0.9, number, dtype=np.float32)
    slices = np.repeat(np.arange(30), 100)
    stack = Detections(boxes, scores, Spans(slices, np.ones(number, dtype=np.int64)), space="grid")
    for rule in (LocalMaximum, Nms3d):
        found = rule(AggregationConfig(window_share=1.0))(stack, LookedAt(30, np.arange(30)))
        assert found.scores.tolist() == [scores[-1]]
