"""The folds of a study as one: every patient is tested once, and all of them are one table.

Each fold has detectors of its own, whose scores mean different things. So the score of a detection becomes
minus the rate of false positives of its fold from that score on: the pooled curve is then the mean over the
folds at equal rates, weighted by their lesions, and not what one threshold for all of them would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.evaluation.challenge import evaluate
from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.progress import track
from comoto.study.kept import BOXES, LABELS, predictions_name
from comoto.study.results import Pair, Place, RunResult, StudyResults, read_results

NAMES = {"PatientID": str, "StudyUID": str, "View": str}


def pooled(folds: Sequence[Path]) -> StudyResults:
    """Return the results of studies that differ in their patients alone, as those of one study.

    A run of the result is the runs of a seed and repetition in all folds; one that a fold lacks is left out.

    Raises:
        DatasetError: a fold has no complete run, or is damaged.
    """
    each = [read_results(folder, bootstrap=1) for folder in folds]
    first = each[0]
    labels, boxes = (
        pd.concat([pd.read_csv(folder / name, dtype=NAMES) for folder in folds], ignore_index=True)
        for name in (LABELS, BOXES)
    )
    radius = first.study.min_hit_radius
    truth = read_truth(labels, boxes, radius)
    runs: dict[Place, dict[Pair, RunResult]] = {}
    for place in track(first.runs, "pool the folds", len(first.runs)):
        pairs = set.intersection(*(set(results.runs[place]) for results in each))
        runs[place] = {}
        for pair in sorted(pairs):
            tables = [
                aligned(_predictions(folder, results, place, pair), results, place, pair)
                for folder, results in zip(folds, each, strict=True)
            ]
            table = pd.concat(tables, ignore_index=True)
            result = evaluate(table, labels, boxes, min_radius=radius)
            runs[place][pair] = RunResult(read_predictions(table, truth), result)
    sizes = np.maximum(boxes["Width"].to_numpy(dtype=float), boxes["Height"].to_numpy(dtype=float))
    return StudyResults(first.study, first.grid, truth, sizes, runs)


def aligned(table: pd.DataFrame, fold: StudyResults, place: Place, pair: Pair) -> pd.DataFrame:
    """Return a run's predictions with scores that mean the same in every fold; their order stays."""
    found = fold.runs[place][pair].found
    false = np.sort(found.scores[(found.hit_lesion < 0) & found.on_positive(fold.truth)])
    above = len(false) - np.searchsorted(false, table["Score"].to_numpy(dtype=float), side="left")
    return table.assign(Score=-above / int(fold.truth.is_positive.sum()))


def _predictions(folder: Path, fold: StudyResults, place: Place, pair: Pair) -> pd.DataFrame:
    wanted = (*place, *pair)
    run = next(
        cell.run
        for cell in fold.grid.cells
        if (cell.regime, cell.fraction, cell.variant, cell.seed, cell.repetition) == wanted
    )
    return pd.read_csv(folder / run / predictions_name(""), dtype=NAMES)
