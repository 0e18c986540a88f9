"""Variants of a study compared: seeds, repetitions and patients are drawn together.

A variant is a nested list ``[seed][repetition]`` of predictions on one truth. Two sources of chance meet in
its mean sensitivity: which runs were made, and which patients were tested. A replicate draws seeds with
replacement, repetitions within each drawn seed, and patients; the same runs and patients for both variants,
so that what they share cancels out. Reference for resampling on every level: A. Davison and D. Hinkley,
"Bootstrap Methods and their Application" (1997), section 3.8.

Two errors of opposite sign remain. Of n seeds the draws show (n - 1) / n of their variance, so an interval of
few seeds is too narrow, and one of a single seed says nothing about others. What a run does on a patient by
chance is drawn with the runs and with the patients and so counted up to three times (A. Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 1, 2007), which widens it.

R replicates, N runs (all seeds and repetitions in order), K wanted FP rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from comoto.defaults import REPLICATES
from comoto.evaluation.bootstrap import Interval, patient_draws, percentile_interval
from comoto.evaluation.challenge import FPS_POSITIVE
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.paired import mean_sensitivity_positive
from comoto.evaluation.parts import resampled_positive
from comoto.progress import track
from comoto.records import IntArray
from comoto.tables import Float64Array

Variant = Sequence[Sequence[ChallengePredictions]]


@dataclass(frozen=True)
class HierarchicalEstimate:
    """A mean sensitivity of a variant, or the difference of two, over runs and patients.

    Attributes:
        value: mean over all runs.
        interval: percentile interval over draws of seeds, repetitions and patients.
        p_value: two-sided, of no difference: twice the smaller share of draws on one side of 0 or on it, one
            draw added to both; NaN without a draw.
        run_values: value of each run, ``[seed][repetition]``.
        replicates, seed: how to repeat it.
        without_lesion: replicates in which no drawn patient has a lesion; they are left out.
    """

    value: float
    interval: Interval
    p_value: float
    run_values: tuple[tuple[float, ...], ...]
    replicates: int
    seed: int
    without_lesion: int

    @property
    def num_runs(self) -> int:
        """Runs of a variant."""
        return sum(len(values) for values in self.run_values)

    @property
    def includes_zero(self) -> bool:
        """Whether the interval does not exclude 0; so does an interval of NaN."""
        return not (self.interval.low > 0.0 or self.interval.high < 0.0)


def hierarchical_difference(
    a: Variant, b: Variant, truth: ChallengeTruth, bootstrap: int = REPLICATES, seed: int = 0
) -> HierarchicalEstimate:
    """Compare the mean sensitivity at 1 to 4 false positives per positive volume, ``a`` minus ``b``.

    Args:
        a: the first variant; run ``a[i][k]`` is paired with ``b[i][k]`` (same patients trained on, same
            teacher, same order). Of variants that lack some runs pass the common ones.
        b: the second variant, of the same shape.
        truth: the volumes and lesions of all runs.
        bootstrap: replicates, at least 1.
        seed: of the draws.

    Raises:
        ValueError: the variants differ in shape or are empty, or ``bootstrap`` is below 1.
    """
    if variant_shape(a) != variant_shape(b):
        raise ValueError(
            f"paired variants have equal seeds and repetitions; got repetitions {variant_shape(a)} and "
            f"{variant_shape(b)}: pass the runs that both variants have"
        )
    copies = drawn_patients(truth, bootstrap, seed)
    at_a, at_b = (mean_sensitivities(variant, truth, copies) for variant in (a, b))
    values = run_sensitivities(a, truth) - run_sensitivities(b, truth)
    return _estimate(values, at_a - at_b, variant_shape(a), bootstrap, seed)


def hierarchical_interval(
    variant: Variant, truth: ChallengeTruth, bootstrap: int = REPLICATES, seed: int = 0
) -> HierarchicalEstimate:
    """Return the mean sensitivity of one variant; arguments and errors as ``hierarchical_difference``."""
    drawn = mean_sensitivities(variant, truth, drawn_patients(truth, bootstrap, seed))
    return _estimate(run_sensitivities(variant, truth), drawn, variant_shape(variant), bootstrap, seed)


def variant_shape(variant: Variant) -> tuple[int, ...]:
    """Return the number of repetitions of each seed.

    Raises:
        ValueError: no seed, or a seed without a repetition.
    """
    shape = tuple(len(repetitions) for repetitions in variant)
    if not shape or 0 in shape:
        raise ValueError(f"a variant needs a seed, and each seed a repetition; got repetitions {shape}")
    return shape


def drawn_patients(truth: ChallengeTruth, replicates: int, seed: int) -> IntArray:
    """Return how often each patient is drawn, (R, num_patients + 1); see ``patient_draws``.

    Raises:
        ValueError: ``replicates`` is below 1.
    """
    if replicates < 1:
        raise ValueError(f"an interval needs at least 1 replicate, got {replicates}")
    return np.stack(list(patient_draws(len(truth.patients), replicates, seed)))


def drawn_runs(shape: Sequence[int], replicates: int, seed: int) -> IntArray:
    """Return how often each run is drawn, (R, N): seeds first, then as many repetitions as a seed has."""
    # A stream of its own: the draws of patients are those of ``paired_difference``.
    generator = np.random.default_rng([seed, 1])
    starts = np.concatenate([[0], np.cumsum(shape)])
    counts = np.zeros((replicates, int(starts[-1])), dtype=np.int64)
    for row in counts:
        for drawn in generator.integers(0, len(shape), size=len(shape)):
            runs = starts[drawn] + generator.integers(0, shape[drawn], size=shape[drawn])
            np.add.at(row, runs, 1)
    return counts


def mean_over_runs(values: Float64Array, counts: IntArray) -> Float64Array:
    """Return the mean (R,) over the drawn runs.

    Args:
        values: (R, N) of each run on the patients of each replicate.
        counts: (R, N) from ``drawn_runs``.
    """
    return np.asarray((values * counts).sum(axis=1) / counts.sum(axis=1), dtype=np.float64)


def run_sensitivities(variant: Variant, truth: ChallengeTruth) -> Float64Array:
    """Return the mean sensitivity of each run on all patients, (N,)."""
    return np.array([mean_sensitivity_positive(run, truth) for run in chain.from_iterable(variant)])


def mean_sensitivities(variant: Variant, truth: ChallengeTruth, copies: IntArray) -> Float64Array:
    """Return the mean sensitivity of each run on each draw of patients, (R, N)."""
    fps: Float64Array = np.array(FPS_POSITIVE)
    runs = list(chain.from_iterable(variant))
    drawn = [
        resampled_positive(run, truth).sensitivity_at_draws(fps, copies).mean(axis=1)
        for run in track(runs, "bootstrap", len(runs))
    ]
    return np.stack(drawn, axis=1)


def _estimate(
    values: Float64Array, drawn: Float64Array, shape: tuple[int, ...], replicates: int, seed: int
) -> HierarchicalEstimate:
    """Summarise runs (N,) and their draws (R, N)."""
    means = mean_over_runs(drawn, drawn_runs(shape, replicates, seed))
    ends = np.cumsum(shape)
    return HierarchicalEstimate(
        value=float(values.mean()),
        interval=percentile_interval(means),
        p_value=_two_sided(means[~np.isnan(means)]),
        run_values=tuple(tuple(part.tolist()) for part in np.split(values, ends[:-1])),
        replicates=replicates,
        seed=seed,
        without_lesion=int(np.isnan(means).sum()),
    )


def _two_sided(draws: Float64Array) -> float:
    """Return the bootstrap's p-value (Davison and Hinkley 1997, section 4.2: one draw is added)."""
    if not len(draws):
        return math.nan
    rarer = min(int((draws <= 0.0).sum()), int((draws >= 0.0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(draws) + 1))
