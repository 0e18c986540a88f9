"""What it costs to look at fewer slices: every n-th one, or every n-th one and then those around findings.

The network runs once on all slices of each volume; each way of choosing slices then gets the detections of
the slices that it would have looked at. "Fine" looks at every n-th slice first, and then at all slices
between the neighbours of each one that holds a detection of at least the given score. Slices without a pixel
that is clearly brighter than black, which could be skipped, are counted.

Run: python benchmarks/slice_stepping.py --run STUDENT [STUDENT ...] --manifest MANIFEST --min-radius 10.62
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import torch

from aggregation import MEAN, Found, slices, table, volumes
from comoto import api
from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.evaluation.challenge import evaluate
from comoto.evaluation.challenge_tables import challenge_tables, read_predictions, read_truth
from comoto.evaluation.paired import paired_difference
from comoto.geometry.boxes import iou_matrix
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import slice_indices
from comoto.preprocessing.plan import plan_image
from comoto.records import Manifest, Modality
from comoto.sources import open_source

Choice = Callable[[dict[int, Detections], int], list[int]]
"""From the detections of all slices, and their number, to the slices that are looked at."""
NEAR_IOU, NEAR_SCORE, CLEAR = 0.9, 0.01, 0.1


@dataclass(frozen=True)
class Outcome:
    """One way on one student.

    Attributes:
        share: of the slices that is looked at.
        metric: mean sensitivity at 1 to 4 false positives.
        difference: of the metric to all slices, with the interval.
        kept: share of the clear detections on all slices that this way gives as well, nearly alike.
    """

    share: float
    metric: float
    difference: tuple[float, float, float]
    kept: float


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    manifest = volumes(options.manifest, options.split)
    ways = choices(options.steps, options.scores)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in ways}
    for run in options.run:
        model = api.load_model(run)
        found = [slices(model, record, 1) for record in manifest.records()]
        counts = [count for _, _, count, _ in found]
        print(f"{run}: {len(found)} volumes of {min(counts)} to {max(counts)} slices", flush=True)
        rule = model.config.inference.aggregation
        for name, outcome in compared(found, rule, manifest, ways, options).items():
            outcomes[name].append(outcome)
    print(f"\n{len(manifest)} volumes, {len(manifest.lesions)} lesions, {len(options.run)} students")
    print("{} of {} slices are empty\n".format(*empty(manifest, api.load_model(options.run[0]))))
    print("| slices | looked at | mean sensitivity | minus all slices | clear detections alike |")
    print("|---|---:|---:|---|---:|")
    for name, rows in outcomes.items():
        differences = ", ".join("{:+.3f} [{:+.3f}, {:+.3f}]".format(*row.difference) for row in rows)
        share, metric, kept = (
            fmean(getattr(row, key) for row in rows) for key in ("share", "metric", "kept")
        )
        print(f"| {name} | {100 * share:.0f} % | {metric:.3f} | {differences} | {100 * kept:.1f} % |")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="run folders of students")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest folder of volumes")
    parser.add_argument("--split", default="test")
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 3, 4, 6])
    parser.add_argument("--scores", type=float, nargs="+", default=[0.05, 0.1, 0.2], help="of the fine ways")
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def choices(steps: list[int], scores: list[float]) -> dict[str, Choice]:
    """Name the ways of choosing slices, all of them first."""
    ways: dict[str, Choice] = {"all": lambda found, count: list(range(count))}
    ways |= {f"every {step}": every(step) for step in steps}
    return ways | {
        f"every {step}, fine from {score:g}": fine(step, score) for step in steps for score in scores
    }


def every(step: int) -> Choice:
    return lambda found, count: slice_indices(count, step)


def fine(step: int, score: float) -> Choice:
    def choose(found: dict[int, Detections], count: int) -> list[int]:
        coarse = slice_indices(count, step)
        chosen = set(coarse)
        for index in coarse:
            if (found[index].scores >= score).any():
                chosen.update(range(max(0, index - step + 1), min(count, index + step)))
        return sorted(chosen)

    return choose


def compared(
    found: list[Found],
    rule: AggregationConfig,
    manifest: Manifest,
    ways: dict[str, Choice],
    options: argparse.Namespace,
) -> dict[str, Outcome]:
    """Score every way on one student's detections."""
    tables = challenge_tables(manifest)
    truth = read_truth(*tables, options.min_radius)
    outcomes: dict[str, Outcome] = {}
    first, every_box = None, []
    for name, choose in ways.items():
        chosen = [choose(by_slice, count) for _, _, count, by_slice in found]
        merged = [
            aggregate({k: by_slice[k] for k in kept}, count, rule)
            for (_, _, count, by_slice), kept in zip(found, chosen, strict=True)
        ]
        predictions = pd.concat(
            table(record, plan, boxes) for (record, plan, *_), boxes in zip(found, merged, strict=True)
        )
        metric = evaluate(predictions, *tables, 0, options.seed, options.min_radius).metric[MEAN]
        matched = read_predictions(predictions, truth)
        first, every_box = first or matched, every_box or merged
        paired = paired_difference(matched, first, truth, max(options.bootstrap, 1), options.seed)
        share = sum(map(len, chosen)) / sum(count for _, _, count, _ in found)
        difference = (paired.value, paired.interval.low, paired.interval.high)
        outcomes[name] = Outcome(share, metric, difference, alike(every_box, merged))
    return outcomes


def empty(manifest: Manifest, model: Model) -> tuple[int, int]:
    """Return the number of slices without a pixel of a sixteenth of white, and of all slices."""
    dark, count = 0, 0
    for record in manifest.records():
        with open_source(record.path) as image:
            plan = plan_image(image, record.laterality, Modality.TOMOSYNTHESIS, model.config.preprocess)
            for frame in image.frames():
                dark += int(plan.render(frame).max() < 16)
                count += 1
    return dark, count


def alike(reference: list[Detections], tried: list[Detections]) -> float:
    """Return the share of clear reference detections that have a nearly equal one, box and score."""
    clear, kept = 0, 0
    for one, other in zip(reference, tried, strict=True):
        wanted = one.scores >= CLEAR
        near = iou_matrix(one.boxes_xyxy[wanted], other.boxes_xyxy) >= NEAR_IOU
        near &= np.abs(one.scores[wanted][:, None] - other.scores[None]) <= NEAR_SCORE
        clear, kept = clear + int(wanted.sum()), kept + int(near.any(axis=1).sum())
    return kept / max(clear, 1)


if __name__ == "__main__":
    main()
