"""The bootstrap reuses one matching; here it is compared with doing everything again per replicate."""

import json

import numpy as np
import pandas as pd
import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume

from comoto.errors import DatasetError
from comoto.evaluation import challenge_metric, evaluate
from comoto.evaluation.bootstrap import PatientIndex, ResampledFroc, patient_draws, percentile_interval
from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.evaluation.froc import froc

NUM_PATIENTS = 12


def random_study(seed):
    """Twelve patients with two volumes each, lesions in the first five, and predictions everywhere."""
    generator = np.random.default_rng(seed)
    keys = [volume(number, view) for number in range(NUM_PATIENTS) for view in ("lcc", "lmlo")]
    lesions = [
        box(key, x=1000 + 500 * place) for key in keys[:10] for place in range(generator.integers(1, 3))
    ]
    found = []
    for key in keys:
        for _ in range(generator.integers(0, 6)):
            found.append(false_positive(key, round(float(generator.normal()), 1)))
    for lesion in lesions:
        if generator.random() < 0.7:
            key = {name: lesion[name] for name in ("PatientID", "StudyUID", "View")}
            for _ in range(generator.integers(1, 3)):
                found.append(prediction(key, round(float(generator.normal(0.5)), 1), x=lesion["X"] + 50))
    return predictions(*found), labels(*keys), boxes(*lesions)


def duplicated(table, copies):
    """Give every patient as many renamed copies as it was drawn."""
    parts = []
    for number in range(NUM_PATIENTS):
        rows = table[table["PatientID"] == f"P{number}"]
        for copy in range(copies[number]):
            parts.append(
                rows.assign(StudyUID=rows["StudyUID"] + f"-{copy}", PatientID=rows["PatientID"] + f"-{copy}")
            )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("seed", range(4))
def test_each_replicate_equals_the_metric_on_duplicated_tables(seed):
    found, volumes, lesions = random_study(seed)
    truth = read_truth(volumes, lesions)
    matched = read_predictions(found, truth)
    on_lesion_volume = truth.is_positive[matched.volume]
    lesion_patient = truth.volume_patient[truth.lesion_volume]
    everywhere = ResampledFroc(
        matched.scores,
        matched.hit_lesion,
        PatientIndex(NUM_PATIENTS, matched.patient, lesion_patient, truth.volume_patient),
    )
    positive = ResampledFroc(
        matched.scores[on_lesion_volume],
        matched.hit_lesion[on_lesion_volume],
        PatientIndex(
            NUM_PATIENTS,
            matched.patient[on_lesion_volume],
            lesion_patient,
            truth.volume_patient[truth.is_positive],
        ),
    )
    for copies in patient_draws(NUM_PATIENTS, 25, seed):
        again = challenge_metric(*[duplicated(table, copies) for table in (found, volumes, lesions)])
        values = positive.sensitivity_at(np.array([1.0, 2.0, 3.0, 4.0]), copies)
        assert values.tolist() == [again[f"sensitivity_at_{fps}_fps_positive"] for fps in (1, 2, 3, 4)]
        assert everywhere.sensitivity_at(np.array([2.0]), copies)[0] == again["sensitivity_at_2_fps_all"]


def test_every_patient_once_is_the_curve_itself():
    generator = np.random.default_rng(3)
    scores, hits = generator.random(300), generator.integers(-1, 20, size=300)
    hits[generator.random(300) < 0.8] = -1
    patients = generator.integers(0, 9, size=300)
    cohort = PatientIndex(9, patients, generator.integers(0, 9, size=20), np.arange(40) % 9)
    rates = np.linspace(0, 8, 33)
    once = ResampledFroc(scores, hits, cohort).sensitivity_at(rates, np.ones(10, dtype=np.int64))
    assert once.tolist() == froc(scores, hits, 20, 40).sensitivity_at(rates).tolist()


def test_draws_take_as_many_patients_as_there_are_and_repeat_by_seed():
    draws = list(patient_draws(50, 200, seed=7))
    assert all(copies[:50].sum() == 50 and copies[50] == 1 for copies in draws)
    # A patient is left out with probability (1 - 1/50)^50 = 0.364.
    assert np.mean([(copies[:50] == 0).mean() for copies in draws]) == pytest.approx(0.364, abs=0.01)
    again = list(patient_draws(50, 200, seed=7))
    assert all((one == other).all() for one, other in zip(draws, again, strict=True))
    assert any((one != other).any() for one, other in zip(draws, patient_draws(50, 200, seed=8), strict=True))


