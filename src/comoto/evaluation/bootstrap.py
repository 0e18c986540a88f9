"""Patient bootstrap of a FROC curve: patients are drawn with replacement, matching is done once.

A replicate takes as many patients as there are. A patient drawn twice brings its volumes, lesions and
detections twice, so the denominators move with the draw. Reference for the percentile interval: B. Efron,
"Better bootstrap confidence intervals", JASA 82 (1987), section 1.

N detections, L lesions, I images, T thresholds, R replicates, K wanted FP rates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from comoto.evaluation.froc import count_at_or_above, finite_or_none, froc_thresholds, lesion_scores
from comoto.progress import track
from comoto.records import IntArray
from comoto.tables import BoolArray, Float64Array

LEVEL = 0.95
BAND_FPS: Float64Array = np.unique(np.concatenate([np.linspace(0.0, 8.0, 81), np.geomspace(0.05, 1.0, 21)]))
"""FP rates at which the band of a figure is kept."""
DRAWS_AT_ONCE = 500
"""Replicates in one matrix product; bounds the memory."""


@dataclass(frozen=True)
class PatientIndex:
    """Which patient each thing belongs to; ``num_patients`` stands for "no known patient".

    Things without a patient enter every replicate exactly once.

    Attributes:
        num_patients: patients are numbered from 0.
        detection_patient: (N,).
        lesion_patient: (L,).
        image_patient: (I,).
    """

    num_patients: int
    detection_patient: IntArray
    lesion_patient: IntArray
    image_patient: IntArray


@dataclass(frozen=True)
class Interval:
    """An interval of ``LEVEL``."""

    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """Pointwise percentile interval of the sensitivity at ``fps_per_image``, all arrays of one length."""

    fps_per_image: Float64Array
    low: Float64Array
    high: Float64Array

    def record(self, unit: str) -> dict[str, list[float | None]]:
        """Return the band for JSON."""
        return {
            f"fps_per_{unit}": [finite_or_none(value) for value in self.fps_per_image],
            "low": [finite_or_none(value) for value in self.low],
            "high": [finite_or_none(value) for value in self.high],
        }


@dataclass(frozen=True)
class Bootstrap:
    """What the replicates say.

    Attributes:
        replicates, seed: how to repeat it.
        without_lesion: replicates in which no drawn patient has a lesion; they have no sensitivity and
            are left out of the intervals.
        intervals: by the name of the metric.
        bands: by the name of the curve.
        kind: ``percentile`` or ``bca``, see ``comoto.evaluation.intervals``.
    """

    replicates: int
    seed: int
    without_lesion: int
    intervals: dict[str, Interval]
    bands: dict[str, Band]
    kind: str = "percentile"

    def record(self) -> dict[str, Any]:
        """Return the intervals for JSON."""
        return {
            "method": f"{self.kind}, patients drawn with replacement",
            "level": LEVEL,
            "replicates": self.replicates,
            "seed": self.seed,
            "replicates_without_lesion": self.without_lesion,
            "intervals": {
                name: [finite_or_none(each.low), finite_or_none(each.high)]
                for name, each in self.intervals.items()
            },
        }

    def text(self) -> str:
        """Return one line on how the intervals were made."""
        text = (
            f"{100 * LEVEL:.0f} % {self.kind}, {self.replicates} replicates of patients drawn with "
            f"replacement, seed {self.seed}"
        )
        if self.without_lesion:
            text += f"; {self.without_lesion} replicates without a lesion left out"
        return text


class ResampledFroc:
    """A FROC curve that is evaluated quickly on a draw of patients.

    Equal to ``froc`` on tables in which a patient drawn k times stands k times under new names.

    Attributes:
        thresholds: (T,) as ``froc_thresholds`` makes them.
    """

    def __init__(
        self,
        scores: Float64Array,
        hit_lesion: IntArray,
        cohort: PatientIndex,
        counted: BoolArray | None = None,
    ) -> None:
        """Sort once.

        Args:
            scores: (N,) as for ``froc``.
            hit_lesion: (N,) as for ``froc``.
            cohort: the patients of the same detections, of the lesions and of the images.
            counted: (L,) the lesions of which the sensitivity is; detections that hit others are no false
                positives. All if None.
        """
        self.thresholds = froc_thresholds(scores, hit_lesion)
        valid = ~np.isnan(scores)
        is_fp, is_hit = valid & (hit_lesion < 0), valid & (hit_lesion >= 0)
        best = lesion_scores(scores, hit_lesion, len(cohort.lesion_patient))
        self._fp_patient, self._fps_above = _ranked(
            scores[is_fp], cohort.detection_patient[is_fp], self.thresholds
        )
        counts = np.ones(len(best), dtype=bool) if counted is None else counted
        self._lesion_patient, self._found_above = _ranked(
            best[counts], cohort.lesion_patient[counts], self.thresholds
        )
        self._hit_patient = cohort.detection_patient[is_hit]
        # Thresholds fall, so their negatives can be searched.
        self._hit_threshold = np.searchsorted(-self.thresholds, -scores[is_hit])
        self._image_patient = cohort.image_patient

    def sensitivity_at(self, fps_per_image: Float64Array, copies: IntArray) -> Float64Array:
        """Return the sensitivity (K,) at the wanted FP rates (K,), NaN if no lesion is drawn.

        Args:
            fps_per_image: (K,).
            copies: (num_patients + 1,) how often each patient is drawn; the last entry is 1 and serves
                the things without a patient.
        """
        num_lesions = int(copies[self._lesion_patient].sum())
        if num_lesions == 0:
            return np.full(len(fps_per_image), np.nan)
        num_images = int(copies[self._image_patient].sum())
        fps = _running_count(copies[self._fp_patient])[self._fps_above] / num_images
        found = _running_count(copies[self._lesion_patient])[self._found_above] / num_lesions
        drawn_hits = self._hit_threshold[copies[self._hit_patient] > 0]
        keep = np.zeros(len(self.thresholds), dtype=bool)
        keep[[0, -1]] = True
        keep[drawn_hits] = True
        return np.asarray(np.interp(fps_per_image, fps[keep], found[keep]), dtype=np.float64)

    def sensitivity_at_draws(self, fps_per_image: Float64Array, copies: IntArray) -> Float64Array:
        """Return ``sensitivity_at`` for many draws at once, (R, K), NaN rows where no lesion is drawn.

        The counts above every threshold become one matrix product.

        Args:
            fps_per_image: (K,).
            copies: (R, num_patients + 1).
        """
        result = np.full((len(copies), len(fps_per_image)), np.nan)
        for start in range(0, len(copies), DRAWS_AT_ONCE):
            drawn = copies[start : start + DRAWS_AT_ONCE]
            fps, found, keep = self.points_at_draws(drawn)
            for row in np.flatnonzero(~np.isnan(found[:, -1])):
                kept = keep[row]
                result[start + row] = np.interp(fps_per_image, fps[row, kept], found[row, kept])
        return result

    def points_at_draws(self, copies: IntArray) -> tuple[Float64Array, Float64Array, BoolArray]:
        """Return the curve of each draw at every threshold, (R, T) each; ``DRAWS_AT_ONCE`` bound the memory.

        Args:
            copies: (R, num_patients + 1).

        Returns:
            False positives per image, sensitivity (NaN where no lesion is drawn), and which thresholds the
            curve of the draw has: those of its own hits and both ends.
        """
        width = copies.shape[1]
        drawn = copies.astype(np.float64)
        num_lesions = drawn[:, self._lesion_patient].sum(axis=1)[:, np.newaxis]
        num_images = drawn[:, self._image_patient].sum(axis=1)[:, np.newaxis]
        hits = self._by_threshold(self._hit_threshold, self._hit_patient, width)
        keep = np.ascontiguousarray((hits @ drawn.T).T > 0)
        keep[:, [0, -1]] = True
        with np.errstate(invalid="ignore", divide="ignore"):  # no lesion, or no image, is drawn
            return (
                self._counts_above(self._fp_patient, self._fps_above, drawn) / num_images,
                self._counts_above(self._lesion_patient, self._found_above, drawn) / num_lesions,
                keep,
            )

    def _counts_above(self, patients: IntArray, above: IntArray, drawn: Float64Array) -> Float64Array:
        """Return how many things of each draw reach each threshold, (R, T).

        Args:
            patients: of the things by falling score, as ``_ranked`` returns them.
            above: (T,) how many things reach each threshold.
            drawn: (R, num_patients + 1).
        """
        threshold = np.searchsorted(above, np.arange(len(patients)), side="right")
        reached = threshold < len(above)
        first = self._by_threshold(threshold[reached], patients[reached], drawn.shape[1])
        # By draw: the curve of each draw is read on its own.
        return np.ascontiguousarray(np.cumsum(first @ drawn.T, axis=0).T)

    def _by_threshold(self, thresholds: IntArray, patients: IntArray, width: int) -> csr_array:
        """Return how many things of each patient belong to each threshold, (T, num_patients + 1)."""
        shape = (len(self.thresholds), width)
        return csr_array((np.ones(len(patients)), (thresholds, patients)), shape=shape)


def patient_draws(num_patients: int, replicates: int, seed: int) -> Iterator[IntArray]:
    """Yield ``copies`` (num_patients + 1,) of each replicate, the last entry always 1."""
    generator = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = generator.integers(0, num_patients, size=num_patients)
        copies = np.bincount(drawn, minlength=num_patients + 1)
        copies[num_patients] = 1
        yield copies


def without_one(num_patients: int, members: Iterable[int]) -> Iterator[IntArray]:
    """Yield ``copies`` (num_patients + 1,) that leave out one of ``members`` each."""
    for patient in members:
        copies = np.ones(num_patients + 1, dtype=np.int64)
        copies[patient] = 0
        yield copies


def at_draws(
    computed: Sequence[Callable[[IntArray], Float64Array]], draws: Iterable[IntArray]
) -> list[Float64Array]:
    """Return what each function makes of draws, (R, K) each, a bounded number of draws at a time.

    Args:
        computed: make (r, K) of ``copies`` (r, num_patients + 1).
        draws: R of ``copies`` (num_patients + 1,), at least one.
    """
    left, parts = iter(draws), []
    while rows := list(islice(left, DRAWS_AT_ONCE)):
        copies = np.stack(rows)
        parts.append([each(copies) for each in computed])
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def resample(
    curves: Sequence[tuple[ResampledFroc, Float64Array]], num_patients: int, replicates: int, seed: int
) -> list[Float64Array]:
    """Evaluate several curves on the same draws.

    Args:
        curves: each with its wanted FP rates (K,).
        num_patients: patients in the draw.
        replicates: R, at least 1.
        seed: of the draws.

    Returns:
        One (R, K) array per curve; NaN rows where a replicate holds no lesion.
    """
    draws = track(patient_draws(num_patients, replicates, seed), "bootstrap", replicates)
    return at_draws([partial(curve.sensitivity_at_draws, fps) for curve, fps in curves], draws)


def percentile_interval(values: Float64Array) -> Interval:
    """Return the percentile interval of replicates (R,), NaN left out; NaN if nothing is left.

    Examples:
        >>> interval = percentile_interval(np.arange(101) / 100)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.025, 0.975)
    """
    low, high = percentile_band(values[:, np.newaxis])
    return Interval(float(low[0]), float(high[0]))


def percentile_band(values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the limits (K,) of replicates (R, K); rows with NaN are left out."""
    valid = values[~np.isnan(values).any(axis=1)]
    if not len(valid):
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    low, high = np.percentile(valid, [tail, 100.0 - tail], axis=0)
    return low, high


def _ranked(scores: Float64Array, patients: IntArray, thresholds: Float64Array) -> tuple[IntArray, IntArray]:
    """Return the patients by falling score, and how many scores reach each threshold (T,)."""
    return patients[np.argsort(-scores, kind="stable")], count_at_or_above(scores, thresholds)


def _running_count(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)])
