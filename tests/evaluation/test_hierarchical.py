"""Variants of seeds and repetitions: draws worked by hand, and scoring of copied patients."""

import time
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from challenge_cases import box, boxes, labels, prediction, predictions, volume

from comoto.evaluation.bootstrap import patient_draws
from comoto.evaluation.challenge import challenge_metric
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    read_predictions,
    read_truth,
)
from comoto.evaluation.hierarchical import (
    drawn_patients,
    drawn_runs,
    hierarchical_difference,
    hierarchical_interval,
)
from comoto.evaluation.paired import paired_difference
from comoto.evaluation.parts import resampled_positive

ONE, TWO, THREE = volume(1), volume(2), volume(3)
TRUTH = read_truth(labels(ONE, TWO), boxes(box(ONE), box(TWO)))


def run(*rows, truth=TRUTH):
    return read_predictions(predictions(*rows), truth)


BOTH, FIRST, NONE = run(prediction(ONE, 0.9), prediction(TWO, 0.8)), run(prediction(ONE, 0.9)), run()


def ends(result):
    return result.interval.low, result.interval.high


def random_tables(seed, num_patients=6, views=("lcc", "lmlo")):
    """Truth of patients of whom the last has no lesion, and a maker of random predictions."""
    generator = np.random.default_rng(seed)
    volumes = [volume(k, view) for k in range(1, num_patients + 1) for view in views]
    lesions = [box(where) for where in volumes[: -len(views)]] + [box(volumes[0], x=2000)]

    def make():
        rows = [
            prediction(where, float(generator.random()), x=int(generator.choice([1000, 2000, 30])))
            for where in volumes
            for _ in range(5)
        ]
        return predictions(*rows)

    return (labels(*volumes), boxes(*lesions)), make


@pytest.mark.parametrize("seed", [0, 1])
def test_one_run_of_each_variant_is_the_paired_difference(seed):
    tables, make = random_tables(seed)
    truth = read_truth(*tables)
    a, b = (read_predictions(make(), truth) for _ in range(2))
    paired = paired_difference(a, b, truth, 200, seed)
    result = hierarchical_difference([[a]], [[b]], truth, 200, seed)
    assert result.value == paired.value
    np.testing.assert_allclose(ends(result), (paired.interval.low, paired.interval.high), atol=1e-12)
    assert result.without_lesion == paired.without_lesion


def test_equal_runs_of_many_seeds_are_one_run():
    tables, make = random_tables(3)
    truth = read_truth(*tables)
    a, b = (read_predictions(make(), truth) for _ in range(2))
    one = hierarchical_difference([[a]], [[b]], truth, 100)
    many = hierarchical_difference([[a, a], [a, a], [a, a]], [[b, b], [b, b], [b, b]], truth, 100)
    np.testing.assert_allclose(ends(one), ends(many), atol=1e-12)
    assert one.value == pytest.approx(many.value)


def test_many_draws_at_once_equal_single_draws():
    tables, make = random_tables(5)
    truth = read_truth(*tables)
    for _ in range(5):
        curve = resampled_positive(read_predictions(make(), truth), truth)
        fps = np.array([0.0, 0.3, 1.0, 2.0, 3.0, 4.0, 20.0])
        copies = drawn_patients(truth, 40, seed=1)
        single = np.stack([curve.sensitivity_at(fps, each) for each in copies])
        np.testing.assert_allclose(curve.sensitivity_at_draws(fps, copies), single, atol=1e-12)


def test_two_seeds_on_one_patient():
    # One patient, so only the seeds vary: both the good one 1/4, both the bad one 1/4, mixed 1/2.
    truth = read_truth(labels(ONE), boxes(box(ONE)))
    good, bad = run(prediction(ONE, 0.9), truth=truth), run(truth=truth)
    result = hierarchical_interval([[good], [bad]], truth, 400)
    assert (result.value, *ends(result)) == (0.5, 0.0, 1.0)
    assert result.run_values == ((1.0,), (0.0,))
    assert (result.num_runs, result.includes_zero) == (2, True)


def test_repetitions_are_drawn_within_their_seed():
    # Of each seed one repetition finds everything. A seed's draw of 2 repetitions is worth 0, 1/2 or 1 with
    # chances 1/4, 1/2, 1/4; all 4 good ones come with a chance of 1/16, so the limits are 0 and 1.
    good, bad = run(prediction(ONE, 0.9), prediction(TWO, 0.9)), run()
    result = hierarchical_difference([[good, bad], [bad, good]], [[bad, bad], [bad, bad]], TRUTH, 600)
    assert (result.value, *ends(result)) == (0.5, 0.0, 1.0)
    assert result.run_values == ((1.0, 0.0), (0.0, 1.0))


def test_what_both_arms_share_cancels_out():
    # The seeds differ by 1/2, the variants never do.
    result = hierarchical_difference([[BOTH], [FIRST]], [[BOTH], [FIRST]], TRUTH, 200)
    assert (result.value, *ends(result)) == (0.0, 0.0, 0.0)
    alone = hierarchical_interval([[BOTH], [FIRST]], TRUTH, 200)
    assert alone.value == 0.75
    assert alone.interval.high - alone.interval.low > 0.4


