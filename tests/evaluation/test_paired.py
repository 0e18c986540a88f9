import numpy as np
import pandas as pd
import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume

from comoto.evaluation.bootstrap import patient_draws
from comoto.evaluation.challenge import challenge_metric, evaluate
from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.evaluation.paired import mean_sensitivity_positive, paired_difference

ONE, TWO, THREE = volume(1), volume(2), volume(3)
TWO_PATIENTS = labels(ONE, TWO), boxes(box(ONE), box(TWO))


def compare(a, b, tables=TWO_PATIENTS, bootstrap=400, seed=0):
    truth = read_truth(*tables)
    return paired_difference(
        read_predictions(a, truth), read_predictions(b, truth), truth, bootstrap=bootstrap, seed=seed
    )


def ends(result):
    return result.interval.low, result.interval.high


def test_a_prediction_does_not_differ_from_itself():
    table = predictions(prediction(ONE, 0.9), false_positive(ONE, 0.5), false_positive(TWO, 0.95))
    result = compare(table, table)
    assert (result.value, *ends(result)) == (0.0, 0.0, 0.0)
    assert result.includes_zero


def test_only_the_order_of_the_scores_counts():
    table = predictions(prediction(ONE, 0.9), false_positive(ONE, 0.5), prediction(TWO, 0.2))
    result = compare(table, table.assign(Score=table["Score"] ** 3))
    assert (result.value, *ends(result)) == (0.0, 0.0, 0.0)


def test_everything_against_nothing_is_one_in_every_replicate():
    found = predictions(prediction(ONE, 0.9), prediction(TWO, 0.8))
    result = compare(found, predictions())
    assert (result.value, *ends(result)) == (1.0, 1.0, 1.0)
    assert not result.includes_zero
    assert ends(compare(predictions(), found)) == (-1.0, -1.0)


def test_one_of_two_patients_more():
    # Draws: patient 1 twice (difference 1), both (1/2), patient 2 twice (0), with chances 1/4, 1/2, 1/4.
    result = compare(predictions(prediction(ONE, 0.9)), predictions())
    assert result.value == 0.5
    assert ends(result) == (0.0, 1.0)
    assert result.includes_zero


def test_each_finds_what_the_other_misses():
    result = compare(predictions(prediction(ONE, 0.9)), predictions(prediction(TWO, 0.9)))
    assert result.value == 0.0
    assert ends(result) == (-1.0, 1.0)


def test_a_shared_miss_widens_neither_end():
    # Both miss patient 2 and find patient 1: each alone ranges from 0 to 1, their difference never moves.
    one = predictions(prediction(ONE, 0.9))
    other = predictions(prediction(ONE, 0.3))
    assert ends(compare(one, other)) == (0.0, 0.0)
    alone = evaluate(one, *TWO_PATIENTS, bootstrap=400, seed=0).bootstrap.intervals[
        "mean_sensitivity_positive"
    ]
    assert (alone.low, alone.high) == (0.0, 1.0)


def test_replicates_without_a_lesion_are_left_out_and_counted():
    tables = labels(ONE, TWO), boxes(box(ONE))
    result = compare(predictions(prediction(ONE, 0.9)), predictions(), tables)
    expected = sum(copies[0] == 0 for copies in patient_draws(2, 400, 0))
    assert result.without_lesion == expected > 60
    assert ends(result) == (1.0, 1.0)


def test_one_replicate_is_the_least():
    with pytest.raises(ValueError, match="at least 1 replicate, got 0"):
        compare(predictions(), predictions(), bootstrap=0)


def test_the_figure_is_the_challenges():
    table = predictions(prediction(ONE, 0.4), false_positive(TWO, 0.9), *[false_positive(ONE, 0.5)] * 3)
    truth = read_truth(*TWO_PATIENTS)
    expected = challenge_metric(table, *TWO_PATIENTS)["mean_sensitivity_positive"]
    assert mean_sensitivity_positive(read_predictions(table, truth), truth) == expected


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equal_to_scoring_copied_patients(seed):
    """Replicate by replicate: patients drawn k times stand k times in the tables under new names."""
    generator = np.random.default_rng(seed)
    views = [volume(patient, view) for patient in (1, 2, 3, 4) for view in ("lcc", "lmlo")]
    truth_tables = labels(*views), boxes(*(box(where) for where in views[:5]), box(views[0], x=2000))
    a, b = (_random_predictions(views, generator) for _ in range(2))
    expected = []
    for copies in patient_draws(4, 60, seed):
        if copies[:3].sum() == 0:  # patient 4 has no lesion
            continue
        copied = [_copied(table, copies) for table in truth_tables]
        scores = [challenge_metric(_copied(t, copies), *copied)["mean_sensitivity_positive"] for t in (a, b)]
        expected.append(scores[0] - scores[1])
    result = compare(a, b, truth_tables, bootstrap=60, seed=seed)
    np.testing.assert_allclose(ends(result), np.percentile(expected, [2.5, 97.5]), atol=1e-12)


def _random_predictions(views, generator):
    rows = []
    for where in views:
        for _ in range(6):
            x = generator.choice([1000, 2000, 30])
            rows.append(prediction(where, float(generator.random()), x=int(x)))
    return predictions(*rows)


def _copied(table, copies):
    parts = []
    for number, count in enumerate(copies[:-1], start=1):
        for copy in range(count):
            own = table[table["PatientID"] == f"P{number}"]
            parts.append(own.assign(PatientID=f"P{number}c{copy}", StudyUID=f"S{number}c{copy}"))
    return pd.concat(parts, ignore_index=True)
