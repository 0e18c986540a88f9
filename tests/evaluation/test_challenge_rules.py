"""One case worked by hand for each row of the official evaluator's behaviour."""

import numpy as np
import pytest
from challenge_cases import (
    ALL,
    MEAN,
    POSITIVE,
    box,
    boxes,
    false_positive,
    labels,
    prediction,
    predictions,
    volume,
)

from comoto.errors import DatasetError
from comoto.evaluation import challenge_metric, evaluate

A = volume(1)
B = volume(2)
NORMAL = volume(3)


def positive(metric):
    return [metric[name] for name in POSITIVE]


def is_hit(detection, *lesions):
    """Whether one prediction on one volume finds one lesion."""
    metric = challenge_metric(predictions(detection), labels(A), boxes(*lesions))
    assert metric[MEAN] in (0.0, 1.0 / len(lesions))
    return metric[MEAN] > 0


def test_false_positives_between_two_hits_are_joined_by_a_straight_line():
    table = predictions(
        prediction(A, 0.9),
        *[false_positive(A, 0.5 + 0.01 * number) for number in range(5)],
        prediction(A, 0.1, x=1800),
    )
    metric = challenge_metric(table, labels(A), boxes(box(A), box(A, x=1800)))
    # From (0 FP, 1 of 2) to (5 FP, 2 of 2): a tenth per false positive.
    assert positive(metric) == pytest.approx([0.6, 0.7, 0.8, 0.9], abs=1e-15)
    assert metric[MEAN] == pytest.approx(0.75, abs=1e-15)
    assert metric[ALL] == pytest.approx(0.7, abs=1e-15)


def test_of_several_boxes_the_nearest_in_mixed_distance_is_hit():
    # In the plane the second box is nearer (30 < 40), with slices the first (40 < sqrt(30^2 + 30^2) = 42.4).
    lesions = [box(A, x=1040, slices=200), box(A, x=970, slice_index=50, slices=200)]
    result = evaluate(predictions(prediction(A, 0.7)), labels(A), boxes(*lesions))
    assert result.froc_positive.lesion_scores.tolist() == [0.7, -np.inf]
    result = evaluate(predictions(prediction(A, 0.7)), labels(A), boxes(*reversed(lesions)))
    assert result.froc_positive.lesion_scores.tolist() == [-np.inf, 0.7]


def test_on_a_tie_of_distances_the_first_box_is_hit():
    result = evaluate(predictions(prediction(A, 0.7)), labels(A), boxes(box(A, x=1050), box(A, x=950)))
    assert result.froc_positive.lesion_scores.tolist() == [0.7, -np.inf]


def test_a_far_box_does_not_hide_a_box_that_fits():
    # The small box is nearer (120) but out of its radius of 100; the large one (radius 500) takes it.
    lesions = boxes(box(A, x=1120), box(A, x=1300, size=(600, 800)))
    result = evaluate(predictions(prediction(A, 0.7)), labels(A), lesions)
    assert result.froc_positive.lesion_scores.tolist() == [-np.inf, 0.7]


def test_the_centre_in_depth_is_z_plus_half_the_depth():
    # 49 slices: tolerance 12.25 around slice 20, so up to 32.25.
    assert is_hit(prediction(A, 1.0, z=24, depth=16), box(A))  # 32
    assert not is_hit(prediction(A, 1.0, z=24, depth=17), box(A))  # 32.5


def test_a_depth_of_one_shifts_by_half_a_slice():
    # Tolerance 12.5 of 50 slices around slice 20: 7.5 to 32.5.
    assert is_hit(prediction(A, 1.0, z=32, depth=1), box(A, slices=50))  # 32.5
    assert not is_hit(prediction(A, 1.0, z=33, depth=0), box(A, slices=50))
    assert not is_hit(prediction(A, 1.0, z=6, depth=1), box(A, slices=50))  # 6.5


def test_slice_tolerance_is_a_quarter_of_the_slices_and_inclusive():
    assert is_hit(prediction(A, 1.0, z=32.25), box(A, slices=49))
    assert not is_hit(prediction(A, 1.0, z=33), box(A, slices=49))
    assert is_hit(prediction(A, 1.0, z=33), box(A, slices=52))


