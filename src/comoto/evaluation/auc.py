"""Areas under curves of two samples, lesions against what has none, with patients as the unit.

The area is the chance that a thing with a lesion scores higher than a thing without, ties counted half: the
statistic of Mann and Whitney (D. Bamber, "The area above the ordinal dominance graph and the area below the
receiver operating characteristic graph", Journal of Mathematical Psychology 12, 1975). Several volumes of a
patient are alike, so that intervals are over patients, who are drawn with all they have; E. R. DeLong et al.,
"Comparing the areas under two or more correlated receiver operating characteristic curves", Biometrics 44
(1988), would take things for independent, which N. A. Obuchowski, "Nonparametric analysis of clustered ROC
curve data", Biometrics 53 (1997), corrects in a closed form.

M things with a lesion, K things without, V volumes, R draws, P patients.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.parts import Part
from comoto.records import IntArray
from comoto.tables import BoolArray, Float64Array


@dataclass(frozen=True)
class Sample:
    """Things of one kind.

    Attributes:
        scores: (M,) -inf for a thing without a score.
        patients: (M,) numbers of their patients.
        weights: (M,) of a thing of a patient who is drawn once.
    """

    scores: Float64Array
    patients: IntArray
    weights: Float64Array

    @staticmethod
    def equal(scores: Float64Array, patients: IntArray) -> Sample:
        """Return things of equal weight."""
        return Sample(scores, patients, np.ones(len(scores)))

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Area:
    """An area that is computed quickly on any draw of patients.

    Attributes:
        name: of the figure.
        positive: things with a lesion.
        negative: things without.
    """

    name: str
    positive: Sample
    negative: Sample
    _lower: IntArray = field(init=False, repr=False)
    _not_higher: IntArray = field(init=False, repr=False)
    _order: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        order = np.argsort(self.negative.scores, kind="stable")
        ranked = self.negative.scores[order]
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_lower", np.searchsorted(ranked, self.positive.scores, side="left"))
        object.__setattr__(self, "_not_higher", np.searchsorted(ranked, self.positive.scores, side="right"))

    @property
    def names(self) -> tuple[str, ...]:
        """The one name."""
        return (self.name,)

    def at(self, copies: IntArray) -> Float64Array:
        """Return the area (R, 1) of draws (R, P + 1), NaN where a draw lacks things of either kind."""
        result = np.full((len(copies), 1), np.nan)
        negative = copies[:, self.negative.patients[self._order]] * self.negative.weights[self._order]
        positive = copies[:, self.positive.patients] * self.positive.weights
        below = np.zeros((len(copies), len(self.negative) + 1))
        np.cumsum(negative, axis=1, out=below[:, 1:])
        higher = (positive * (below[:, self._lower] + below[:, self._not_higher])).sum(axis=1) / 2
        pairs = positive.sum(axis=1) * below[:, -1]
        np.divide(higher, pairs, out=result[:, 0], where=pairs > 0)
        return result


@dataclass(frozen=True)
class Units:
    """What an area is per: breasts, or exams.

    Attributes:
        name: in the singular.
        of_volume: (V,) number of each volume's unit; a unit has one patient.
    """

    name: str
    of_volume: IntArray


def breasts_and_exams(truth: ChallengeTruth, sides: list[str]) -> tuple[Units, ...]:
    """Return the breasts and the exams of a cohort; breasts only if the side of each volume is known.

    Args:
        truth: the cohort.
        sides: (V,) ``L`` or ``R``, empty where it is not known.
    """
    studies = [study for study, _ in truth.volumes]
    patients = truth.volume_patient.tolist()
    exams = Units("exam", _numbered(list(zip(patients, studies, strict=True))))
    if not all(sides):
        return (exams,)
    return Units("breast", _numbered(list(zip(patients, studies, sides, strict=True)))), exams


def sides_of_views(truth: ChallengeTruth) -> list[str]:
    """Return the side (V,) that the name of each view begins with, as ``lcc`` does; empty where none."""
    first = [view[:1].upper() for _, view in truth.volumes]
    return [side if side in ("L", "R") else "" for side in first]


def _numbered(names: Sequence[Hashable]) -> IntArray:
    number = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.int64)


def largest_scores(
    found: ChallengePredictions, kept: BoolArray, unit_of_volume: IntArray, num_units: int
) -> Float64Array:
    """Return the largest score of each unit, -inf where none of the detections ``kept`` (N,) is on it."""
    best = np.full(num_units, -np.inf)
    rows = np.flatnonzero(kept & (found.volume >= 0) & ~np.isnan(found.scores))
    np.maximum.at(best, unit_of_volume[found.volume[rows]], found.scores[rows])
    return best


def unit_area(found: ChallengePredictions, truth: ChallengeTruth, part: Part, units: Units) -> Area:
    """Return the area of units with a lesion of the part against units without any, by their largest score.

    A unit that has lesions, but none of the part, is in neither sample. A detection counts wherever it lies:
    the question is whether the unit has a lesion, not where.
    """
    number = int(units.of_volume.max()) + 1
    patient, inside = np.zeros(number, dtype=np.int64), np.zeros(number, dtype=bool)
    patient[units.of_volume] = truth.volume_patient
    inside[units.of_volume[part.volumes]] = True
    of_lesion = units.of_volume[truth.lesion_volume]
    has_one, has_any = np.zeros(number, dtype=bool), np.zeros(number, dtype=bool)
    has_one[of_lesion[part.lesions]] = True
    has_any[of_lesion] = True
    scores = largest_scores(found, part.detections(found), units.of_volume, number)
    samples = [Sample.equal(scores[chosen], patient[chosen]) for chosen in (has_one, inside & ~has_any)]
    return Area(f"auc_per_{units.name}", *samples)
