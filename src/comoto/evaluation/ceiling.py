"""What many runs find together: a ceiling for any of them, and what so many boxes hit by chance.

R runs, N detections of a run, L lesions, V volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth, centers_of, moved
from comoto.evaluation.depth import depth_account
from comoto.records import IntArray
from comoto.tables import BoolArray, Float64Array

CEILING_FPS = 4.0
"""False positives per volume with a lesion: the most that the challenge's mean looks at."""


@dataclass(frozen=True)
class Ceiling:
    """Shares of the lesions that runs hit at ``CEILING_FPS``.

    Attributes:
        num_runs: R.
        one: mean over the runs.
        any_run, half, all_runs: hit by at least one, by at least half, by each of them.
        one_by_chance, any_by_chance: as ``one`` and ``any_run``, with the boxes of another volume.
    """

    num_runs: int
    one: float
    any_run: float
    half: float
    all_runs: float
    one_by_chance: float
    any_by_chance: float


def ceiling(
    runs: Sequence[ChallengePredictions], elsewhere: Sequence[ChallengePredictions], truth: ChallengeTruth
) -> Ceiling:
    """Return what runs find together.

    Args:
        runs: on one truth, matched by whatever rule.
        elsewhere: the same runs after ``on_other_patients``, matched by the same rule.
        truth: with lesions.

    Raises:
        ValueError: no run, or no lesion.
    """
    if not runs or not len(truth.lesion_volume):
        raise ValueError("a ceiling needs a run and a lesion")
    found = np.stack([hit_lesions(run, truth) for run in runs])
    chance = np.stack([hit_lesions(run, truth) for run in elsewhere])
    times = found.sum(axis=0)
    return Ceiling(
        num_runs=len(runs),
        one=float(found.mean()),
        any_run=float((times > 0).mean()),
        half=float((2 * times >= len(runs)).mean()),
        all_runs=float((times == len(runs)).mean()),
        one_by_chance=float(chance.mean()),
        any_by_chance=float(chance.any(axis=0).mean()),
    )


def hit_lesions(run: ChallengePredictions, truth: ChallengeTruth, fps: float = CEILING_FPS) -> BoolArray:
    """Return which lesions (L,) a run hits with at most ``fps`` false positives per volume with a lesion."""
    kept = run.on_positive(truth) & ~np.isnan(run.scores)
    scores, hits = run.scores[kept], run.hit_lesion[kept]
    false = np.sort(scores[hits < 0])[::-1]
    allowed = int(fps * truth.is_positive.sum())
    least = false[allowed] if len(false) > allowed else -np.inf  # what scores no more than this is left out
    hit = np.zeros(len(truth.lesion_volume), dtype=bool)
    hit[hits[(hits >= 0) & (scores > least)]] = True
    return hit


def on_other_patients(
    runs: Sequence[ChallengePredictions], truth: ChallengeTruth
) -> list[ChallengePredictions]:
    """Return runs with the boxes of every volume with a lesion laid onto another patient's.

    The other is the next volume with a lesion of the same view, such as ``lcc``, or of any view where there
    is none; depths keep their share of the stack. A rival that knows how lesions lie in breasts and has not
    seen the breast at hand.
    """
    other, slices = _other_volume(truth), truth.volume_slices
    return [_laid(run, np.where(run.volume >= 0, other[run.volume], -1), slices, truth) for run in runs]


def _laid(
    run: ChallengePredictions, volume: IntArray, slices: Float64Array, truth: ChallengeTruth
) -> ChallengePredictions:
    """Return predictions on these volumes (N,), -1 for those that are left out, matched again."""
    kept = run.on_positive(truth) & (volume >= 0)
    places = run.places[kept].copy()
    places[:, 4:6] *= (slices[volume[kept]] / slices[run.volume[kept]])[:, np.newaxis]
    patient = np.where(volume >= 0, truth.volume_patient[volume], run.patient)
    found = moved(replace(run, volume=volume, patient=patient), kept, places, truth)
    center = centers_of(places)
    depth = depth_account(found.volume, center, places[:, 5], found.scores, found.hit_lesion, truth.places)
    return replace(found, depth=depth)


def _other_volume(truth: ChallengeTruth) -> IntArray:
    """Return which volume (V,) gets the boxes of each; -1 for one without a lesion, and of a lone patient."""
    views = [view.lower() for _, view in truth.volumes]
    positive = np.flatnonzero(truth.is_positive)
    other = np.full(len(views), -1, dtype=np.int64)
    for place, volume in enumerate(positive):
        strangers = [
            each
            for each in np.roll(positive, -1 - place)
            if truth.volume_patient[each] != truth.volume_patient[volume]
        ]
        alike = [each for each in strangers if views[each] == views[volume]]
        if strangers:
            other[volume] = (alike or strangers)[0]
    return other
