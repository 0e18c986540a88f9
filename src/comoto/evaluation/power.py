"""How many runs and test volumes a comparison of two variants needs.

The difference d of one pair of runs on N test volumes is taken as

    d = delta + u + mean over the volumes of (w + e)

- delta: the true difference,
- u: what this pair of runs does better everywhere (other seed, subset, teacher), variance ``run``,
- w: what the method does better on a volume in every run, variance ``volume``,
- e: chance of one run on one volume, variance ``run_volume``.

The mean over R pairs of runs on the same N volumes has the variance

    SE^2 = run / R + volume / N + run_volume / (R N)

and a two-sided test at 5 % finds a difference D with a power of Phi(D / SE - z) + Phi(-D / SE - z), z = 1.96.
More volumes do not help against ``run``, more runs do not help against ``volume``.

Estimation from R pairs of runs: V1 = mean over the pairs of the variance of d over draws of patients,
estimates (volume + run_volume) / N; VR = the same variance of the mean of all pairs, estimates
volume / N + run_volume / (R N); S2 = variance of d between the pairs, estimates run + run_volume / N. Hence

    run_volume / N = (V1 - VR) R / (R - 1),  volume / N = V1 - run_volume / N,  run = S2 - run_volume / N,

each cut at 0, with the variance over P drawn patients enlarged by P / (P - 1). Patients are drawn with all
their volumes, so a volume counts for what it adds beyond the others of its patient. From few pairs ``run`` is
a rough number: with 5 pairs its own 95 % range spans a factor of more than 20.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq

from comoto.defaults import REPLICATES
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.hierarchical import drawn_patients, mean_sensitivities, run_sensitivities
from comoto.tables import Float64Array

DIFFERENCE = 0.07
"""The published difference in the low-data setting."""
POWER = 0.8
_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)


@dataclass(frozen=True)
class DifferenceVariance:
    """Where the scatter of a paired difference comes from; see the module.

    Attributes:
        run, volume, run_volume: the three variances, of a difference of mean sensitivities.
        difference: the mean difference that was seen.
        num_runs, num_volumes: what it was estimated from; volumes with a box.
    """

    run: float
    volume: float
    run_volume: float
    difference: float
    num_runs: int
    num_volumes: int

    def standard_error(self, num_runs: int, num_volumes: int) -> float:
        """Return the standard error of the mean difference of so many pairs of runs on so many volumes."""
        if num_runs < 1 or num_volumes < 1:
            raise ValueError(f"a comparison needs a run and a volume, got {num_runs} and {num_volumes}")
        return math.sqrt(
            self.run / num_runs + self.volume / num_volumes + self.run_volume / (num_runs * num_volumes)
        )

    def half_width(self, num_runs: int, num_volumes: int) -> float:
        """Return half of the width of the 95 % interval."""
        return _Z * self.standard_error(num_runs, num_volumes)

    def power(self, num_runs: int, num_volumes: int, difference: float = DIFFERENCE) -> float:
        """Return the chance that a 95 % interval excludes 0 if the true difference is ``difference``."""
        error = self.standard_error(num_runs, num_volumes)
        if error == 0.0:
            return 1.0 if difference else 0.0
        return _NORMAL.cdf(difference / error - _Z) + _NORMAL.cdf(-difference / error - _Z)


@dataclass(frozen=True)
class Needed:
    """Smallest number of test volumes for a number of runs; None if no number suffices."""

    num_runs: int
    num_volumes: int | None


def difference_variance(
    a: Sequence[ChallengePredictions],
    b: Sequence[ChallengePredictions],
    truth: ChallengeTruth,
    bootstrap: int = REPLICATES,
    seed: int = 0,
) -> DifferenceVariance:
    """Estimate the variances from the runs of two variants.

    Args:
        a: runs of one variant, each paired with the run of ``b`` at its place. All pairs count as
            independent: of pairs that share a seed give one.
        b: runs of the other variant.
        truth: the volumes and lesions of all runs.
        bootstrap: draws of patients, at least 2.
        seed: of the draws.

    Raises:
        ValueError: fewer than 2 pairs, variants of different length, fewer than 2 draws or patients.
    """
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a variance needs at least 2 pairs of runs; got {len(a)} and {len(b)} runs")
    if bootstrap < 2 or len(truth.patients) < 2:
        raise ValueError(f"a variance needs 2 draws and 2 patients, got {bootstrap}, {len(truth.patients)}")
    copies = drawn_patients(truth, bootstrap, seed)
    drawn = mean_sensitivities([a], truth, copies) - mean_sensitivities([b], truth, copies)
    values = run_sensitivities([a], truth) - run_sensitivities([b], truth)
    return variance_of_draws(values, drawn, len(truth.patients), int(truth.is_positive.sum()))


def variance_of_draws(
    values: Float64Array, drawn: Float64Array, num_patients: int, num_volumes: int
) -> DifferenceVariance:
    """Estimate the variances from differences that are computed already.

    Args:
        values: (N,) difference of each pair of runs on all patients, at least 2 pairs.
        drawn: (R, N) the same on draws of patients; rows with NaN are left out.
        num_patients: how many patients were drawn from.
        num_volumes: volumes with a box.
    """
    num_runs = len(values)
    valid = drawn[~np.isnan(drawn).any(axis=1)]
    patients = num_patients / (num_patients - 1)
    single = patients * float(valid.var(axis=0, ddof=1).mean())
    together = patients * float(valid.mean(axis=1).var(ddof=1))
    chance = max((single - together) * num_runs / (num_runs - 1), 0.0)
    return DifferenceVariance(
        run=max(float(values.var(ddof=1)) - chance, 0.0),
        volume=max(single - chance, 0.0) * num_volumes,
        run_volume=chance * num_volumes,
        difference=float(values.mean()),
        num_runs=num_runs,
        num_volumes=num_volumes,
    )


def needed(
    variance: DifferenceVariance,
    difference: float = DIFFERENCE,
    power: float = POWER,
    num_runs: Iterable[int] = range(1, 21),
) -> list[Needed]:
    """Return for each number of runs the smallest number of volumes that reaches the power.

    Raises:
        ValueError: no difference is wanted, or ``power`` does not lie between 0.05 and 1.
    """
    if difference == 0.0 or not 2 * _NORMAL.cdf(-_Z) < power < 1.0:  # 0.05, the test's own share of errors
        raise ValueError(f"needed for a difference above 0 and a power in (0.05, 1): {difference}, {power}")
    most = abs(difference) / _shift(power)
    rows = []
    for runs in num_runs:
        left = most**2 - variance.run / runs
        per_volume = variance.volume + variance.run_volume / runs
        # The least number by the formula; the rounding of a division must not make it one too large.
        volumes = max(math.ceil(per_volume / left - 1e-9), 1) if left > 0 else None
        rows.append(Needed(runs, volumes))
    return rows


def _shift(power: float) -> float:
    """Return x with Phi(x - z) + Phi(-x - z) = power; the left side rises with x."""
    return float(brentq(lambda x: _NORMAL.cdf(x - _Z) + _NORMAL.cdf(-x - _Z) - power, 0.0, 20.0, xtol=1e-14))
