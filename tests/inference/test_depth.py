"""Best slices and ranges of slices: profiles worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.config import AggregationConfig
from comoto.depth import Depths, Spans
from comoto.detections import Detections
from comoto.inference.aggregate import aggregate

KINDS = ("box_fusion", "nms_3d", "tracks", "local_maximum")
LESION, ELSEWHERE = (0, 0, 20, 20), (100, 0, 120, 20)


def spans(depths: Depths, last: int) -> list[tuple[int, int]]:
    found = depths.spans(0, last)
    return list(zip(found.first_slice.tolist(), found.num_spanned.tolist(), strict=True))


def test_a_symmetric_profile_has_its_best_slice_in_the_middle() -> None:
    # Squares 1 4 1 of 6: the spread is sqrt(2 / 6) = 0.58, so a slice on either side.
    depths = Depths.of([[0, 0.1, 0.2, 0.1, 0]], range(3, 8))
    assert depths.best_slice.tolist() == [5.0]
    assert depths.spread().tolist() == pytest.approx([0.577], abs=1e-3)
    assert spans(depths, 9) == [(4, 3)]


def test_a_best_slice_between_two_slices_has_an_even_range() -> None:
    # Spread 0.5 around 4.5: the two slices; around 4.5 of four equal slices it is 1.118: still two; of six
    # it is 1.71, which reaches a slice more on either side.
    assert spans(Depths.of([[0.3, 0.3]], [4, 5]), 9) == [(4, 2)]
    assert spans(Depths.of([[0.3] * 4], range(3, 7)), 9) == [(3, 4)]
    assert spans(Depths.of([[0.3] * 6], range(2, 8)), 9) == [(3, 4)]


def test_a_flat_profile_is_no_span_of_the_whole_stack() -> None:
    # A uniform distribution over n slices has a deviation of n / sqrt(12): a range of 58 % of the stack.
    depths = Depths.of(np.full((1, 21), 0.4), range(21))
    assert depths.best_slice.tolist() == pytest.approx([10.0])
    assert spans(depths, 20) == [(4, 13)]


def test_at_the_end_of_the_stack_the_range_stays_centred_and_inside() -> None:
    # Squares 64 16 4 1 of 85: best slice 27 / 85 = 0.32, rounded to 0.5: slices 0 and 1, not 0 to 2.
    first = Depths.of([[0.8, 0.4, 0.2, 0.1, 0, 0]], range(6))
    assert first.best_slice.tolist() == pytest.approx([27 / 85])
    assert spans(first, 5) == [(0, 2)]
    last = Depths.of([[0, 0, 0.1, 0.2, 0.4, 0.8]], range(6))
    assert last.best_slice.tolist() == pytest.approx([5 - 27 / 85])
    assert spans(last, 5) == [(4, 2)]


def test_two_peaks_give_a_wide_range_between_them() -> None:
    # Squares 9 and 4 of 13 at 2 and 15: best slice (18 + 60) / 13 = 6, spread 13 sqrt(36) / 13 = 6.
    profile = np.zeros((1, 20))
    profile[0, [2, 15]] = 0.9, 0.6
    depths = Depths.of(profile, range(20))
    assert depths.best_slice.tolist() == pytest.approx([6.0])
    assert depths.spread().tolist() == pytest.approx([6.0])
    assert spans(depths, 19) == [(0, 13)]


def test_one_slice_is_one_slice() -> None:
    assert spans(Depths.of([[0, 0, 0.01, 0]], [0, 2, 4, 6]), 7) == [(4, 1)]
    assert spans(Depths.of([[0.5]], [0]), 0) == [(0, 1)]


def test_every_other_slice_is_measured_in_slices() -> None:
    # Squares 1 4 1 of 6 at 3, 5 and 7: the spread is 2 sqrt(2 / 6) = 1.15.
    depths = Depths.of([[0, 0.1, 0.2, 0.1, 0]], range(1, 10, 2))
    assert depths.best_slice.tolist() == [5.0]
    assert spans(depths, 9) == [(4, 3)]


@settings(max_examples=100)
@given(
    scores=st.lists(st.integers(0, 1000).map(lambda k: k / 1000), min_size=1, max_size=30),
    step=st.integers(1, 3),
    begin=st.integers(0, 2),
    after=st.integers(0, 2),
)
def test_a_range_lies_in_the_stack_around_its_best_slice(
    scores: list[float], step: int, begin: int, after: int
) -> None:
    looked_at = begin + step * np.arange(len(scores))
    last = int(looked_at[-1]) + after
    depths = Depths.of([scores], looked_at)
    best = depths.best_slice[0]
    assert looked_at[0] - 1e-9 <= best <= looked_at[-1] + 1e-9
    ((first, number),) = spans(depths, last)
    assert 0 <= first <= best + 0.25
    assert best - 0.25 <= first + number - 1 <= last
    assert abs(first + (number - 1) / 2 - best) <= 0.25
    assert (number - 1) / 2 <= depths.spread()[0] + 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_gives_the_profile_of_what_supports_a_detection(kind: str) -> None:
    scores = {4: 0.2, 5: 0.4, 6: 0.2}
    slices = {k: Detections([LESION], [score], space="grid") for k, score in scores.items()}
    slices[9] = Detections([ELSEWHERE], [0.3], space="grid")
    slices[2] = Detections.none("grid")
    found = aggregate(slices, 12, AggregationConfig(kind=kind))
    lesion = found[found.boxes_xyxy[:, 0] < 50]
    assert lesion.depths is not None
    assert lesion.depths.looked_at.tolist() == [2, 4, 5, 6, 9]
    np.testing.assert_allclose(lesion.depths.profile, [[0, 0.2, 0.4, 0.2, 0]])
    assert lesion.best_slice.tolist() == [5.0]
    other = found[found.boxes_xyxy[:, 0] > 50]
    assert other.best_slice.tolist() == [9.0]


def test_the_published_rule_reports_its_own_slice() -> None:
    # 20 slices: the window is 5. Slice 14 is an echo beyond it, and both are of one lesion.
    scores = {4: 0.5, 5: 0.6, 6: 0.1, 14: 0.2}
    slices = {k: Detections([LESION], [score], space="grid") for k, score in scores.items()}
    found = aggregate(slices, 20, AggregationConfig(kind="local_maximum"))
    assert (found.first_slice.tolist(), found.num_spanned.tolist()) == ([5, 14], [0, 0])
    best = (4 * 25 + 5 * 36 + 6 + 14 * 4) / 66
    assert found.best_slice.tolist() == pytest.approx([best, best])


def test_scores_of_nothing_count_alike() -> None:
    assert Depths.of([[0, 0, 0]], [1, 2, 6]).best_slice.tolist() == pytest.approx([3.0])


def test_the_middle_of_spans() -> None:
    assert Spans.checked(([4, 4, 7], [3, 2, 0]), 3).middle().tolist() == [5.0, 4.5, 7.0]


@pytest.mark.parametrize(
    ("best", "profile", "looked_at", "reason"),
    [
        ([1.0], [[0.5]], [1, 2], r"profiles \(1, 1\) and slices looked at \(2,\) do not fit"),
        ([1.0, 2.0], [[0.5]], [1], "do not fit"),
        ([np.nan], [[0.5]], [1], "negative or not finite"),
        ([1.0], [[-0.5]], [1], "negative or not finite"),
        ([1.0], [[0.5, 0.5]], [2, 2], "do not rise"),
    ],
)
def test_what_cannot_be_is_refused(best: object, profile: object, looked_at: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Depths(best, profile, looked_at)  # type: ignore[arg-type]
