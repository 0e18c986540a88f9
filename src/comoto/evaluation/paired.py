"""The difference between two predictions on the same volumes, with the same draws of patients.

Two separate intervals say little about a difference: both predictions meet the same easy and hard patients.
Here every replicate draws patients once and evaluates both on them, so that what they share cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comoto.evaluation.bootstrap import Interval, percentile_interval, resample
from comoto.evaluation.challenge import FPS_POSITIVE
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.froc import Froc, froc
from comoto.evaluation.parts import resampled_positive
from comoto.tables import Float64Array


@dataclass(frozen=True)
class PairedDifference:
    """How much higher the mean sensitivity of one prediction is than that of another.

    Attributes:
        value: ``mean_sensitivity_positive`` of the first minus that of the second.
        interval: percentile interval of the difference over draws of patients.
        replicates, seed: how to repeat it.
        without_lesion: replicates in which no drawn patient has a lesion; they are left out.
    """

    value: float
    interval: Interval
    replicates: int
    seed: int
    without_lesion: int

    @property
    def includes_zero(self) -> bool:
        """Whether the interval does not exclude that there is no difference; so does an interval of NaN."""
        return not (self.interval.low > 0.0 or self.interval.high < 0.0)


def paired_difference(
    a: ChallengePredictions, b: ChallengePredictions, truth: ChallengeTruth, bootstrap: int, seed: int
) -> PairedDifference:
    """Compare the mean sensitivity at 1 to 4 false positives per positive volume, ``a`` minus ``b``.

    Args:
        a: read with ``read_predictions`` against ``truth``.
        b: likewise.
        truth: the volumes and lesions of both.
        bootstrap: replicates of patients drawn with replacement, at least 1.
        seed: of the draws.

    Raises:
        ValueError: ``bootstrap`` is below 1.

    Examples:
        >>> from comoto.evaluation.challenge_tables import challenge_tables, read_predictions, read_truth
        >>> from comoto.records import Manifest, Split
        >>> test = Manifest.load("manifests/bcs-dbt").split(Split.TEST)
        >>> truth = read_truth(*challenge_tables(test), min_radius=8)
        >>> ours = read_predictions("predictions.csv", truth)
        >>> paired_difference(ours, ours, truth, bootstrap=100, seed=0).value
        0.0
    """
    if bootstrap < 1:
        raise ValueError(f"a paired interval needs at least 1 replicate, got {bootstrap}")
    fps: Float64Array = np.array(FPS_POSITIVE)
    curves = [(resampled_positive(found, truth), fps) for found in (a, b)]
    at_a, at_b = resample(curves, len(truth.patients), bootstrap, seed)
    differences = at_a.mean(axis=1) - at_b.mean(axis=1)
    return PairedDifference(
        value=mean_sensitivity_positive(a, truth) - mean_sensitivity_positive(b, truth),
        interval=percentile_interval(differences),
        replicates=bootstrap,
        seed=seed,
        without_lesion=int(np.isnan(differences).sum()),
    )


def mean_sensitivity_positive(found: ChallengePredictions, truth: ChallengeTruth) -> float:
    """Return the challenge's ranking metric of predictions that are matched already."""
    return float(positive_froc(found, truth).sensitivity_at(FPS_POSITIVE).mean())


def positive_froc(found: ChallengePredictions, truth: ChallengeTruth) -> Froc:
    """Return the curve over the volumes with a box."""
    kept = found.on_positive(truth)
    num_volumes = int(truth.is_positive.sum())
    return froc(found.scores[kept], found.hit_lesion[kept], len(truth.lesion_volume), num_volumes)
