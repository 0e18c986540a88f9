"""What students find at few false positives over all volumes, one group of runs against another.

For every run, with a share of its teacher's weights, the volumes of a split are predicted. Written are the
challenge's mean sensitivity, the same within 10 mm in depth, and the sensitivity over all volumes, normal
ones included, at 1/8 to 1 false positive a volume: means over the runs of a group, and minus the first group
with intervals over runs and patients. Run k of a group is paired with run k of the first. "Silent on normal
volumes" leaves out what was detected there: no training on normal volumes could gain more on these volumes.

Predictions are kept in --out under the names of keep_teacher.py; the same call goes on where it was stopped.

Run: python benchmarks/low_false_positives.py --out FOLDER --store STUDY/../prepared/volumes \
         --split validation --min-radius 21.25 --share 0.25 --group joint=RUN,RUN --group mined=RUN,RUN
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from comoto.evaluation.bootstrap import percentile_interval
from comoto.evaluation.challenge import FPS_POSITIVE
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    challenge_tables,
    read_predictions,
    read_truth,
)
from comoto.evaluation.depth_variants import MILLIMETRES, DepthRules, depth_variants
from comoto.evaluation.hierarchical import drawn_patients, drawn_runs, mean_over_runs
from comoto.evaluation.parts import Part, resampled
from comoto.preprocessing.store import PreparedStore
from comoto.records import Split
from keep_teacher import Way, predicted, signed

Figure = Callable[[ChallengePredictions, np.ndarray], np.ndarray]
"""Predictions and draws of patients (R, P + 1) -> a figure of each draw (R,)."""
FEW = {"1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2, "1": 1.0}
REPLICATES = 2000


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    store = PreparedStore(options.store)
    truth = read_truth(*challenge_tables(store.manifest.split(Split(options.split))), options.min_radius)
    shown = figures(truth, options.slice_mm)
    print(f"| runs | {' | '.join(shown)} |\n|---|{'---|' * len(shown)}", flush=True)
    way, first = Way(options.share, "averaged"), None
    for name, runs in options.group.items():
        found = [read_predictions(predicted(run, way, store, options), truth) for run in runs]
        print(values_row(name, found, shown, truth), flush=True)
        silent = [replace(one, scores=np.where(one.on_positive(truth), one.scores, np.nan)) for one in found]
        print(values_row(f"{name}, silent on normal volumes", silent, shown, truth), flush=True)
        if first is None:
            first = found
        else:
            print(differences_row(name, found, first, shown, truth), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions go here")
    parser.add_argument("--store", type=Path, required=True, help="prepared volumes")
    parser.add_argument("--split", choices=[split.value for split in Split], required=True)
    parser.add_argument("--group", action="append", required=True, help="NAME=RUN,RUN: runs of students")
    parser.add_argument("--share", type=float, default=0.25, help="of the teacher's weights")
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--slice-mm", type=float, default=1.0, help="distance of slices")
    parser.add_argument("--threads", type=int, default=1)
    parser.set_defaults(batches=0)  # of keep_teacher's other statistics of batch norm
    options = parser.parse_args()
    groups = dict(one.partition("=")[::2] for one in options.group)
    options.group = {name: [Path(run) for run in runs.split(",")] for name, runs in groups.items()}
    if len({len(runs) for runs in options.group.values()}) > 1:
        parser.error("--group: all groups have equally many runs, for they are paired")
    return options


def figures(truth: ChallengeTruth, slice_mm: float) -> dict[str, Figure]:
    """Return what is measured, by the title of its column."""
    rules = DepthRules(tolerance_mm=10.0, slice_mm=np.full(len(truth.volumes), slice_mm))

    def sensitivity(
        found: ChallengePredictions, copies: np.ndarray, rates: tuple[float, ...], positive: bool, depth: bool
    ) -> np.ndarray:
        judged = depth_variants(found, truth, rules)[MILLIMETRES] if depth else found
        curve = resampled(judged, truth, Part.whole(truth), only_positive=positive)
        return np.asarray(curve.sensitivity_at_draws(np.array(rates), copies).mean(axis=1))

    return {
        "challenge": partial(sensitivity, rates=FPS_POSITIVE, positive=True, depth=False),
        "within 10 mm": partial(sensitivity, rates=FPS_POSITIVE, positive=True, depth=True),
    } | {
        f"all volumes, at {text}": partial(sensitivity, rates=(rate,), positive=False, depth=False)
        for text, rate in FEW.items()
    }


def of_runs(figure: Figure, found: list[ChallengePredictions], copies: np.ndarray) -> np.ndarray:
    """Return a figure of each draw and run (R, N)."""
    return np.stack([figure(one, copies) for one in found], axis=1)


def values_row(
    name: str, found: list[ChallengePredictions], shown: dict[str, Figure], truth: ChallengeTruth
) -> str:
    """Return a line of means over runs, with each run."""
    everybody = np.ones((1, len(truth.patients) + 1), dtype=np.int64)
    cells = [name]
    for figure in shown.values():
        values = of_runs(figure, found, everybody)[0]
        cells.append(f"{values.mean():.3f} ({', '.join(f'{value:.3f}' for value in values)})")
    return f"| {' | '.join(cells)} |"


def differences_row(
    name: str,
    found: list[ChallengePredictions],
    first: list[ChallengePredictions],
    shown: dict[str, Figure],
    truth: ChallengeTruth,
) -> str:
    """Return a line of differences to the first group; runs and patients are drawn."""
    everybody = np.ones((1, len(truth.patients) + 1), dtype=np.int64)
    patients, runs = drawn_patients(truth, REPLICATES, 0), drawn_runs([1] * len(found), REPLICATES, 0)
    cells = [f"{name}, minus the first"]
    for figure in shown.values():
        value, drawn = (
            of_runs(figure, found, who) - of_runs(figure, first, who) for who in (everybody, patients)
        )
        interval = percentile_interval(mean_over_runs(drawn, runs))
        cells.append(signed(float(value.mean()), interval.low, interval.high))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
