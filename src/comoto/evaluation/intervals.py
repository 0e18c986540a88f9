"""Which interval is made of bootstrap replicates: percentile, or corrected for few patients.

``percentile`` takes quantiles of the replicates. Of n patients the draws show (n - 1) / n of the variance,
normal quantiles stand where Student's belong, and skewness is left out, so that of few patients it is too
narrow: ``benchmarks/interval_coverage.py`` measures how much.

``bca`` moves the quantiles by the share of replicates below the value and by the skewness of the values
without one patient each (bias-corrected and accelerated: B. Efron, "Better bootstrap confidence intervals",
JASA 82, 1987), starting from tails that undo the other two errors: the tail a becomes
Phi(-sqrt(n / (n - 1)) t), with Student's t of n - 1 degrees of freedom at 1 - a (T. Hesterberg, "What
Teachers Should Know About the Bootstrap", The American Statistician 69, 2015). Differences of two variants
are hardly skewed, and there it gained nothing in the same trials.

R replicates, K metrics, P patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from comoto.evaluation.bootstrap import (
    BAND_FPS,
    LEVEL,
    Band,
    Bootstrap,
    Interval,
    ResampledFroc,
    at_draws,
    percentile_band,
    resample,
    without_one,
)
from comoto.evaluation.froc import Froc
from comoto.tables import Float64Array

IntervalKind = Literal["percentile", "bca"]
FEW_PATIENTS = 60
"""Below, an interval is said to be rough."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        replicates: draws of patients, 0 for no intervals.
        seed: of the draws.
        kind: which interval.

    Examples:
        >>> Resampling(replicates=1000, seed=3, kind="bca")
        Resampling(replicates=1000, seed=3, kind='bca')
    """

    replicates: int = 0
    seed: int = 0
    kind: IntervalKind = "percentile"

    def __post_init__(self) -> None:
        if self.replicates < 0:
            raise ValueError(f"bootstrap must not be negative, got {self.replicates}")
        if self.kind not in ("percentile", "bca"):
            raise ValueError(f"interval must be 'percentile' or 'bca', got {self.kind!r}")

    @staticmethod
    def of(bootstrap: int | Resampling, seed: int) -> Resampling:
        """Return what a caller gave as a number of replicates and a seed, or whole."""
        return bootstrap if isinstance(bootstrap, Resampling) else Resampling(bootstrap, seed)

    def warnings(self, num_patients: int) -> tuple[str, ...]:
        """Say that intervals of few patients are rough."""
        if not self.replicates or num_patients >= FEW_PATIENTS:
            return ()
        text = f"{num_patients} patients are few for an interval"
        if self.kind == "percentile":
            return (
                f"{text}: of 40 patients, a 95 % percentile interval held the true value in 89 to 93 % of "
                "trials, of 20 in 85 to 88 %; --interval bca corrects most of it",
            )
        return (f"{text}: of 20 patients, 92 to 94 % of such intervals held the true value in trials",)


@dataclass(frozen=True)
class ReadCurve:
    """A curve, and at which FP rates metrics are read off it.

    Attributes:
        whole: of all patients.
        resampled: ready for draws of patients.
        rates: by the metric's name.
        mean: name of a mean of metrics, and of which ones in their order.
    """

    whole: Froc
    resampled: ResampledFroc
    rates: Mapping[str, float]
    mean: tuple[str, slice] | None = None

    @property
    def fps(self) -> Float64Array:
        """The rates of the metrics and those of the band."""
        return np.concatenate([np.array(list(self.rates.values())), BAND_FPS])


def bootstrap_of(curves: Mapping[str, ReadCurve], num_patients: int, draws: Resampling) -> Bootstrap:
    """Return the interval of every metric and the band of every curve, all of the same draws."""
    wanted = [(curve.resampled, curve.fps) for curve in curves.values()]
    drawn = resample(wanted, num_patients, draws.replicates, draws.seed)
    left_out = leave_one_out(wanted, num_patients) if draws.kind == "bca" else [None] * len(wanted)
    intervals, bands = {}, {}
    for (name, curve), values, without in zip(curves.items(), drawn, left_out, strict=True):
        value = curve.whole.sensitivity_at(curve.fps)
        low, high = limits(values, value, without)
        for place, metric in enumerate(curve.rates):
            intervals[metric] = Interval(float(low[place]), float(high[place]))
        if curve.mean is not None:
            metric, of = curve.mean
            jackknife = None if without is None else without[:, of].mean(axis=1)
            intervals[metric] = interval_of(values[:, of].mean(axis=1), float(value[of].mean()), jackknife)
        bands[name] = Band(BAND_FPS, low[len(curve.rates) :], high[len(curve.rates) :])
    return Bootstrap(
        replicates=draws.replicates,
        seed=draws.seed,
        without_lesion=int(np.isnan(drawn[0][:, 0]).sum()),
        intervals=intervals,
        bands=bands,
        kind=draws.kind,
    )


def limits(
    values: Float64Array, value: Float64Array, without: Float64Array | None
) -> tuple[Float64Array, Float64Array]:
    """Return the limits (K,) of an interval of ``LEVEL``.

    Args:
        values: (R, K) replicates; rows with NaN are left out.
        value: (K,) the metrics themselves.
        without: (P, K) the metrics without one patient each, rows with NaN left out: BCa; None: percentile.
    """
    if without is None:
        return percentile_band(values)
    valid = values[~np.isnan(values).any(axis=1)]
    jackknife = without[~np.isnan(without).any(axis=1)]
    if not len(valid) or len(jackknife) < 2:
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing
    # Ties count half: metrics of few lesions are coarse. A share of 0 or 1 would move a quantile to infinity.
    below = ((valid < value).sum(axis=0) + 0.5 * (valid == value).sum(axis=0)) / len(valid)
    bias = ndtri(np.clip(below, 1 / (len(valid) + 1), len(valid) / (len(valid) + 1)))
    apart = jackknife.mean(axis=0) - jackknife
    scale = (apart**2).sum(axis=0) ** 1.5
    skew = np.divide((apart**3).sum(axis=0), 6.0 * scale, out=np.zeros_like(scale), where=scale > 0)
    spread = _expanded(len(without))
    ends = []
    for quantile in (-spread, spread):
        moved = bias + (bias + quantile) / (1.0 - skew * (bias + quantile))
        shares = ndtr(moved)
        ends.append(np.array([np.quantile(valid[:, k], shares[k]) for k in range(len(shares))]))
    return ends[0], ends[1]


def interval_of(values: Float64Array, value: float, without: Float64Array | None) -> Interval:
    """Return the interval of one metric: ``limits`` with values (R,) and without (P,).

    Examples:
        >>> values = np.arange(101) / 100  # the metric in 101 draws of patients
        >>> round(interval_of(values, 0.5, None).low, 3)
        0.025
    """
    column = None if without is None else without[:, np.newaxis]
    low, high = limits(values[:, np.newaxis], np.array([value]), column)
    return Interval(float(low[0]), float(high[0]))


def leave_one_out(
    curves: Sequence[tuple[ResampledFroc, Float64Array]], num_patients: int
) -> list[Float64Array]:
    """Evaluate curves without one patient each.

    Args:
        curves: each with its wanted FP rates (K,).
        num_patients: P.

    Returns:
        One (P, K) array per curve, NaN rows where nobody else has a lesion.
    """
    computed = [partial(curve.sensitivity_at_draws, fps) for curve, fps in curves]
    return at_draws(computed, without_one(num_patients, range(num_patients)))


def _expanded(num_patients: int) -> float:
    """Return the distance of the tails in standard deviations that fits so many patients."""
    tail = (1.0 - LEVEL) / 2.0
    return float(np.sqrt(num_patients / (num_patients - 1)) * stdtrit(num_patients - 1, 1.0 - tail))