def test_interval_of_one_found_and_one_missed_patient():
    # Two patients, one lesion each, one found: 0, 1/2 and 1 come with chances 1/4, 1/2, 1/4.
    result = evaluate(
        predictions(prediction(volume(1), 0.9)),
        labels(volume(1), volume(2)),
        boxes(box(volume(1)), box(volume(2))),
        bootstrap=400,
        seed=1,
    )
    interval = result.bootstrap.intervals["mean_sensitivity_positive"]
    assert (interval.low, interval.high) == (0.0, 1.0)
    truth = read_truth(labels(volume(1), volume(2)), boxes(box(volume(1)), box(volume(2))))
    assert truth.patients == {"P1": 0, "P2": 1}


def test_width_agrees_with_the_binomial_formula():
    # 200 patients with one lesion each, 160 found, no false positive: sd sqrt(0.8 * 0.2 / 200) = 0.02828.
    keys = [volume(number) for number in range(200)]
    result = evaluate(
        predictions(*[prediction(key, 0.9) for key in keys[:160]]),
        labels(*keys),
        boxes(*[box(key) for key in keys]),
        bootstrap=2000,
        seed=0,
    )
    interval = result.bootstrap.intervals["mean_sensitivity_positive"]
    assert interval.low == pytest.approx(0.8 - 1.96 * 0.02828, abs=0.008)
    assert interval.high == pytest.approx(0.8 + 1.96 * 0.02828, abs=0.008)


def test_replicates_without_a_lesion_are_counted_and_left_out():
    keys = [volume(number) for number in range(4)]
    tables = (predictions(prediction(keys[0], 0.9)), labels(*keys), boxes(box(keys[0])))
    result = evaluate(*tables, bootstrap=1000, seed=0)
    # The only lesion's patient is missed with probability (3/4)^4 = 0.316.
    assert result.bootstrap.without_lesion == pytest.approx(316, abs=45)
    assert result.bootstrap.intervals["sensitivity_at_2_fps_all"].low == 1.0
    assert f"{result.bootstrap.without_lesion} replicates without a lesion" in result.summary()


def test_an_interval_without_any_replicate_is_null_in_json():
    interval = percentile_interval(np.array([np.nan, np.nan]))
    assert np.isnan(interval.low)
    keys = [volume(number) for number in range(60)]
    tables = (predictions(), labels(*keys), boxes(box(keys[0])))
    seed = next(s for s in range(50) if next(patient_draws(60, 1, s))[0] == 0)
    content = json.loads(evaluate(*tables, bootstrap=1, seed=seed).to_json())
    assert content["bootstrap"]["intervals"]["mean_sensitivity_positive"] == [None, None]
    assert content["bootstrap"]["replicates_without_lesion"] == 1


def test_predictions_on_unknown_studies_enter_every_replicate_once():
    known = labels(volume(1), volume(2))
    truth = read_truth(known, boxes(box(volume(1))))
    found = read_predictions(
        predictions(
            false_positive(volume(2), 0.1),
            false_positive(volume(1, "LCC"), 0.1),
            false_positive(volume(77), 0.1),
        ),
        truth,
    )
    assert found.volume.tolist() == [1, -1, -1]
    assert found.patient.tolist() == [1, 0, 2]  # its patient, the patient of its study, nobody


def test_the_seed_and_the_replicates_are_recorded_and_repeatable():
    tables = random_study(9)
    one, other = (evaluate(*tables, bootstrap=50, seed=5) for _ in range(2))
    assert one.to_json() == other.to_json()
    record = json.loads(one.to_json())
    assert (record["bootstrap"]["seed"], record["bootstrap"]["replicates"]) == (5, 50)
    assert set(record["bootstrap"]["intervals"]) == set(one.metric)
    for name, value in one.metric.items():
        low, high = record["bootstrap"]["intervals"][name]
        assert low <= value <= high
    with pytest.raises(ValueError, match="negative"):
        evaluate(*tables, bootstrap=-1)


def test_band_starts_and_ends_where_the_percentiles_say():
    result = evaluate(*random_study(2), bootstrap=80, seed=0)
    band = result.bootstrap.bands["positive"]
    place = band.fps_per_image.tolist().index(2.0)
    interval = result.bootstrap.intervals["sensitivity_at_2_fps_positive"]
    assert (band.low[place], band.high[place]) == (interval.low, interval.high)


def test_empty_truth_is_refused():
    with pytest.raises(DatasetError, match="at least one lesion"):
        evaluate(predictions(), labels(volume(1)), boxes())
