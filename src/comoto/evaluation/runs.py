"""What many runs of one variant say together: a FROC band, and sensitivity by lesion size.

N runs, L lesions, K FP rates, G groups of lesions, R replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from comoto.evaluation.bootstrap import BAND_FPS, Band, Interval, percentile_band, percentile_interval
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.hierarchical import Variant, drawn_patients, drawn_runs, mean_over_runs, variant_shape
from comoto.evaluation.paired import positive_froc
from comoto.evaluation.parts import resampled_positive
from comoto.progress import track
from comoto.records import IntArray
from comoto.tables import BoolArray, Float64Array


@dataclass(frozen=True)
class RunsFroc:
    """FROC curves of runs over the volumes with a box, read at common FP rates.

    Attributes:
        fps_per_image: (K,).
        sensitivity: (N, K) of each run.
        band: percentile band of the mean over draws of seeds, repetitions and patients; None without draws.
    """

    fps_per_image: Float64Array
    sensitivity: Float64Array
    band: Band | None

    @property
    def mean(self) -> Float64Array:
        """Mean over the runs, (K,)."""
        return np.asarray(self.sensitivity.mean(axis=0))

    @property
    def lowest(self) -> Float64Array:
        """The worst run at each FP rate, (K,)."""
        return np.asarray(self.sensitivity.min(axis=0))

    @property
    def highest(self) -> Float64Array:
        """The best run at each FP rate, (K,)."""
        return np.asarray(self.sensitivity.max(axis=0))


@dataclass(frozen=True)
class LesionSizes:
    """Sizes of the lesions and the limits of their groups, in any one unit.

    Attributes:
        values: (L,) in the order of the lesions.
        edges: (G + 1,) rising; a group is half-open, [low, high).
    """

    values: Float64Array
    edges: Float64Array

    def __post_init__(self) -> None:
        if len(self.edges) < 2 or not (np.diff(self.edges) > 0).all():
            raise ValueError(f"groups need at least two rising edges, got {list(self.edges)}")

    @staticmethod
    def in_equal_groups(values: Float64Array, number: int) -> LesionSizes:
        """Make groups that hold as equal numbers of lesions as ties allow.

        The last edge lies just above the largest size, so that no lesion is left out. Sizes that are all
        alike give one group.
        """
        inner = np.quantile(values, np.arange(number) / number)
        return LesionSizes(values, np.unique(np.append(inner, np.nextafter(values.max(), np.inf))))


@dataclass(frozen=True)
class SizeGroup:
    """Lesions of one range of sizes.

    Attributes:
        low, high: the range, half-open [low, high).
        num_lesions: lesions in it.
        sensitivity: mean share found over the runs, NaN without lesions.
        run_values: (N,) share found by each run.
        interval: over draws of seeds, repetitions and patients; None without draws.
    """

    low: float
    high: float
    num_lesions: int
    sensitivity: float
    run_values: tuple[float, ...]
    interval: Interval | None


def froc_over_runs(
    variant: Variant,
    truth: ChallengeTruth,
    fps_per_image: Float64Array = BAND_FPS,
    bootstrap: int = 0,
    seed: int = 0,
) -> RunsFroc:
    """Read the curve of every run at common FP rates.

    Args:
        variant: ``[seed][repetition]``, as for ``hierarchical_difference``.
        truth: the volumes and lesions of all runs.
        fps_per_image: (K,) false positives per volume with a box.
        bootstrap: replicates of the band, 0 for none.
        seed: of the draws.

    Raises:
        ValueError: the variant is empty, or ``bootstrap`` is negative.
    """
    shape, runs = variant_shape(variant), list(chain.from_iterable(variant))
    curves = np.stack([positive_froc(run, truth).sensitivity_at(fps_per_image) for run in runs])
    if not bootstrap:
        return RunsFroc(fps_per_image, curves, None)
    copies = drawn_patients(truth, bootstrap, seed)
    counts = drawn_runs(shape, bootstrap, seed)
    total = np.zeros((bootstrap, len(fps_per_image)))
    for place, run in enumerate(track(runs, "bootstrap", len(runs))):
        drawn = resampled_positive(run, truth).sensitivity_at_draws(fps_per_image, copies)
        total += drawn * counts[:, place, np.newaxis]
    means = total / counts.sum(axis=1, keepdims=True)
    return RunsFroc(fps_per_image, curves, Band(fps_per_image, *percentile_band(means)))


def sensitivity_by_size(
    variant: Variant,
    truth: ChallengeTruth,
    sizes: LesionSizes,
    fps_per_image: float = 2.0,
    bootstrap: int = 0,
    seed: int = 0,
) -> list[SizeGroup]:
    """Break the sensitivity at a fixed FP rate down by the size of the lesions.

    A lesion is found by a run if its best score reaches the lowest threshold that keeps the run's false
    positives per volume with a box at or below the wanted rate. The threshold stays as it is in the draws.

    Args:
        variant: ``[seed][repetition]``, as for ``hierarchical_difference``.
        truth: the volumes and lesions of all runs.
        sizes: of the lesions of ``truth``, and the groups.
        fps_per_image: the FP rate.
        bootstrap: replicates of the intervals, 0 for none.
        seed: of the draws.

    Raises:
        ValueError: the sizes do not fit the lesions, the variant is empty, or ``bootstrap`` is negative.
    """
    shape = variant_shape(variant)
    if sizes.values.shape != truth.lesion_volume.shape:
        raise ValueError(f"{len(truth.lesion_volume)} lesions need as many sizes, got {sizes.values.shape}")
    found = np.stack([_found(run, truth, fps_per_image) for run in chain.from_iterable(variant)])
    group = np.searchsorted(sizes.edges, sizes.values, side="right") - 1
    drawn = (
        (drawn_patients(truth, bootstrap, seed), drawn_runs(shape, bootstrap, seed)) if bootstrap else None
    )
    result = []
    for number, (low, high) in enumerate(pairwise(sizes.edges.tolist())):
        inside = np.flatnonzero(group == number)
        shares = _shares(found[:, inside])
        result.append(
            SizeGroup(
                low=low,
                high=high,
                num_lesions=len(inside),
                sensitivity=float(shares.mean()),
                run_values=tuple(shares.tolist()),
                interval=None if drawn is None else _interval(found[:, inside], truth, inside, *drawn),
            )
        )
    return result


def _found(run: ChallengePredictions, truth: ChallengeTruth, fps_per_image: float) -> BoolArray:
    curve = positive_froc(run, truth)
    return np.asarray(curve.lesion_scores >= curve.threshold_at(fps_per_image))


def _shares(found: BoolArray) -> Float64Array:
    """Return the share found by each run, (N,), NaN without lesions."""
    if not found.shape[1]:
        return np.full(len(found), np.nan)
    return np.asarray(found.mean(axis=1), dtype=np.float64)


def _interval(
    found: BoolArray, truth: ChallengeTruth, lesions: IntArray, copies: IntArray, counts: IntArray
) -> Interval:
    """Return the interval of the share found of some lesions; draws without any are left out."""
    weights = copies[:, truth.volume_patient[truth.lesion_volume[lesions]]].astype(np.float64)  # (R, lesions)
    number = weights.sum(axis=1, keepdims=True)
    shares = np.divide(
        weights @ found.T, number, out=np.full((len(copies), len(found)), np.nan), where=number > 0
    )
    return percentile_interval(mean_over_runs(shares, counts))
