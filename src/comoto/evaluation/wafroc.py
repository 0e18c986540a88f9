"""The figure of merit of the weighted AFROC curve.

D. P. Chakraborty and X. Zhai, "On the meaning of the weighted alternative free-response operating
characteristic figure of merit", Medical Physics 43 (2016): the area under the curve of the weighted share of
lesions found against the share of volumes *without a lesion* that have a false positive at or above the
threshold. False positives on volumes with a lesion do not count (they would in the variant wAFROC1). It is
the chance that a lesion scores higher than the best false positive of a volume without one, where the lesions
of a volume share a weight of 1 equally, a lesion that nothing hits and a volume without a detection score
-inf, and ties count half.
"""

from __future__ import annotations

import numpy as np

from comoto.evaluation.auc import Area, Sample, largest_scores
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.froc import lesion_scores
from comoto.evaluation.parts import Part

WAFROC = "wafroc"


def wafroc_area(found: ChallengePredictions, truth: ChallengeTruth, part: Part) -> Area:
    """Return the figure of merit of a part, whose lesions on a volume share the weight of 1."""
    num_volumes = len(truth.volumes)
    of_lesion = truth.lesion_volume[part.lesions]
    best = lesion_scores(found.scores, found.hit_lesion, len(truth.lesion_volume))[part.lesions]
    weights = 1.0 / np.bincount(of_lesion, minlength=num_volumes)[of_lesion]
    normal = np.flatnonzero(part.volumes & ~truth.is_positive)
    highest = largest_scores(found, part.detections(found), np.arange(num_volumes), num_volumes)
    return Area(
        WAFROC,
        Sample(best, truth.volume_patient[of_lesion], weights),
        Sample.equal(highest[normal], truth.volume_patient[normal]),
    )
