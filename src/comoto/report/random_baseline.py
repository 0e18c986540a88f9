"""What guessing would score: as many boxes as a model has, anywhere, or its own at the middle slice.

With a hit radius that is large compared with the breast and several guesses per volume, guessing is far from
zero. A sensitivity means little without this number beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth, moved
from comoto.evaluation.paired import mean_sensitivity_positive
from comoto.records import IntArray
from comoto.report.source_images import SearchSpace
from comoto.tables import Float64Array


@dataclass(frozen=True)
class RandomBaseline:
    """Mean sensitivity (``mean_sensitivity_positive``) of random boxes over several draws."""

    mean: float
    lowest: float
    highest: float
    draws: int


def random_baseline(
    found: ChallengePredictions,
    spaces: Mapping[int, SearchSpace],
    truth: ChallengeTruth,
    draws: int,
    seed: int,
) -> RandomBaseline:
    """Score random boxes.

    Every prediction keeps its volume and its size; its centre becomes a uniform place in the breast, its
    slice a uniform slice of the volume, its score a uniform number.

    Args:
        found: the predictions; those on volumes without a search space are left out.
        spaces: where to guess, by number of the volume. Volumes without a lesion do not matter: the metric
            passes over what lies on them.
        truth: what the guesses are scored against.
        draws: at least 1.
        seed: of the draws.

    Raises:
        ValueError: ``draws`` is below 1.
    """
    if draws < 1:
        raise ValueError(f"a random baseline needs at least 1 draw, got {draws}")
    generator = np.random.default_rng(seed)
    values = [
        mean_sensitivity_positive(_shuffled(found, spaces, truth, generator), truth) for _ in range(draws)
    ]
    return RandomBaseline(float(np.mean(values)), min(values), max(values), draws)


def mean_in_the_middle(found: ChallengePredictions, truth: ChallengeTruth) -> float:
    """Return the mean sensitivity with every box at the middle slice of its volume, the simplest guess."""
    places = found.places.copy()
    of_box = np.append(truth.volume_slices, np.nan)[found.volume]  # the last entry: of volumes nobody knows
    places[:, 4] = np.where(np.isnan(of_box), places[:, 4], of_box // 2)
    places[:, 5] = 0.0
    everything = np.ones(len(places), dtype=bool)
    return mean_sensitivity_positive(moved(found, everything, places, truth), truth)


def _shuffled(
    found: ChallengePredictions,
    spaces: Mapping[int, SearchSpace],
    truth: ChallengeTruth,
    generator: np.random.Generator,
) -> ChallengePredictions:
    """Return the predictions, each at a random place of its volume and with a random score."""
    kept = np.isin(found.volume, list(spaces))
    volume, places = found.volume[kept], found.places[kept]
    for number in dict.fromkeys(volume.tolist()):
        own = volume == number
        x, y, z = random_places(spaces[number], int(own.sum()), generator)
        places[own, 0] = x - places[own, 1] / 2
        places[own, 2] = y - places[own, 3] / 2
        places[own, 4] = z
    places[:, 5] = 0.0
    return replace(moved(found, kept, places, truth), scores=generator.random(len(places)))


def random_places(
    space: SearchSpace, number: int, generator: np.random.Generator
) -> tuple[Float64Array, Float64Array, IntArray]:
    """Draw points uniformly in the breast.

    Returns:
        x, y in source pixels, float64 (number,), and slices, int64 (number,).
    """
    mask, (rows, columns) = space.breast.mask, space.breast.shape
    inside = np.argwhere(mask) if space.breast.found else np.argwhere(np.ones_like(mask))
    chosen = inside[generator.integers(0, len(inside), size=number)] + generator.random((number, 2))
    y = chosen[:, 0] * (rows / mask.shape[0])
    x = chosen[:, 1] * (columns / mask.shape[1])
    return x, y, generator.integers(0, space.num_slices, size=number)
