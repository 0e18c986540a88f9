"""Planning a study: variances that are known come back, and what they foretell happens."""

import math

import numpy as np
import pytest

from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.power import DifferenceVariance, Needed, difference_variance, needed, variance_of_draws

RUN, VOLUME, RUN_VOLUME = 0.03**2, 0.2**2, 0.37**2
KNOWN = DifferenceVariance(RUN, VOLUME, RUN_VOLUME, difference=0.05, num_runs=6, num_volumes=80)


def study(generator, num_runs, num_volumes, delta=0.05):
    """Differences of single volumes, (runs, volumes), by the module's model."""
    run = generator.normal(0, math.sqrt(RUN), (num_runs, 1))
    volume = generator.normal(0, math.sqrt(VOLUME), (1, num_volumes))
    return delta + run + volume + generator.normal(0, math.sqrt(RUN_VOLUME), (num_runs, num_volumes))


def test_known_variances_come_back():
    generator = np.random.default_rng(1)
    estimates = []
    for _ in range(400):
        differences = study(generator, 6, 80)
        copies = generator.multinomial(80, np.full(80, 1 / 80), size=200)
        found = variance_of_draws(differences.mean(axis=1), copies @ differences.T / 80, 80, 80)
        estimates.append((found.run, found.volume, found.run_volume, found.difference))
    run, volume, run_volume, difference = np.mean(estimates, axis=0)
    # The cut at 0 biases small variances upwards; of these three it touches the first two.
    assert run == pytest.approx(RUN, rel=0.25)
    assert volume == pytest.approx(VOLUME, rel=0.1)
    assert run_volume == pytest.approx(RUN_VOLUME, rel=0.03)
    assert difference == pytest.approx(0.05, abs=0.004)


def test_the_standard_error_is_the_spread_of_studies():
    generator = np.random.default_rng(2)
    for num_runs, num_volumes in ((3, 200), (9, 50)):
        means = [study(generator, num_runs, num_volumes).mean() for _ in range(3000)]
        assert np.std(means) == pytest.approx(KNOWN.standard_error(num_runs, num_volumes), rel=0.04)


def test_the_power_is_how_often_zero_is_excluded():
    generator = np.random.default_rng(3)
    width = KNOWN.half_width(5, 120)
    hits = [abs(study(generator, 5, 120, delta=0.07).mean()) > width for _ in range(4000)]
    assert np.mean(hits) == pytest.approx(KNOWN.power(5, 120, 0.07), abs=0.025)


def test_standard_error_by_hand():
    # 0.0009/4 + 0.04/100 + 0.1369/400 = 0.000225 + 0.0004 + 0.00034225
    assert KNOWN.standard_error(4, 100) == pytest.approx(math.sqrt(0.00096725))
    assert KNOWN.half_width(4, 100) == pytest.approx(1.959964 * math.sqrt(0.00096725), rel=1e-6)


def test_power_by_hand():
    # One variance only: SE = 0.025, 0.07 / 0.025 = 2.8, Phi(2.8 - 1.96) = Phi(0.84) = 0.7995.
    one = DifferenceVariance(0.0, 0.0625, 0.0, 0.0, 5, 100)
    assert one.power(1, 100) == pytest.approx(0.7996, abs=2e-4)
    assert one.power(1, 100, -0.07) == pytest.approx(one.power(1, 100))
    assert one.power(7, 100, 0.0) == pytest.approx(0.05)


def test_what_the_prototype_needed():
    # Per-volume SD 0.37 as run noise and 2 to 5 points between runs: at least 5 runs x 120 volumes for
    # 7 points, standard error 1.7 to 2.7 points.
    small, large = (DifferenceVariance(sd**2, 0.0, 0.37**2, 0.07, 3, 120) for sd in (0.02, 0.05))
    assert small.standard_error(5, 120) == pytest.approx(0.0176, abs=1e-4)
    assert large.standard_error(5, 120) == pytest.approx(0.0270, abs=1e-4)
    assert small.power(5, 120) > 0.95
    assert small.power(1, 60) < 0.3


def test_the_smallest_numbers():
    rows = needed(KNOWN, 0.07, 0.8, range(2, 9))
    for row in rows:
        assert KNOWN.power(row.num_runs, row.num_volumes) >= 0.8
        assert KNOWN.power(row.num_runs, row.num_volumes - 1) < 0.8
    volumes = [row.num_volumes for row in rows]
    assert volumes == sorted(volumes, reverse=True)


