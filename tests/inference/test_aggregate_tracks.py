"""Tracks: threads worked by hand."""

import numpy as np
import pytest

from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.inference.aggregate import aggregate
from comoto.inference.aggregate.tracks import cut_at_valleys

NOTHING = Detections.none("grid")


def on(*found: tuple[tuple[float, ...], float]) -> Detections:
    boxes = np.array([box for box, _ in found], dtype=np.float32)
    return Detections(boxes, [score for _, score in found], space="grid")


def stack(num_slices: int, content: dict[int, Detections], step: int = 1) -> dict[int, Detections]:
    return dict.fromkeys(range(0, num_slices, step), NOTHING) | content


def follow(slices: dict[int, Detections], num_slices: int = 20, **given: float) -> Detections:
    """Follow tracks; strong spans show which boxes are their members."""
    return aggregate(slices, num_slices, AggregationConfig(kind="tracks", span="strong", **given))


def at(x: float, y: float = 0, side: float = 20) -> tuple[float, ...]:
    return (x, y, x + side, y + side)


def spans(found: Detections) -> list[tuple[int, int]]:
    return list(zip(found.first_slice.tolist(), found.num_spanned.tolist(), strict=True))


def test_a_track_is_described_by_its_members() -> None:
    # 20 slices looked at: the score is the sum of the five best by 5. Left edge (0.6*0 + 0.6*2 + 0.2*4)/1.4.
    content = {4: on((at(0), 0.6)), 5: on((at(2), 0.6)), 6: on((at(4), 0.2))}
    found = follow(stack(20, content))
    np.testing.assert_allclose(found.boxes_xyxy[0, [0, 1]], [2.0 / 1.4, 0], atol=1e-5)
    assert found.scores.tolist() == pytest.approx([1.4 / 5])
    assert spans(found) == [(4, 2)]


def test_only_the_best_quarter_of_the_slices_makes_the_score() -> None:
    # 8 slices: the two best of 0.5 0.9 0.8 0.7.
    content = {k + 2: on((at(0), score)) for k, score in enumerate((0.5, 0.9, 0.8, 0.7))}
    assert follow(stack(8, content), num_slices=8).scores.tolist() == pytest.approx([0.85])


@pytest.mark.parametrize(("second", "number"), [(6, 1), (7, 2)])
def test_a_gap_may_be_a_tenth_of_the_volume(second: int, number: int) -> None:
    # floor(0.1 * 20) = 2 slices on from slice 4.
    content = {4: on((at(0), 0.6)), second: on((at(0), 0.5))}
    assert len(follow(stack(20, content))) == number


@pytest.mark.parametrize(("second", "number"), [(8, 1), (12, 2)])
def test_the_next_slice_looked_at_is_always_near(second: int, number: int) -> None:
    # Every fourth slice is looked at, the gap of 2 slices would reach none of them.
    content = {4: on((at(0), 0.6)), second: on((at(0), 0.5))}
    assert len(follow(stack(20, content, step=4))) == number


def test_lesions_above_each_other_stay_two() -> None:
    content = {3: on((at(0), 0.8)), 4: on((at(0), 0.7)), 12: on((at(0), 0.9)), 13: on((at(0), 0.8))}
    assert spans(follow(stack(20, content))) == [(12, 2), (3, 2)]
    joined = aggregate(stack(20, content), 20, AggregationConfig(kind="nms_3d"))
    assert len(joined) == 1


def test_a_faint_thread_between_two_lesions_is_cut() -> None:
    # 0.1 is below a quarter of 0.8, the lower peak; it goes with its stronger neighbour 0.3.
    scores = (0.9, 0.3, 0.1, 0.25, 0.8)
    found = follow(stack(20, {5 + k: on((at(0), score)) for k, score in enumerate(scores)}))
    assert found.scores.tolist() == pytest.approx([1.3 / 5, 1.05 / 5])
    assert spans(found) == [(5, 1), (9, 1)]


def test_a_shallow_dip_is_no_cut() -> None:
    found = follow(stack(20, {5 + k: on((at(0), score)) for k, score in enumerate((0.9, 0.3, 0.8))}))
    assert spans(found) == [(5, 3)]


def test_cutting_is_the_same_from_below_and_from_above() -> None:
    # 0.1 lies 0.075 below a quarter of 0.7 and goes with 0.9; 0.01 lies 0.065 below a quarter of 0.3.
    scores = np.array([0.2, 0.9, 0.1, 0.15, 0.7, 0.02, 0.01, 0.3], dtype=np.float32)
    rows = np.arange(8)
    up = [piece.tolist() for piece in cut_at_valleys(rows, scores)]
    down = [piece.tolist()[::-1] for piece in cut_at_valleys(rows[::-1], scores[::-1])][::-1]
    assert up == down == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_a_thread_does_not_wander_to_another_place() -> None:
    # Every box overlaps the one before by 15/25 = 0.6, the eleventh lies 50 pixels from the first.
    content = {k: on((at(5 * k), 0.5)) for k in range(11)}
    found = follow(stack(20, content))
    assert len(found) > 1
    assert (found.boxes_xyxy[:, 2] - found.boxes_xyxy[:, 0] < 21).all()
    longest = max(spanned for _, spanned in spans(found))
    assert longest < 6


def test_two_lesions_side_by_side_keep_their_own_boxes() -> None:
    # They overlap by 8/32 = 0.25 here and by 0.33 on slice 6, where the right one leans over.
    left, right = at(0), at(12)
    content = {k: on((left, 0.9), (right, 0.6)) for k in (4, 5, 7)} | {6: on((at(10), 0.6), (left, 0.9))}
    found = follow(stack(20, content), iou=0.3)
    np.testing.assert_allclose(found.boxes_xyxy[:, 0], [0, 11.5], atol=1e-5)
    assert spans(found) == [(4, 4), (4, 4)]


def test_the_largest_overlap_is_linked_first() -> None:
    # The new box overlaps the thread at 6 by 16/24 and the one at 0 by 18/22: it goes on with the latter.
    content = {3: on((at(0), 0.5), (at(6), 0.9)), 4: on((at(2), 0.5))}
    found = follow(stack(20, content), iou=0.6)
    np.testing.assert_allclose(sorted(found.boxes_xyxy[:, 0].tolist()), [1, 6], atol=1e-5)


def test_a_weaker_track_at_the_same_place_and_slices_is_dropped() -> None:
    # Two threads that overlap by 14/26 = 0.54: linked apart, reported once.
    content = {k: on((at(0), 0.8), (at(6), 0.4)) for k in (5, 6, 7)}
    found = follow(stack(20, content))
    np.testing.assert_allclose(found.boxes_xyxy, [at(0)], atol=1e-5)