def test_slice_tolerance_comes_from_the_first_box_of_the_view():
    deep, shallow = box(A, slices=200), box(A, x=1800, slices=21)
    at_shallow = prediction(A, 1.0, x=1800, z=60)
    assert is_hit(at_shallow, deep, shallow)
    assert not is_hit(at_shallow, shallow, deep)
    with_warning = evaluate(predictions(at_shallow), labels(A), boxes(deep, shallow))
    assert "VolumeSlices differs" in with_warning.warnings[0]
    assert "row 1" in with_warning.warnings[0]


def test_plane_tolerance_is_100_pixels_for_a_small_box_and_inclusive():
    assert is_hit(prediction(A, 1.0, x=1060, y=1080), box(A))  # 60, 80 -> 100
    assert not is_hit(prediction(A, 1.0, x=1060, y=1080.5), box(A))


def test_plane_tolerance_is_half_the_diagonal_of_a_large_box_and_inclusive():
    large = box(A, size=(300, 400))  # half diagonal 250
    assert is_hit(prediction(A, 1.0, x=1150, y=1200), large)
    assert not is_hit(prediction(A, 1.0, x=1150, y=1200.5), large)


def test_centres_are_not_rounded():
    assert is_hit(prediction(A, 1.0, x=1100, size=(61, 40)), box(A))
    assert not is_hit(prediction(A, 1.0, x=1100.5, size=(60, 40)), box(A))


def test_duplicates_are_neither_found_lesions_nor_false_positives():
    perfect = [prediction(A, 0.9), prediction(B, 0.8)]
    metric = challenge_metric(
        predictions(*perfect, *perfect, *perfect), labels(A, B, NORMAL), boxes(box(A), box(B))
    )
    assert set(metric.values()) == {1.0}
    result = evaluate(predictions(*perfect * 3), labels(A, B, NORMAL), boxes(box(A), box(B)))
    assert result.froc_all.fps_per_image.tolist() == [0.0] * len(result.froc_all.thresholds)


@pytest.mark.parametrize("copies", [1, 2])
def test_one_place_over_two_overlapping_boxes_finds_one_of_them(copies):
    metric = challenge_metric(
        predictions(*[prediction(A, 0.9)] * copies), labels(A), boxes(box(A), box(A, x=1040))
    )
    assert metric[MEAN] == 0.5


def test_points_lie_at_hits_and_at_the_two_ends_only():
    result = evaluate(
        predictions(false_positive(A, 5.0), prediction(A, 3.0), false_positive(A, 2.0), prediction(A, 1.0)),
        labels(A),
        boxes(box(A)),
    )
    assert result.froc_all.thresholds.tolist() == [6.0, 3.0, 1.0, 0.0]
    assert result.froc_all.fps_per_image.tolist() == [0.0, 1.0, 2.0, 2.0]
    assert result.froc_all.sensitivity.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_at_equal_rates_the_highest_sensitivity_counts():
    # One false positive above both hits: the points (1, 1/2) and (1, 2/2) share a rate.
    table = predictions(false_positive(A, 0.9), prediction(A, 0.8), prediction(A, 0.7, x=1800))
    metric = challenge_metric(table, labels(A), boxes(box(A), box(A, x=1800)))
    assert positive(metric) == [1.0, 1.0, 1.0, 1.0]


def test_a_rate_that_is_never_reached_takes_the_last_sensitivity():
    metric = challenge_metric(predictions(prediction(A, 0.9)), labels(A, B), boxes(box(A), box(B)))
    assert set(metric.values()) == {0.5}


def test_equal_scores_enter_together():
    # Both lesions and four false positives on one volume at one score: a line from (0, 0) to (4, 1).
    table = predictions(prediction(A, 0.5), *[false_positive(A, 0.5)] * 4, prediction(A, 0.5, x=1800))
    metric = challenge_metric(table, labels(A), boxes(box(A), box(A, x=1800)))
    assert positive(metric) == [0.25, 0.5, 0.75, 1.0]


def test_normal_volumes_count_in_the_figure_over_all_only():
    table = predictions(prediction(A, 0.5), *[false_positive(NORMAL, 0.9)] * 8)
    # Over all: 8 FP on 2 volumes stand above the hit, so (0, 0) to (4, 1) gives 0.5 at 2 FP.
    metric = challenge_metric(table, labels(A, NORMAL), boxes(box(A)))
    assert metric[ALL] == 0.5
    assert positive(metric) == [1.0] * 4


