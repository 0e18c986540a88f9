"""Percentile and BCa intervals, against the formula written out, and where there is nothing to resample."""

import json
from statistics import NormalDist

import numpy as np
import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume
from scipy import stats

from comoto.evaluation import evaluate
from comoto.evaluation.bootstrap import percentile_interval
from comoto.evaluation.intervals import Resampling, interval_of

NORMAL = NormalDist()


def by_hand(values, value, without):
    """Efron's formula with Hesterberg's tails, in plain Python."""
    n = len(without)
    below = sum(one < value for one in values) + 0.5 * sum(one == value for one in values)
    z0 = NORMAL.inv_cdf(below / len(values))
    mean = sum(without) / n
    cubes, squares = sum((mean - one) ** 3 for one in without), sum((mean - one) ** 2 for one in without)
    a = cubes / (6 * squares**1.5)
    spread = (n / (n - 1)) ** 0.5 * stats.t.ppf(0.975, n - 1)
    ends = [NORMAL.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in (-spread, spread)]
    return np.quantile(values, ends)


def test_bca_by_its_formula():
    generator = np.random.default_rng(3)
    values, without = generator.gamma(2.0, 1.0, 400), generator.gamma(1.0, 1.0, 25)
    interval = interval_of(values, 1.5, without)
    assert (interval.low, interval.high) == pytest.approx(tuple(by_hand(values, 1.5, without)), rel=1e-12)


def test_percentile_without_the_values_of_the_others():
    values = np.random.default_rng(4).random(300)
    assert interval_of(values, 0.5, None) == percentile_interval(values)


def test_many_symmetric_patients_need_no_correction():
    values = NORMAL.stdev * stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    without = np.concatenate([np.linspace(-1, 1, 100_001)])
    plain, corrected = percentile_interval(values), interval_of(values, 0.0, without)
    assert (corrected.low, corrected.high) == pytest.approx((plain.low, plain.high), abs=1e-3)


@pytest.mark.parametrize("without", [np.array([np.nan]), np.array([0.5])])
def test_of_one_patient_there_is_no_corrected_interval(without):
    interval = interval_of(np.full(50, 0.5), 0.5, without)
    assert np.isnan(interval.low)
    assert np.isnan(interval.high)


def tables(patients):
    volumes = [volume(number) for number in range(patients)]
    found = [prediction(where, 0.5 + number / 100) for number, where in enumerate(volumes[::2])]
    found += [false_positive(where, 0.6 + number / 100) for number, where in enumerate(volumes[::3])]
    return predictions(*found), labels(*volumes), boxes(*(box(where) for where in volumes))


def test_evaluate_says_which_interval_it_is_and_that_few_patients_are_few():
    percentile = evaluate(*tables(20), 200, 5)
    assert percentile.bootstrap.record()["method"].startswith("percentile, ")
    assert "20 patients are few for an interval" in percentile.warnings[-1]
    corrected = evaluate(*tables(20), Resampling(200, 5, "bca"))
    assert "95 % bca, 200 replicates" in corrected.summary()
    assert corrected.metric == percentile.metric
    name = "mean_sensitivity_positive"
    wide = corrected.bootstrap.intervals[name]
    assert wide.low <= corrected.metric[name] <= wide.high
    assert json.loads(corrected.to_json())["bootstrap"]["method"].startswith("bca, ")


def test_sixty_patients_are_not_few():
    assert evaluate(*tables(60), 20).warnings == ()
    assert evaluate(*tables(20)).warnings == ()


def test_one_patient():
    result = evaluate(*tables(1), Resampling(20, 0, "bca"))
    assert np.isnan(result.bootstrap.intervals["mean_sensitivity_positive"].low)
    assert json.loads(result.to_json())["bootstrap"]["intervals"]["mean_sensitivity_positive"] == [None, None]


@pytest.mark.parametrize("wrong", [{"replicates": -1}, {"kind": "exact"}])
def test_wrong_plans(wrong):
    with pytest.raises(ValueError, match="must"):
        Resampling(**wrong)
