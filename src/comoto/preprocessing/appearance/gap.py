"""The gap between how mammograms and slices look, and whether matching them is likely to pay."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from comoto.errors import ConfigError
from comoto.preprocessing.appearance.sample import Appearance, Sampling, read_appearance
from comoto.preprocessing.appearance.spectra import Floats, read_spectra
from comoto.preprocessing.store import PreparedStore
from comoto.records import Modality

SMALL_GAP = 1.0
LARGE_GAP = 2.0
"""Differences of the exponents at about 256 rows, 0.8 mm a pixel. Where they differed by 1.0, as in real
images (0.9), matching gave nothing; where by 2.8, it gave 8 to 10 points (docs/appearance.md). Between them
nothing was measured."""
_REPLICATES = 1000
_PERCENTILES = (2.5, 97.5)
_FIGURES = (
    ("coarse_exponent", "exponent at about 256 rows"),
    ("exponent", "exponent on the stores' grid"),
    ("fine_exponent", "the same above 0.2 cycles a pixel"),
    ("fine_share", "fine share of the variance"),
    ("y_over_x", "along the chest wall over across"),
)


@dataclass(frozen=True)
class FigureGap:
    """One figure of mammograms and slices.

    Attributes:
        mammograms, slices: of the mean spectrum of all patients.
        spread_mammograms, spread_slices: standard deviation over patients.
        difference: slices minus mammograms.
        low, high: 95 % interval of the difference, patients of both drawn anew.
        deviations: the difference over the root mean square of the two spreads.
    """

    mammograms: float
    slices: float
    spread_mammograms: float
    spread_slices: float
    difference: float
    low: float
    high: float
    deviations: float


@dataclass(frozen=True)
class HistogramGap:
    """How far the grey values of mammograms and slices are apart.

    The distance is the mean shift of a pixel, in grey values of 255, that turns one histogram of the breast
    into the other (Wasserstein's first).

    Attributes:
        distance: between the mean histograms.
        low, high: its 95 % interval, patients of both drawn anew; never below 0, so 0 is not in it even where
            there is no gap.
        spread_mammograms, spread_slices: mean distance of a patient from the others of the same store.
    """

    distance: float
    low: float
    high: float
    spread_mammograms: float
    spread_slices: float


@dataclass(frozen=True)
class AppearanceGap:
    """What ``comoto appearance measure`` found.

    Attributes:
        mammograms, slices: name of each store, patients and pictures looked at.
        figures: ``coarse_exponent``, that of pictures halved to about 256 rows; of pictures as they are
            ``exponent``, ``fine_exponent``, ``fine_share`` and ``y_over_x``.
        histogram: of the grey values in the breast.
    """

    mammograms: tuple[str, int, int]
    slices: tuple[str, int, int]
    figures: dict[str, FigureGap]
    histogram: HistogramGap

    @property
    def verdict(self) -> str:
        """``likely``, ``open`` or ``unlikely``: whether matching the spectrum pays in training."""
        gap = abs(self.figures["coarse_exponent"].difference)
        return "likely" if gap >= LARGE_GAP else "unlikely" if gap <= SMALL_GAP else "open"

    @property
    def advice(self) -> str:
        """The verdict in a sentence."""
        gap = abs(self.figures["coarse_exponent"].difference)
        apart = f"the exponents at about 256 rows differ by {gap:.1f}"
        if self.verdict == "likely":
            return (
                f"{apart}, at least {LARGE_GAP:.1f}: matching is likely to pay; make a store with 'comoto "
                "appearance match' and compare on validation patients"
            )
        if self.verdict == "unlikely":
            return (
                f"{apart}, at most {SMALL_GAP:.1f}: matching is unlikely to pay and may cost a little; train "
                "on the mammograms as they are"
            )
        return (
            f"{apart}, between {SMALL_GAP:.1f} and {LARGE_GAP:.1f}, of which nothing is known: train with "
            "and without 'comoto appearance match' and compare on validation patients"
        )

    def text(self) -> str:
        """Return the table and the verdict."""
        head = f"{'':<34}{'mammograms':>16}{'slices':>16}   difference [95 %]"
        lines = [
            f"mammograms: {_looked_at(self.mammograms)}",
            f"slices: {_looked_at(self.slices)}",
            "",
            head,
        ]
        for key, name in _FIGURES:
            gap = self.figures[key]
            lines.append(
                f"{name:<34}{gap.mammograms:>9.2f} ± {gap.spread_mammograms:.2f}"
                f"{gap.slices:>9.2f} ± {gap.spread_slices:.2f}"
                f"   {gap.difference:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}], "
                f"{abs(gap.deviations):.1f} standard deviations"
            )
        grey = self.histogram
        lines.append(
            f"{'grey values, distance of 255':<34}{grey.spread_mammograms:>16.1f}{grey.spread_slices:>16.1f}"
            f"   {grey.distance:.1f} [{grey.low:.1f}, {grey.high:.1f}]"
        )
        lines += [
            "± is the spread over patients; grey values: of a patient from the others, and of the two stores",
            "",
            f"verdict: {self.advice}",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "mammograms": dict(zip(("store", "patients", "images"), self.mammograms, strict=True)),
            "slices": dict(zip(("store", "patients", "images"), self.slices, strict=True)),
            "figures": {key: asdict(gap) for key, gap in self.figures.items()},
            "histogram": asdict(self.histogram),
            "verdict": self.verdict,
            "advice": self.advice,
        }


def measure(mammograms: PreparedStore, volumes: PreparedStore, sampling: Sampling) -> AppearanceGap:
    """Measure the gap between training patients of two stores of one grid.

    Raises:
        ConfigError: the stores were prepared with other settings, which are named.
        DatasetError: a store is of another modality, has no training patients, or hardly a patch fits.
    """
    return compare(*read_both(mammograms, volumes, sampling), sampling.seed)


def read_both(
    mammograms: PreparedStore, volumes: PreparedStore, sampling: Sampling
) -> tuple[Appearance, Appearance]:
    """Return what mammograms and slices look like.

    Raises:
        ConfigError, DatasetError: as ``measure``.
    """
    _refuse_other_grids(mammograms, volumes)
    one = read_appearance(mammograms, Modality.MAMMOGRAM, sampling)
    return one, read_appearance(volumes, Modality.TOMOSYNTHESIS, sampling)


def _refuse_other_grids(mammograms: PreparedStore, volumes: PreparedStore) -> None:
    one, other = mammograms.config.model_dump(), volumes.config.model_dump()
    differing = [f"{key} {one[key]} and {other[key]}" for key in one if one[key] != other[key]]
    if differing:
        raise ConfigError(
            f"{mammograms.folder} and {volumes.folder}: were prepared with other settings "
            f"({'; '.join(differing)}); prepare both alike"
        )


def compare(mammograms: Appearance, slices: Appearance, seed: int) -> AppearanceGap:
    """Return the gap between what was read of two stores."""
    rng = np.random.default_rng(seed)
    drawn = [
        rng.multinomial(each.patients, [1 / each.patients] * each.patients, _REPLICATES) / each.patients
        for each in (mammograms, slices)
    ]
    both = list(zip((mammograms, slices), drawn, strict=True))
    values = [_read(each, np.full((1, each.patients), 1 / each.patients))[0] for each, _ in both]
    spreads = [_read(each, np.eye(each.patients)).std(axis=0, ddof=1) for each, _ in both]
    means = [_read(each, weights) for each, weights in both]
    low, high = np.percentile(means[1] - means[0], _PERCENTILES, axis=0)
    typical = np.sqrt((spreads[0] ** 2 + spreads[1] ** 2) / 2)
    figures = {
        key: FigureGap(
            mammograms=float(values[0][column]),
            slices=float(values[1][column]),
            spread_mammograms=float(spreads[0][column]),
            spread_slices=float(spreads[1][column]),
            difference=float(values[1][column] - values[0][column]),
            low=float(low[column]),
            high=float(high[column]),
            deviations=float((values[1][column] - values[0][column]) / typical[column]),
        )
        for column, (key, _) in enumerate(_FIGURES)
    }
    return AppearanceGap(
        (mammograms.store, mammograms.patients, mammograms.images),
        (slices.store, slices.patients, slices.images),
        figures,
        _histogram_gap(mammograms.histograms, slices.histograms, drawn),
    )


def histogram_distance(one: Floats, other: Floats) -> Floats:
    """Return the mean shift of a pixel, in grey values, between histograms (..., 256) that sum to 1."""
    return np.asarray(np.abs(np.cumsum(one - other, axis=-1)).sum(axis=-1))


def _read(appearance: Appearance, weights: Floats) -> Floats:
    """Return the figures (M, 5), in the order of ``_FIGURES``, of patients weighted (M, N)."""
    coarse = read_spectra(np.tensordot(weights, appearance.coarse_powers, axes=1))[:, :1]
    return np.hstack([coarse, read_spectra(np.tensordot(weights, appearance.powers, axes=1))])


def _histogram_gap(mammograms: Floats, slices: Floats, drawn: list[Floats]) -> HistogramGap:
    replicates = histogram_distance(drawn[0] @ mammograms, drawn[1] @ slices)
    low, high = np.percentile(replicates, _PERCENTILES)
    return HistogramGap(
        distance=float(histogram_distance(mammograms.mean(axis=0), slices.mean(axis=0))),
        low=float(low),
        high=float(high),
        spread_mammograms=_spread(mammograms),
        spread_slices=_spread(slices),
    )


def _spread(histograms: Floats) -> float:
    """Return the mean distance of a patient from the mean of all others."""
    others = (histograms.sum(axis=0) - histograms) / (len(histograms) - 1)
    return float(histogram_distance(histograms, others).mean())


def _looked_at(counts: tuple[str, int, int]) -> str:
    return "{}, {} training patients, {} images".format(*counts)
