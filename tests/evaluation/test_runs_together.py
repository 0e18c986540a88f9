"""Bands and size groups of many runs, worked by hand."""

import numpy as np
import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume

from comoto.evaluation.challenge import evaluate
from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.evaluation.hierarchical import hierarchical_interval
from comoto.evaluation.runs import LesionSizes, froc_over_runs, sensitivity_by_size

ONE, TWO, THREE, FOUR = (volume(k) for k in (1, 2, 3, 4))
TABLES = labels(ONE, TWO, THREE, FOUR), boxes(box(ONE), box(TWO), box(THREE), box(FOUR))
TRUTH = read_truth(*TABLES)
SIZES = np.array([10.0, 20.0, 30.0, 40.0])
FPS = np.array([1.0, 2.0, 3.0, 4.0])


def sized(edges):
    return LesionSizes(SIZES, np.array(edges, dtype=float))


def run(*rows):
    return read_predictions(predictions(*rows), TRUTH)


ALL = run(*(prediction(where, 0.9) for where in (ONE, TWO, THREE, FOUR)))
LARGE = run(prediction(THREE, 0.9), prediction(FOUR, 0.9))
NONE = run()


def test_mean_lowest_and_highest_of_the_runs():
    result = froc_over_runs([[ALL, LARGE], [NONE]], TRUTH, FPS)
    assert result.sensitivity.tolist() == [[1.0] * 4, [0.5] * 4, [0.0] * 4]
    assert (result.mean.tolist(), result.lowest.tolist(), result.highest.tolist()) == (
        [0.5] * 4,
        [0.0] * 4,
        [1.0] * 4,
    )
    assert result.band is None


def test_the_curve_of_one_run_is_the_challenges():
    table = predictions(prediction(ONE, 0.9), *[false_positive(TWO, 0.8)] * 7, prediction(TWO, 0.3))
    expected = evaluate(table, *TABLES).froc_positive
    result = froc_over_runs([[read_predictions(table, TRUTH)]], TRUTH)
    np.testing.assert_allclose(result.mean, expected.sensitivity_at(result.fps_per_image))


def test_the_mean_of_the_band_agrees_with_the_interval_of_the_variant():
    # At 1 to 4 FP per volume all curves are flat, so band and interval of the mean sensitivity are the same.
    variant = [[ALL, LARGE], [LARGE, NONE]]
    band = froc_over_runs(variant, TRUTH, FPS, bootstrap=200, seed=3).band
    interval = hierarchical_interval(variant, TRUTH, 200, 3).interval
    np.testing.assert_allclose(band.low, interval.low, atol=1e-12)
    np.testing.assert_allclose(band.high, interval.high, atol=1e-12)


def test_sensitivity_by_size():
    groups = sensitivity_by_size([[ALL], [LARGE]], TRUTH, sized([0, 25, 41]))
    assert [(g.low, g.high, g.num_lesions, g.sensitivity, g.run_values) for g in groups] == [
        (0.0, 25.0, 2, 0.5, (1.0, 0.0)),
        (25.0, 41.0, 2, 1.0, (1.0, 1.0)),
    ]


def test_an_edge_belongs_to_the_group_above_it():
    groups = sensitivity_by_size([[ALL]], TRUTH, sized([10, 20, 40]))
    assert [g.num_lesions for g in groups] == [1, 2]  # 40 lies outside


def test_the_fp_rate_chooses_the_threshold():
    # 9 false positives above the second hit: 9/4 per volume with a box.
    one = run(prediction(ONE, 0.9), *[false_positive(ONE, 0.8)] * 9, prediction(TWO, 0.5))
    for fps, shares in ((2.0, (1.0, 0.0)), (2.25, (1.0, 1.0))):
        groups = sensitivity_by_size([[one]], TRUTH, sized([10, 20, 30]), fps_per_image=fps)
        assert tuple(g.sensitivity for g in groups) == shares


def test_a_group_without_lesions_has_no_sensitivity():
    empty = sensitivity_by_size([[ALL]], TRUTH, sized([100, 200]), bootstrap=20)[0]
    assert empty.num_lesions == 0
    assert np.isnan([empty.sensitivity, *empty.run_values, empty.interval.low]).all()


def test_intervals_by_size_are_those_of_the_drawn_patients():
    # Found by all runs: the share is 1 in every draw that has such a lesion. Half found: 0 to 1 by patient.
    half = run(prediction(ONE, 0.9), prediction(THREE, 0.9), prediction(FOUR, 0.9))
    small, large = sensitivity_by_size([[half, half]], TRUTH, sized([0, 25, 41]), bootstrap=400)
    assert (large.interval.low, large.interval.high) == (1.0, 1.0)
    assert (small.interval.low, small.interval.high) == (0.0, 1.0)


def test_equal_groups():
    sizes = LesionSizes.in_equal_groups(SIZES, 2)
    assert sizes.edges.tolist() == [10.0, 25.0, np.nextafter(40.0, np.inf)]
    assert [g.num_lesions for g in sensitivity_by_size([[ALL]], TRUTH, sizes)] == [2, 2]
    assert len(LesionSizes.in_equal_groups(np.full(5, 3.0), 3).edges) == 2


@pytest.mark.parametrize("edges", [[0], [0, 5, 5], []])
def test_groups_have_rising_edges(edges):
    with pytest.raises(ValueError, match="at least two rising edges"):
        sized(edges)


def test_every_lesion_needs_a_size():
    with pytest.raises(ValueError, match="4 lesions need as many sizes"):
        sensitivity_by_size([[ALL]], TRUTH, LesionSizes(SIZES[:3], np.array([0.0, 50.0])))