def test_no_number_of_volumes_helps_against_the_scatter_of_runs():
    # SE must be 0.07 / 2.8016 = 0.02499; with run = 0.05^2 that takes more than (0.05 / 0.02499)^2 = 4.004.
    scattered = DifferenceVariance(0.05**2, 0.0, 0.01, 0.07, 5, 100)
    rows = needed(scattered, num_runs=(4, 5))
    assert rows[0] == Needed(4, None)
    # 0.02499^2 - 0.0005 = 0.0001243 is left for 0.002 / volumes: 16.1.
    assert rows[1] == Needed(5, 17)


def test_certainty():
    nothing = DifferenceVariance(0.0, 0.0, 0.0, 0.1, 2, 10)
    assert (nothing.power(1, 1), nothing.power(1, 1, 0.0)) == (1.0, 0.0)
    assert needed(nothing, num_runs=[1]) == [Needed(1, 1)]


NUM_VOLUMES = 60
TRUTH = ChallengeTruth(
    volumes={(f"S{k}", "lcc"): k for k in range(NUM_VOLUMES)},
    patients={f"P{k}": k for k in range(NUM_VOLUMES)},
    volume_patient=np.arange(NUM_VOLUMES),
    lesion_volume=np.arange(NUM_VOLUMES),
    lesion_center=np.zeros((NUM_VOLUMES, 3)),
    radius=np.ones(NUM_VOLUMES),
    slice_tolerance=np.ones(NUM_VOLUMES),
    warnings=(),
)


def found_with(generator, chance):
    """A run that finds each lesion with its chance, without a false positive: its sensitivity is a mean."""
    rows = np.flatnonzero(generator.random(NUM_VOLUMES) < chance)
    return ChallengePredictions(rows, rows, np.full(len(rows), 0.5), rows, ())


def test_the_variances_of_runs_come_back():
    # The first variant finds every second lesion with a chance of 0.8, the others with 0.4, less 0.2 in a bad
    # run (every second run by chance); the second variant finds all with 0.4. The difference of a volume is
    # then 0.3 or -0.1 on average: volume = 0.2^2. Between runs 0.1^2. The rest is Bernoulli: 0.4 * 0.6 of the
    # second variant, of the first the mean of .8*.2, .6*.4, .4*.6, .2*.8, which is 0.2.
    generator = np.random.default_rng(4)
    chances = np.where(np.arange(NUM_VOLUMES) % 2, 0.8, 0.4)
    estimates = []
    for _ in range(60):
        bad = 0.2 * generator.integers(0, 2, size=8)
        a = [found_with(generator, chances - drop) for drop in bad]
        b = [found_with(generator, np.full(NUM_VOLUMES, 0.4)) for _ in bad]
        one = difference_variance(a, b, TRUTH, bootstrap=150)
        estimates.append((one.run, one.volume, one.run_volume, one.difference))
    run, volume, run_volume, difference = np.mean(estimates, axis=0)
    assert run == pytest.approx(0.01, rel=0.25)
    assert volume == pytest.approx(0.04, rel=0.25)
    assert run_volume == pytest.approx(0.44, rel=0.06)
    assert difference == pytest.approx(0.1, abs=0.02)
    assert (one.num_runs, one.num_volumes) == (8, NUM_VOLUMES)


def test_equal_arms_have_no_variance():
    generator = np.random.default_rng(0)
    runs = [found_with(generator, np.full(NUM_VOLUMES, 0.5)) for _ in range(3)]
    one = difference_variance(runs, runs, TRUTH, bootstrap=20)
    assert (one.run, one.volume, one.run_volume, one.difference) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: difference_variance([None], [None], TRUTH), "at least 2 pairs of runs; got 1 and 1"),
        (lambda: difference_variance([None] * 3, [None] * 2, TRUTH), "got 3 and 2 runs"),
        (lambda: difference_variance([None] * 2, [None] * 2, TRUTH, bootstrap=1), "2 draws"),
        (lambda: KNOWN.standard_error(0, 5), "a run and a volume, got 0 and 5"),
        (lambda: needed(KNOWN, 0.0), "a difference above 0"),
        (lambda: needed(KNOWN, 0.07, 1.0), "power in"),
    ],
)
def test_impossible_requests_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
