"""The FROC curve: share of lesions found against false positives per image.

N detections, L lesions, T points. Denominators are arguments, and a lesion that nobody found is a value:
its score is -inf, so it stands in every denominator and is above no threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from comoto.records import IntArray
from comoto.tables import Float64Array


@dataclass(frozen=True)
class Froc:
    """One FROC curve. Points are ordered from the highest threshold to the lowest.

    Attributes:
        thresholds: (T,) a detection enters where its score >= threshold; strictly falling.
        fps_per_image: (T,) false positives divided by ``num_images``; never falls.
        sensitivity: (T,) lesions found divided by ``num_lesions``; never falls.
        lesion_scores: (L,) best score of the detections that hit a lesion, -inf if none does.
        num_lesions, num_images: the denominators.

    Examples:
        >>> curve = froc(np.array([0.9, 0.8, 0.7]), np.array([0, -1, 1]), num_lesions=2, num_images=1)
        >>> curve
        Froc(4 points, up to sensitivity 1 at 1 false positives an image; 2 lesions, 1 images)
        >>> curve.sensitivity_at([0, 0.5, 1]).tolist()
        [0.5, 0.75, 1.0]
        >>> curve.threshold_at(0.5)
        0.9
    """

    thresholds: Float64Array
    fps_per_image: Float64Array
    sensitivity: Float64Array
    lesion_scores: Float64Array
    num_lesions: int
    num_images: int

    def __repr__(self) -> str:
        end = (
            f"sensitivity {self.sensitivity[-1]:.3g} at {self.fps_per_image[-1]:.3g} false positives an image"
        )
        sizes = f"{self.num_lesions} lesions, {self.num_images} images"
        return f"Froc({len(self.thresholds)} points, up to {end}; {sizes})"

    def sensitivity_at(self, fps_per_image: Sequence[float] | Float64Array) -> Float64Array:
        """Interpolate linearly between the points; beyond the last point its sensitivity is held.

        Where several points share an FP rate the highest sensitivity of that rate is taken.
        """
        wanted = np.asarray(fps_per_image, dtype=np.float64)
        return np.asarray(np.interp(wanted, self.fps_per_image, self.sensitivity), dtype=np.float64)

    def threshold_at(self, fps_per_image: float) -> float:
        """Return the lowest threshold of the curve that keeps the FP rate at or below the wanted one."""
        below = int(np.searchsorted(self.fps_per_image, fps_per_image, side="right"))
        return float(self.thresholds[max(below - 1, 0)])

    def record(self, unit: str) -> dict[str, Any]:
        """Return the points for JSON; ``unit`` is "volume" or "image"."""
        return {
            f"fps_per_{unit}": self.fps_per_image.tolist(),
            "sensitivity": self.sensitivity.tolist(),
            "threshold": [finite_or_none(value) for value in self.thresholds],
            "num_lesions": self.num_lesions,
            f"num_{unit}s": self.num_images,
        }


def finite_or_none(value: float) -> float | None:
    """Return a number that JSON can hold; infinity becomes null."""
    return float(value) if np.isfinite(value) else None


def froc(
    scores: Float64Array,
    hit_lesion: IntArray,
    num_lesions: int,
    num_images: int,
    thresholds: Float64Array | None = None,
) -> Froc:
    """Draw the curve.

    Args:
        scores: (N,) higher means surer; a detection whose score is NaN never enters.
        hit_lesion: (N,) number of the lesion that a detection hits, -1 for a false positive. Further hits
            of one lesion are neither found lesions nor false positives.
        num_lesions: L, all annotated lesions, at least 1.
        num_images: all images or volumes that were looked at, at least 1.
        thresholds: points of the curve in falling order; default ``froc_thresholds``.

    Raises:
        ValueError: a denominator below 1, or arrays that do not fit.

    Examples:
        >>> scores = np.array([0.9, 0.8, 0.7, 0.6])
        >>> hits = np.array([0, -1, 1, -1])  # lesion 0, nothing, lesion 1, nothing
        >>> curve = froc(scores, hits, num_lesions=4, num_images=2)
        >>> curve.fps_per_image.tolist(), curve.sensitivity.tolist()
        ([0.0, 0.0, 0.5, 1.0], [0.0, 0.25, 0.5, 0.5])
    """
    if num_lesions < 1 or num_images < 1:
        raise ValueError(f"a FROC needs a lesion and an image; got {num_lesions} and {num_images}")
    if scores.shape != hit_lesion.shape or hit_lesion.max(initial=-1) >= num_lesions:
        raise ValueError(
            f"scores {scores.shape}, hits {hit_lesion.shape} and {num_lesions} lesions do not fit"
        )
    if thresholds is None:
        thresholds = froc_thresholds(scores, hit_lesion)
    best = lesion_scores(scores, hit_lesion, num_lesions)
    false_positives = scores[(hit_lesion < 0) & ~np.isnan(scores)]
    return Froc(
        thresholds=thresholds,
        fps_per_image=count_at_or_above(false_positives, thresholds) / num_images,
        sensitivity=count_at_or_above(best, thresholds) / num_lesions,
        lesion_scores=best,
        num_lesions=num_lesions,
        num_images=num_images,
    )


def froc_thresholds(scores: Float64Array, hit_lesion: IntArray) -> Float64Array:
    """Return the thresholds of the challenge's curve in falling order.

    They are the scores of detections that hit, the highest score of all + 1 and the lowest - 1; false
    positives between two hits are therefore joined by a straight line. Without any score there is one
    threshold, +inf.
    """
    valid = ~np.isnan(scores)
    if not valid.any():
        return np.array([np.inf])
    ends = np.array([scores[valid].max() + 1.0, scores[valid].min() - 1.0])
    return np.unique(np.concatenate([ends, scores[valid & (hit_lesion >= 0)]]))[::-1]


def lesion_scores(scores: Float64Array, hit_lesion: IntArray, num_lesions: int) -> Float64Array:
    """Return the best score of each lesion (L,), -inf for a lesion that no detection hits."""
    best = np.full(num_lesions, -np.inf)
    hits = (hit_lesion >= 0) & ~np.isnan(scores)
    np.maximum.at(best, hit_lesion[hits], scores[hits])
    return best


def count_at_or_above(values: Float64Array, thresholds: Float64Array) -> IntArray:
    """Count for each threshold (T,) the values that reach it."""
    return np.asarray(len(values) - np.searchsorted(np.sort(values), thresholds, side="left"), dtype=np.int64)
