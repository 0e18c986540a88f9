"""Weighted box fusion along the stack: clusters worked by hand."""

import numpy as np
import pytest

from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.inference.aggregate import aggregate

NOTHING = Detections.none("grid")


def on(*found: tuple[tuple[float, ...], float]) -> Detections:
    boxes = np.array([box for box, _ in found], dtype=np.float32)
    return Detections(boxes, [score for _, score in found], space="grid")


def fuse(slices: dict[int, Detections], num_slices: int = 20, **given: float | str) -> Detections:
    return aggregate(slices, num_slices, AggregationConfig(kind="box_fusion", **given))


def test_the_box_is_the_weighted_mean_and_the_score_the_mean_over_the_slices() -> None:
    # Weights 0.6 and 0.2: left edge (0.6 * 0 + 0.2 * 4) / 0.8 = 1. Score (0.6 + 0.2) / 4 slices looked at.
    slices = dict.fromkeys((2, 8), NOTHING) | {
        4: on(((0, 0, 20, 20), 0.6)),
        6: on(((4, 0, 24, 20), 0.2)),
    }
    found = fuse(slices)
    np.testing.assert_allclose(found.boxes_xyxy, [[1, 0, 21, 20]], atol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.2])
    # Squared scores 0.36 and 0.04: best slice 0.9 * 4 + 0.1 * 6, and 2 * sqrt(0.9 * 0.1) = 0.6 around it.
    assert found.best_slice.tolist() == pytest.approx([4.2])
    assert (found.first_slice.tolist(), found.num_spanned.tolist()) == ([3], [3])
    # Only the box of slice 4 reaches half of the best score.
    strong = fuse(slices, span="strong")
    assert (strong.first_slice.tolist(), strong.num_spanned.tolist()) == ([4], [1])


def test_a_second_box_of_a_slice_moves_the_box_and_adds_no_support() -> None:
    # The score takes the best box of each slice: (0.8 + 0.4) / 2; the box takes all three:
    # right edge (0.8 * 20 + 0.4 * 20 + 0.4 * 16) / 1.6 = 19.
    slices = {
        3: on(((0, 0, 20, 20), 0.8), ((0, 0, 16, 20), 0.4)),
        4: on(((0, 0, 20, 20), 0.4)),
    }
    found = fuse(slices)
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 19, 20]], atol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.6])
    assert found.depths is not None
    assert found.depths.profile.tolist() == [pytest.approx([0.8, 0.4])]
    assert found.best_slice.tolist() == pytest.approx([3.2])


def test_many_slices_beat_a_flash() -> None:
    flash, steady = (100, 0, 120, 20), (0, 0, 20, 20)
    slices = {k: on((steady, 0.4)) for k in range(5)} | {2: on((steady, 0.4), (flash, 0.9))}
    found = fuse(slices)
    np.testing.assert_allclose(found.boxes_xyxy, [steady, flash], atol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.4, 0.18])


def test_only_slices_within_reach_of_the_best_box_count() -> None:
    # 20 slices, share 0.1: reach 2. The peak at slice 1 sees the slices 0 to 3: 0.8 / 4.
    slices = dict.fromkeys(range(20), NOTHING) | {1: on(((0, 0, 20, 20), 0.8)), 9: on(((0, 0, 20, 20), 0.5))}
    found = fuse(slices, window_share=0.1)
    assert found.first_slice.tolist() == [1, 9]
    assert found.scores.tolist() == pytest.approx([0.8 / 4, 0.5 / 5])


def test_slices_at_the_border_are_not_looked_at() -> None:
    # Without the border slices 0, 1, 18 and 19 there are 16 slices.
    slices = dict.fromkeys(range(20), NOTHING) | {5: on(((0, 0, 20, 20), 0.8))}
    assert fuse(slices, border_slices=2).scores.tolist() == pytest.approx([0.8 / 16])


def test_a_box_joins_the_cluster_that_it_overlaps_most() -> None:
    # Overlaps of the third box: 12/28 = 0.43 with the first, 15/25 = 0.6 with the second, which scores less.
    slices = {
        1: on(((0, 0, 20, 10), 0.9)),
        2: on(((13, 0, 33, 10), 0.6)),
        3: on(((8, 0, 28, 10), 0.3)),
    }
    found = fuse(slices, iou=0.3)
    # 1/5 of the second's left edge comes from the third: (0.6 * 13 + 0.3 * 8) / 0.9.
    np.testing.assert_allclose(found.boxes_xyxy[0, 0], (0.6 * 13 + 0.3 * 8) / 0.9, rtol=1e-5)
    np.testing.assert_allclose(found.boxes_xyxy[1], (0, 0, 20, 10), atol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.9 / 3, 0.9 / 3])


def test_the_fused_box_moves_as_members_join() -> None:
    # The third box overlaps the first by 8/32 = 0.25, but the fused one (left edge 2.8) by 10.8/29.2.
    first, second, third = (0, 0, 20, 10), (7, 0, 27, 10), (12, 0, 32, 10)
    assert len(fuse({1: on((first, 0.9)), 3: on((third, 0.5))}, iou=0.3)) == 2
    assert len(fuse({1: on((first, 0.9)), 2: on((second, 0.6)), 3: on((third, 0.5))}, iou=0.3)) == 1


@pytest.mark.parametrize(("shift", "number"), [(16, 1), (17, 2)])
def test_without_a_limit_of_its_own_a_tenth_of_overlap_joins(shift: int, number: int) -> None:
    # 4/36 = 0.11 and 3/37 = 0.08.
    slices = {1: on(((0, 0, 20, 10), 0.9)), 2: on(((shift, 0, shift + 20, 10), 0.6))}
    assert len(fuse(slices)) == number


def test_boxes_without_an_area_are_left_out() -> None:
    slices = {1: on(((5, 5, 5, 5), 0.9)), 2: on(((5, 5, 5, 5), 0.6)), 3: on(((0, 0, 20, 20), 0.5))}
    assert fuse(slices).boxes_xyxy.tolist() == [[0, 0, 20, 20]]


def test_scores_of_zero_weigh_the_same() -> None:
    slices = {1: on(((0, 0, 20, 20), 0.0)), 2: on(((4, 0, 24, 20), 0.0))}
    found = fuse(slices, min_score=0.0)
    np.testing.assert_allclose(found.boxes_xyxy, [[2, 0, 22, 20]], atol=1e-5)
    assert found.scores.tolist() == [0.0]
