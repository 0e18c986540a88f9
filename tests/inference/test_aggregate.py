"""The aggregation rules against a literal reading of their definition, and hand-worked stacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.errors import ConfigError
from comoto.inference.aggregate import aggregate

PUBLISHED = AggregationConfig(kind="local_maximum")
SQUARES = [(0, 0, 10, 10), (2, 2, 12, 12), (1, 0, 11, 10), (40, 40, 50, 52), (42, 40, 52, 52), (5, 5, 5, 9)]
"""The last one has no area."""


def stack(content: dict[int, list[tuple[int, float]]]) -> dict[int, Detections]:
    """Slice -> [(index of a square, score)]."""
    return {
        k: Detections(
            np.array([SQUARES[square] for square, _ in found], dtype=np.float32).reshape(-1, 4),
            np.array([score for _, score in found], dtype=np.float32),
            space="grid",
        )
        for k, found in content.items()
    }


def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    union = area[0] + area[1] - inter
    return inter / union if union else 0.0


def published_rule(
    content: dict[int, list[tuple[int, float]]], n: int, border: int
) -> set[tuple[int, int, float]]:
    """The rule word by word, with loops: (slice, square, score) of what stays."""
    used = [content.get(k, []) for k in range(border, n - border)]
    m = len(used)
    d = int(m * 0.25)
    kept = set()
    for i, boxes in enumerate(used):
        window = [box for j in range(max(0, i - d), min(m, max(i + d, i + 1))) for box in used[j]]
        for square, score in boxes:
            # of equal boxes the own one is among the rivals, unless it has no area
            rivals = [s for q, s in window if iou(SQUARES[q], SQUARES[square]) > 0.5]
            if len(window) == 1 or (rivals and score >= max(rivals) and score >= 0.001):
                kept.add((i + border, square, score))
    return {one for one in kept if one[2] >= 0.001}  # holds for every rule


slices = st.dictionaries(
    st.integers(0, 19),
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([0.0, 0.00048828125, 0.25, 0.5, 0.75])),
        max_size=3,
        unique=True,
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(content=slices, border=st.sampled_from([0, 4]), n=st.sampled_from([20, 23, 47]))
def test_local_maximum_is_the_published_rule(
    content: dict[int, list[tuple[int, float]]], border: int, n: int
) -> None:
    found = aggregate(stack(content), n, AggregationConfig(kind="local_maximum", border_slices=border))
    got = {
        (int(k), SQUARES.index(tuple(int(v) for v in box)), float(score))
        for k, box, score in zip(found.first_slice, found.boxes_xyxy, found.scores, strict=True)
    }
    assert got == published_rule(content, n, border)
    assert (found.num_spanned == 0).all()
    assert (np.diff(found.scores) <= 0).all()


PAPER = AggregationConfig(kind="local_maximum", border_slices=4)
"""The published rule with the border of the published code."""


def kept(content: dict[int, list[tuple[int, float]]], n: int) -> list[tuple[int, float]]:
    """(slice, score) of what the published rule leaves of ``n`` slices, in slice order."""
    found = aggregate(stack(content), n, PAPER)
    return sorted(zip(found.first_slice.tolist(), found.scores.tolist(), strict=True))


def test_the_published_code_looks_at_slices_4_to_n_minus_5() -> None:
    everywhere: dict[int, list[tuple[int, float]]] = {k: [(0, 0.5)] for k in range(20)}
    assert kept(everywhere, 20) == [(k, 0.5) for k in range(4, 16)]
    assert kept({k: [(0, 0.5)] for k in range(8)}, 8) == []


@pytest.mark.parametrize(("n", "reach"), [(20, 3), (23, 3), (24, 4), (47, 9), (48, 10)])
def test_the_published_reach_is_a_quarter_of_the_slices_that_are_left(n: int, reach: int) -> None:
    # d = floor((n - 8) / 4): a higher box d slices below is a rival, one d + 1 below is not.
    low = n - 5
    assert kept({low - reach: [(0, 0.75)], low: [(0, 0.5)]}, n) == [(low - reach, 0.75)]
    assert kept({low - reach - 1: [(0, 0.75)], low: [(0, 0.5)]}, n) == [(low - reach - 1, 0.75), (low, 0.5)]


def test_equal_scores_all_survive_the_published_rule() -> None:
    assert kept({9: [(0, 0.5)], 10: [(0, 0.5), (1, 0.5)], 11: [(2, 0.5)]}, 20) == [
        (9, 0.5),
        (10, 0.5),
        (10, 0.5),
        (11, 0.5),
    ]


def test_a_box_without_an_area_stays_in_the_published_rule_only_where_it_is_alone() -> None:
    flat = 5
    assert kept({9: [(flat, 0.5)]}, 20) == [(9, 0.5)]
    assert kept({9: [(flat, 0.5), (3, 0.25)]}, 20) == [(9, 0.25)]


@pytest.mark.parametrize("kind", ["nms_3d", "box_fusion", "tracks"])
def test_a_box_without_an_area_is_no_detection(kind: str) -> None:
    found = aggregate(stack({9: [(5, 0.5), (3, 0.25)]}), 20, AggregationConfig(kind=kind, min_score=0.0))
    assert found.boxes_xyxy.tolist() == [list(SQUARES[3])]


@pytest.mark.parametrize("kind", ["local_maximum", "nms_3d", "box_fusion", "tracks"])
def test_no_rule_returns_a_score_below_the_least(kind: str) -> None:
    """One flash of 0.8 on 20 slices: its mean over the stack is 0.04. Or a box of 0.1 alone in its window."""
    config = AggregationConfig(kind=kind, min_score=0.2)
    looked_at = {k: [] for k in range(20)}
    flash = aggregate(stack(looked_at | {9: [(0, 0.8)]}), 20, config)
    assert flash.scores.tolist() == pytest.approx([0.8] if kind in ("local_maximum", "nms_3d") else [])
    assert len(aggregate(stack(looked_at | {9: [(0, 0.1)]}), 20, config)) == 0


def test_the_published_window_is_asymmetric() -> None:
    # 20 slices, d = 5: slice 10 sees slices 5 to 14. A rival at 15 is not seen, one at 5 is.
    later = aggregate(stack({10: [(0, 0.5)], 15: [(0, 0.9)]}), 20, PUBLISHED)
    assert later.first_slice.tolist() == [15, 10]
    earlier = aggregate(stack({10: [(0, 0.5)], 5: [(0, 0.9)]}), 20, PUBLISHED)
    assert earlier.first_slice.tolist() == [5]


def test_a_suppressed_box_still_suppresses_in_the_published_rule() -> None:
    # 0.9 at slice 0 removes 0.6 at slice 4 (within 5), which still removes 0.5 at slice 8
    found = aggregate(stack({0: [(0, 0.9)], 4: [(0, 0.6)], 8: [(0, 0.5)]}), 20, PUBLISHED)
    assert found.first_slice.tolist() == [0]
    config = AggregationConfig(kind="nms_3d", window_share=0.25)
    greedy = aggregate(stack({0: [(0, 0.9)], 4: [(0, 0.6)], 8: [(0, 0.5)]}), 20, config)
    assert greedy.first_slice.tolist() == [0, 8]


def test_strong_spans_are_what_nms_3d_absorbed_above_half_its_score() -> None:
    content = {3: [(0, 0.2)], 4: [(1, 0.5)], 5: [(0, 0.8), (3, 0.3)], 6: [(2, 0.6)]}
    found = aggregate(stack(content), 20, AggregationConfig(kind="nms_3d", iou=0.4, span="strong"))
    assert found.scores.tolist() == pytest.approx([0.8, 0.3])
    assert found.first_slice.tolist() == [4, 5]
    assert found.num_spanned.tolist() == [3, 1]


def test_nothing_found_gives_empty_arrays() -> None:
    for content in ({}, {3: []}):
        found = aggregate(stack(content), 20, PUBLISHED)
        assert found.boxes_xyxy.shape == (0, 4)
        assert len(found) == 0


def test_an_unknown_rule_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'nms_3d'"):
        aggregate({}, 3, AggregationConfig(kind="nms3d"))
