"""What every aggregation rule in the table promises."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comoto import components
from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.inference.aggregate import Aggregator, aggregate
from comoto.inference.aggregate.members import LEAST_SCORE

KINDS = sorted(components.AGGREGATORS)
NUM_SLICES = 24
PLACES = (20, 120, 220)
"""Columns of places so far apart that no box of one overlaps a box of another."""


def rule(kind: str) -> type[Aggregator]:
    found: type[Aggregator] = components.resolve("aggregator", kind)
    return found


def detections(*found: tuple[tuple[float, float, float, float], float]) -> Detections:
    return Detections(
        np.array([box for box, _ in found], dtype=np.float32).reshape(-1, 4),
        np.array([score for _, score in found], dtype=np.float32),
        space="grid",
    )


def lesion(x: float = 40, y: float = 60, shift: float = 0) -> tuple[float, float, float, float]:
    return (x + shift, y + shift, x + 20 + shift, y + 24 + shift)


def run(kind: str, slices: dict[int, Detections], **given: float | str) -> Detections:
    return aggregate(slices, NUM_SLICES, AggregationConfig(kind=kind, **given))


boxes = st.tuples(
    st.sampled_from(PLACES), st.integers(0, 12), st.integers(0, 12), st.integers(4, 30), st.integers(4, 30)
).map(lambda b: (b[0] + b[1], 30 + b[2], b[0] + b[1] + b[3], 30 + b[2] + b[4]))
stacks = st.dictionaries(
    st.integers(0, NUM_SLICES - 1),
    st.lists(st.tuples(boxes, st.integers(0, 64).map(lambda k: k / 64)), max_size=5).map(
        lambda found: detections(*found)
    ),
    max_size=14,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(slices=stacks, border=st.sampled_from([0, 3]))
def test_scores_places_and_spans_are_possible(kind: str, slices: dict[int, Detections], border: int) -> None:
    found = run(kind, slices, border_slices=border)
    assert (found.boxes_xyxy.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert (found.first_slice.dtype, found.num_spanned.dtype) == (np.int64, np.int64)
    assert found.boxes_xyxy.shape == (len(found), 4)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (np.diff(found.scores) <= 0).all()
    assert (found.first_slice >= border).all()
    assert (found.first_slice + np.maximum(found.num_spanned, 1) <= NUM_SLICES - border).all()
    assert ((found.num_spanned > 0) == rule(kind).reports_depth).all()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(slices=stacks, border=st.sampled_from([0, 3]))
@example(slices={0: detections(((20, 30, 24, 34), 0)), 1: detections(((20, 30, 24, 34), 1 / 64))}, border=0)
def test_the_best_slice_is_the_middle_of_the_range_and_comes_from_the_profile(
    kind: str, slices: dict[int, Detections], border: int
) -> None:
    found = run(kind, slices, border_slices=border)
    if not len(found):
        return
    assert found.depths is not None
    looked_at, profile = found.depths.looked_at, found.depths.profile
    assert looked_at.tolist() == [k for k in sorted(slices) if border <= k < NUM_SLICES - border]
    best = {k: one.scores.max() for k, one in slices.items() if len(one)}
    for row in range(len(found)):
        seen = looked_at[profile[row] > 0]
        assert seen[0] <= found.best_slice[row] + 1e-9
        assert found.best_slice[row] <= seen[-1] + 1e-9
        for k, score in zip(looked_at, profile[row], strict=True):
            assert score == 0 or score <= max(best[k], np.float32(LEAST_SCORE))
    if rule(kind).reports_depth:
        middle = found.first_slice + (found.num_spanned - 1) / 2
        assert np.abs(middle - found.best_slice).max() <= 0.25


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(slices=stacks)
def test_a_box_lies_inside_the_hull_of_the_boxes_of_its_place(
    kind: str, slices: dict[int, Detections]
) -> None:
    everything = np.concatenate([one.boxes_xyxy for one in slices.values()] or [np.zeros((0, 4))])
    for box in run(kind, slices).boxes_xyxy:
        own = everything[np.abs(everything[:, 0] - box[0]) < 50]
        assert (box >= own.min(axis=0) - 1e-3).all()
        assert (box <= own.max(axis=0) + 1e-3).all()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(slices=stacks, order=st.randoms())
def test_the_order_of_the_slices_does_not_matter(
    kind: str, slices: dict[int, Detections], order: object
) -> None:
    shuffled = list(slices.items())
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = run(kind, slices), run(kind, dict(shuffled))
    for name in ("boxes_xyxy", "scores", "first_slice", "num_spanned"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_nothing_out(kind: str) -> None:
    for slices in ({}, {3: detections()}):
        found = run(kind, slices)
        assert len(found) == 0
        assert found.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_only_boxes_below_the_least_score_or_at_the_border_give_nothing(kind: str) -> None:
    faint = {4: detections((lesion(), 0.1)), 5: detections((lesion(), 0.2), (lesion(200), 0.1))}
    assert len(run(kind, faint, min_score=0.3)) == 0
    assert len(run(kind, {1: detections((lesion(), 0.9))}, border_slices=2)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_one_box_stays_where_it_is(kind: str) -> None:
    found = run(kind, {7: detections((lesion(), 0.5))})
    np.testing.assert_allclose(found.boxes_xyxy, [lesion()], rtol=1e-6)
    assert found.first_slice.tolist() == [7]
    assert found.num_spanned.tolist() == [1 if rule(kind).reports_depth else 0]
    assert found.scores.tolist() == [0.5]


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_one_clean_lesion_is_one_detection_that_covers_it(kind: str, step: int) -> None:
    # Seven slices looked at, sharpest in the middle, a pixel of jitter, and slices without anything around.
    scores = [0.45, 0.55, 0.65, 0.8, 0.75, 0.6, 0.5]
    middle = range(6, 6 + 7 * step, step)
    slices = {k: detections() for k in range(0, NUM_SLICES, step)}
    slices |= {
        k: detections((lesion(shift=i % 2), score))
        for i, (k, score) in enumerate(zip(middle, scores, strict=True))
    }
    found = run(kind, slices)
    assert len(found) == 1
    if rule(kind).reports_depth:
        strong = run(kind, slices, span="strong")
        assert (strong.first_slice[0], strong.num_spanned[0]) == (6, 6 * step + 1)
        # Squared scores of slices 0 to 6: 8.6175 / 2.74 = 3.145, and 1.81 around it.
        assert found.best_slice[0] == pytest.approx(6 + 3.145 * step, abs=0.01)
        assert (found.first_slice[0], found.num_spanned[0]) == {1: (7, 5), 2: (9, 8)}[step]
    else:
        assert found.first_slice[0] == 6 + 3 * step
    assert np.abs(found.boxes_xyxy[0] - lesion()).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_two_lesions_apart_in_the_plane_stay_two(kind: str) -> None:
    strong, weak = [0.5, 0.7, 0.9, 0.8, 0.6], [0.3, 0.4, 0.5, 0.45, 0.35]
    slices = {
        8 + k: detections((lesion(), strong[k]), (lesion(x=66, y=60), weak[k])) for k in range(len(strong))
    }
    found = run(kind, slices)
    assert len(found) == 2
    np.testing.assert_allclose(found.boxes_xyxy, [lesion(), lesion(x=66, y=60)], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_overlap_and_reach_of_the_configuration_are_obeyed(kind: str) -> None:
    # Boxes shifted by half their width overlap by 1/3; slices 6 apart are a quarter of the volume apart.
    half = {10: detections((lesion(), 0.9)), 11: detections((lesion(x=50), 0.5))}
    assert len(run(kind, half, iou=0.2)) == 1
    assert len(run(kind, half, iou=0.5)) == 2
    apart = {k: detections() for k in range(NUM_SLICES)} | {
        4: detections((lesion(), 0.9)),
        9: detections((lesion(), 0.5)),
    }
    assert len(run(kind, apart, window_share=0.25)) == 1
    assert len(run(kind, apart, window_share=0.125)) == 2
