"""Parts of a cohort, and the FROC curves over them that draws of patients are evaluated on.

N detections, L lesions, V volumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comoto.evaluation.bootstrap import PatientIndex, ResampledFroc
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.records import IntArray
from comoto.tables import BoolArray


@dataclass(frozen=True)
class Part:
    """Some lesions and volumes of a cohort.

    Attributes:
        lesions: (L,) those that are to be found; others are neither lesions nor false positives.
        volumes: (V,) those on which false positives count.
    """

    lesions: BoolArray
    volumes: BoolArray

    @staticmethod
    def whole(truth: ChallengeTruth) -> Part:
        """Return all of it."""
        return Part(
            np.ones(len(truth.lesion_volume), dtype=bool), np.ones(len(truth.volume_patient), dtype=bool)
        )

    def patients(self, truth: ChallengeTruth) -> IntArray:
        """Return the numbers of the patients of its volumes."""
        return np.unique(truth.volume_patient[self.volumes])

    def detections(self, found: ChallengePredictions) -> BoolArray:
        """Return which detections (N,) lie on its volumes, or on unknown ones if all volumes are in it."""
        known = found.volume >= 0
        return (known & self.volumes[found.volume]) | (~known & self.volumes.all())


def resampled(
    found: ChallengePredictions, truth: ChallengeTruth, part: Part, *, only_positive: bool
) -> ResampledFroc:
    """Return a curve over a part of the cohort.

    Args:
        found: matched against ``truth``, by whatever rule.
        truth: the whole cohort.
        part: the volumes on which false positives count, and the lesions.
        only_positive: count false positives on volumes with a lesion only.
    """
    counts = part.volumes & truth.is_positive if only_positive else part.volumes
    kept = part.detections(found)
    if only_positive:
        kept &= found.on_positive(truth)
    cohort = PatientIndex(
        num_patients=len(truth.patients),
        detection_patient=found.patient[kept],
        lesion_patient=truth.volume_patient[truth.lesion_volume],
        image_patient=truth.volume_patient[counts],
    )
    return ResampledFroc(found.scores[kept], found.hit_lesion[kept], cohort, part.lesions)


def resampled_positive(found: ChallengePredictions, truth: ChallengeTruth) -> ResampledFroc:
    """Return the curve over the volumes with a box, of the whole cohort."""
    return resampled(found, truth, Part.whole(truth), only_positive=True)
