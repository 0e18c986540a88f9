"""Figures of a cohort that can be computed again on any draw of patients, and their intervals.

A figure is a function of how often each patient is drawn; drawn once each, it is the figure itself. So all
figures, whatever they are made of, get their intervals in one way and of the same draws.

P patients, R replicates, K figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from comoto.evaluation.bootstrap import Interval, ResampledFroc, at_draws, patient_draws, without_one
from comoto.evaluation.challenge import FPS_ALL, FPS_POSITIVE, MEAN_NAME, METRIC_ALL, METRICS_POSITIVE
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.froc import finite_or_none
from comoto.evaluation.intervals import Resampling, limits
from comoto.evaluation.parts import Part, resampled
from comoto.records import IntArray
from comoto.tables import Float64Array

CPM_FPS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""Rates of the competition performance metric: M. Niemeijer et al., "On combining computer-aided detection
systems", IEEE Transactions on Medical Imaging 30 (2011), and the LUNA16 challenge."""
CPM_NAME = "cpm"


class Figures(Protocol):
    """One or several figures of one kind."""

    @property
    def names(self) -> tuple[str, ...]:
        """The figures' names, K of them."""

    def at(self, copies: IntArray) -> Float64Array:
        """Return the figures (R, K) of draws (R, P + 1); NaN where a draw has none.

        The last column of ``copies`` is 1 and serves what has no patient.
        """


@dataclass(frozen=True)
class Judged:
    """One figure.

    Attributes:
        value: NaN where the cohort has no such figure.
        interval: None if not asked for.
    """

    value: float
    interval: Interval | None

    def record(self) -> dict[str, Any]:
        """Return plain values; what is not known is None."""
        if self.interval is None:
            return {"value": finite_or_none(self.value), "interval": None}
        ends = [finite_or_none(self.interval.low), finite_or_none(self.interval.high)]
        return {"value": finite_or_none(self.value), "interval": ends}

    def text(self, digits: int = 4) -> str:
        """Return it as in a table: ``0.5977  [0.5394, 0.6527]``; a dash where there is none."""
        if np.isnan(self.value):
            return "-"
        if self.interval is None or np.isnan(self.interval.low):
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f}  [{self.interval.low:.{digits}f}, {self.interval.high:.{digits}f}]"


def judged(
    figures: Sequence[Figures], num_patients: int, draws: Resampling, members: IntArray
) -> list[dict[str, Judged]]:
    """Return figures with their intervals, by name, of each kind.

    Args:
        figures: kinds.
        num_patients: P, all of whom are drawn from.
        draws: how intervals are made.
        members: the patients whose absence changes something, for BCa.
    """
    once = [each.at(np.ones((1, num_patients + 1), dtype=np.int64))[0] for each in figures]
    if not draws.replicates:
        return [_named(each, value, None) for each, value in zip(figures, once, strict=True)]
    computed = [each.at for each in figures]
    drawn = at_draws(computed, patient_draws(num_patients, draws.replicates, draws.seed))
    left_out = (
        [None] * len(figures)
        if draws.kind != "bca"
        else at_draws(computed, without_one(num_patients, members.tolist()))
    )
    return [
        _named(each, value, limits(values, value, without))
        for each, value, values, without in zip(figures, once, drawn, left_out, strict=True)
    ]


def _named(
    figures: Figures, value: Float64Array, ends: tuple[Float64Array, Float64Array] | None
) -> dict[str, Judged]:
    if ends is None:
        return {name: Judged(float(value[k]), None) for k, name in enumerate(figures.names)}
    low, high = ends
    return {
        name: Judged(float(value[k]), Interval(float(low[k]), float(high[k])))
        for k, name in enumerate(figures.names)
    }


@dataclass(frozen=True)
class FrocFigures:
    """Sensitivities at some rates of false positives.

    Attributes:
        curve: of which they are read.
        rates: false positives per volume by the figure's name.
        mean: name of their mean, None for no mean.
    """

    curve: ResampledFroc
    rates: Mapping[str, float]
    mean: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The rates' names, and that of the mean."""
        return (*self.rates, *(() if self.mean is None else (self.mean,)))

    def at(self, copies: IntArray) -> Float64Array:
        """Return them (R, K) for draws (R, P + 1)."""
        values = self.curve.sensitivity_at_draws(np.array(list(self.rates.values())), copies)
        return values if self.mean is None else np.column_stack([values, values.mean(axis=1)])


def challenge_figures(found: ChallengePredictions, truth: ChallengeTruth, part: Part) -> tuple[Figures, ...]:
    """Return the challenge's six metrics, of a part and of whatever hits."""
    positive = dict(zip(METRICS_POSITIVE, FPS_POSITIVE, strict=True))
    return (
        FrocFigures(resampled(found, truth, part, only_positive=True), positive, MEAN_NAME),
        FrocFigures(resampled(found, truth, part, only_positive=False), {METRIC_ALL: FPS_ALL[0]}),
    )


def all_volume_figures(found: ChallengePredictions, truth: ChallengeTruth, part: Part) -> Figures:
    """Return the sensitivities over all volumes at ``CPM_FPS``, and their mean."""
    rates = {f"sensitivity_at_{fps:g}_fps_all": fps for fps in CPM_FPS}
    return FrocFigures(resampled(found, truth, part, only_positive=False), rates, CPM_NAME)