def test_volumes_outside_the_labels_add_false_positives_but_no_volume():
    stranger = volume(99)
    table = predictions(prediction(A, 0.5), *(false_positive(stranger, 0.9 + k) for k in range(8)))
    metric = challenge_metric(table, labels(A, NORMAL), boxes(box(A)))
    assert metric[ALL] == 0.5  # 8 FP on 2 volumes, as if they lay on the normal one
    assert positive(metric) == [1.0] * 4
    warnings = "; ".join(evaluate(table, labels(A, NORMAL), boxes(box(A))).warnings)
    assert "8 of 9 predictions name 1 volumes that the labels do not have, such as S99 lcc" in warnings


def test_denominators_are_the_rows_of_the_tables():
    result = evaluate(
        predictions(prediction(A, 0.9), false_positive(NORMAL, 0.95)),
        labels(A, B, NORMAL, volume(3, "rcc")),
        boxes(box(A), box(A, x=1800), box(B)),
    )
    assert (result.num_lesions, result.num_volumes_all, result.num_volumes_positive) == (3, 4, 2)
    assert (result.num_patients, result.num_predictions) == (3, 2)
    assert result.froc_all.fps_per_image[-1] == 0.25
    assert result.froc_positive.fps_per_image[-1] == 0.0
    assert result.mean_sensitivity_positive == pytest.approx(1 / 3)


def test_volumes_without_predictions_lower_the_sensitivity_only():
    quarter = challenge_metric(
        predictions(prediction(A, 0.9)),
        labels(*[volume(number) for number in range(1, 5)]),
        boxes(*[box(volume(number)) for number in range(1, 5)]),
    )
    assert set(quarter.values()) == {0.25}


def test_no_prediction_gives_zero():
    result = evaluate(predictions(), labels(A), boxes(box(A)))
    assert set(result.metric.values()) == {0.0}
    assert "no prediction" in result.warnings[0]
    assert result.record()["froc"]["all"]["threshold"] == [None]


def test_scores_that_are_all_nan_are_refused():
    with pytest.raises(DatasetError, match="no prediction has a score"):
        evaluate(predictions(prediction(A, np.nan), false_positive(A, np.nan)), labels(A), boxes(box(A)))


def test_a_prediction_without_score_never_enters():
    table = predictions(prediction(A, np.nan), prediction(A, 0.4, x=1800), false_positive(A, np.nan))
    result = evaluate(table, labels(A), boxes(box(A), box(A, x=1800)))
    assert result.froc_positive.lesion_scores.tolist() == [-np.inf, 0.4]
    assert result.metric[MEAN] == 0.5
    assert result.froc_all.fps_per_image[-1] == 0.0


def test_upper_case_views_that_match_nothing_are_refused():
    upper = volume(1, "LCC")
    with pytest.raises(DatasetError, match=r"no prediction can hit anything.*write 'lcc', not 'LCC'$"):
        evaluate(predictions(prediction(upper, 0.9)), labels(A), boxes(box(A)))


def test_patient_id_of_predictions_is_not_used():
    table = predictions(prediction({**A, "PatientID": "somebody"}, 0.9))
    assert challenge_metric(table, labels(A), boxes(box(A)))[MEAN] == 1.0
    assert challenge_metric(table.drop(columns="PatientID"), labels(A), boxes(box(A)))[MEAN] == 1.0


def test_the_class_of_a_box_is_ignored():
    table = boxes(box(A), box(B)).assign(Class=["benign", "cancer"])
    metric = challenge_metric(predictions(prediction(A, 0.9), prediction(B, 0.8)), labels(A, B), table)
    assert metric[MEAN] == 1.0


def test_operating_thresholds_keep_the_rate():
    table = predictions(
        prediction(A, 0.9), *[false_positive(A, 0.8)] * 2, prediction(B, 0.7), *[false_positive(B, 0.6)] * 9
    )
    result = evaluate(table, labels(A, B), boxes(box(A), box(B)))
    thresholds = result.thresholds()
    # 2 FP on 2 volumes at 0.7; below it 11 of 2.
    assert thresholds["sensitivity_at_1_fps_positive"] == 0.7
    assert thresholds["sensitivity_at_4_fps_positive"] == 0.7
    assert result.record()["thresholds"] == thresholds