def test_pairs_stay_pairs():
    # Every pair differs by exactly 1/2 on each draw of patients; unpaired, seeds would mix 0 and 1.
    truth = read_truth(labels(ONE, THREE), boxes(box(ONE), box(ONE, x=2000)))
    half, full = (
        run(prediction(ONE, 0.9), truth=truth),
        run(prediction(ONE, 0.9), prediction(ONE, 0.9, x=2000), truth=truth),
    )
    none = run(truth=truth)
    result = hierarchical_difference([[full], [half]], [[half], [none]], truth, 300)
    assert (result.value, *ends(result)) == (0.5, 0.5, 0.5)
    assert not result.includes_zero


def test_seeds_with_fewer_repetitions_bring_fewer_runs():
    # 3 runs: (1, 1) of the first seed, (0) of the second.
    result = hierarchical_interval([[BOTH, BOTH], [NONE]], TRUTH, 200)
    assert result.value == pytest.approx(2 / 3)
    counts = drawn_runs((2, 1), 200, 0)
    # Two seeds are drawn; each brings as many runs as it has.
    assert set(counts.sum(axis=1).tolist()) == {2, 3, 4}
    assert counts[counts[:, 2] == 2][:, :2].sum() == 0
    assert (counts[counts[:, 2] == 1][:, :2].sum(axis=1) == 2).all()


def test_seeds_are_drawn_evenly():
    counts = drawn_runs((1, 1, 1, 1), 4000, 1)
    assert (counts.sum(axis=1) == 4).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(counts.var(axis=0), 0.75, atol=0.06)  # 4 draws with chance 1/4


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([[BOTH, BOTH]], [[BOTH]], r"repetitions \(2,\) and \(1,\)"),
        ([[BOTH], [BOTH]], [[BOTH, BOTH]], r"repetitions \(1, 1\) and \(2,\)"),
        ([], [], "a variant needs a seed"),
        ([[BOTH], []], [[BOTH], []], r"each seed a repetition; got repetitions \(1, 0\)"),
    ],
)
def test_unpaired_arms_are_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        hierarchical_difference(a, b, TRUTH, 10)


def test_one_replicate_is_the_least():
    with pytest.raises(ValueError, match="at least 1 replicate, got 0"):
        hierarchical_interval([[BOTH]], TRUTH, 0)


def copied(table, copies):
    parts = [
        table[table["PatientID"] == f"P{number}"].assign(
            PatientID=f"P{number}c{copy}", StudyUID=f"S{number}c{copy}"
        )
        for number, count in enumerate(copies[:-1], start=1)
        for copy in range(count)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_equal_to_scoring_copied_patients_and_runs(seed):
    """Replicate by replicate, with the tables of drawn patients and one metric per drawn run."""
    tables, make = random_tables(seed, num_patients=4, views=("lcc",))
    truth = read_truth(*tables)
    shape = (2, 1, 2)
    a, b = ([[make() for _ in range(n)] for n in shape] for _ in range(2))
    expected = []
    draws = zip(patient_draws(4, 12, seed), drawn_runs(shape, 12, seed), strict=True)
    for copies, counts in draws:
        if copies[:3].sum() == 0:
            continue
        drawn_truth = [copied(table, copies) for table in tables]
        differences = [
            np.subtract(
                *(
                    challenge_metric(copied(t, copies), *drawn_truth)["mean_sensitivity_positive"]
                    for t in pair
                )
            )
            for pair in zip(chain(*a), chain(*b), strict=True)
        ]
        expected.append(np.average(differences, weights=counts))
    variants = ([[read_predictions(t, truth) for t in part] for part in variant] for variant in (a, b))
    result = hierarchical_difference(*variants, truth, 12, seed)
    np.testing.assert_allclose(ends(result), np.percentile(expected, [2.5, 97.5]), atol=1e-12)


def test_a_study_takes_seconds():
    """2 x 20 runs on 250 volumes, 60 detections each, 250 replicates."""
    generator = np.random.default_rng(0)
    volumes, per = 250, 60
    patient = np.arange(volumes) // 2
    truth = ChallengeTruth(
        volumes={(f"S{k}", "lcc"): k for k in range(volumes)},
        patients={f"P{k}": k for k in range(volumes // 2)},
        volume_patient=patient,
        lesion_volume=np.arange(volumes),
        lesion_center=np.zeros((volumes, 3)),
        radius=np.ones(volumes),
        slice_tolerance=np.ones(volumes),
        warnings=(),
    )

    def make():
        of = np.repeat(np.arange(volumes), per)
        hit = np.where(generator.random(len(of)) < 0.05, of, -1)
        return ChallengePredictions(of, patient[of], generator.random(len(of)), hit, ())

    variants = [[[make() for _ in range(4)] for _ in range(5)] for _ in range(2)]
    started = time.process_time()
    result = hierarchical_difference(*variants, truth, 250)
    assert time.process_time() - started < 10
    assert result.num_runs == 20
