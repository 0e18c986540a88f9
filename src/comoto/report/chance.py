"""What guessing would score: as many boxes as a student has, anywhere, or its own at the middle slice.

With a hit radius that is large compared with the breast and several guesses per volume, guessing is far from
zero. A sensitivity means little without this number beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from comoto.evaluation.challenge_tables import SLICE_SHARE, ChallengeTruth, VolumeKey, read_predictions
from comoto.evaluation.paired import mean_sensitivity_positive
from comoto.evaluation.tables import Float64Array
from comoto.records import IntArray
from comoto.report.source_images import SearchSpace


@dataclass(frozen=True)
class ChanceLevel:
    """Mean sensitivity (``mean_sensitivity_positive``) of random boxes over several draws."""

    mean: float
    lowest: float
    highest: float
    draws: int


def chance_level(
    predictions: pd.DataFrame,
    spaces: Mapping[VolumeKey, SearchSpace],
    truth: ChallengeTruth,
    draws: int,
    seed: int,
) -> ChanceLevel:
    """Score random boxes.

    Every row of the predictions keeps its volume and its size; its centre becomes a uniform place in the
    breast, its slice a uniform slice of the volume, its score a uniform number.

    Args:
        predictions: challenge columns, one row a detection; rows of volumes without a search space are
            left out.
        spaces: where to guess, by (StudyUID, View).
        truth: what the guesses are scored against.
        draws: at least 1.
        seed: of the draws.

    Raises:
        ValueError: ``draws`` is below 1.
    """
    if draws < 1:
        raise ValueError(f"a chance level needs at least 1 draw, got {draws}")
    generator = np.random.default_rng(seed)
    values = [
        mean_sensitivity_positive(read_predictions(_shuffled(predictions, spaces, generator), truth), truth)
        for _ in range(draws)
    ]
    return ChanceLevel(float(np.mean(values)), min(values), max(values), draws)


def mean_in_the_middle(predictions: pd.DataFrame, truth: ChallengeTruth) -> float:
    """Return the mean sensitivity with every box at the middle slice of its volume, the simplest guess."""
    volume = read_predictions(predictions, truth).volume
    slices = np.full(len(truth.volumes) + 1, np.nan)  # the last entry serves volumes that nobody knows
    slices[truth.lesion_volume] = truth.slice_tolerance / SLICE_SHARE
    of_box = slices[volume]
    middle = np.where(np.isnan(of_box), predictions["Z"].to_numpy(), of_box // 2)
    return mean_sensitivity_positive(read_predictions(predictions.assign(Z=middle, Depth=0), truth), truth)


def _shuffled(
    predictions: pd.DataFrame, spaces: Mapping[VolumeKey, SearchSpace], generator: np.random.Generator
) -> pd.DataFrame:
    """Return the table with every box moved to a random place of its volume, and a random score."""
    keys = list(zip(predictions["StudyUID"].astype(str), predictions["View"].astype(str), strict=True))
    has_space = np.array([key in spaces for key in keys], dtype=bool)
    known = predictions[has_space].reset_index(drop=True)
    places = np.zeros((len(known), 3))
    rows_of: dict[VolumeKey, list[int]] = defaultdict(list)
    for row, key in enumerate(key for key in keys if key in spaces):
        rows_of[key].append(row)
    for key, rows in rows_of.items():
        places[rows] = np.column_stack(random_places(spaces[key], len(rows), generator))
    return known.assign(
        X=places[:, 0] - known["Width"] / 2,
        Y=places[:, 1] - known["Height"] / 2,
        Z=places[:, 2],
        Depth=0,
        Score=generator.random(len(known)),
    )


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
