"""Weights between a teacher and the student that it became, judged on validation volumes, without training.

For every run and every share s of the teacher's weights, (1 - s) student + s teacher predicts the volumes of
a split. Written are the challenge's mean sensitivity, the same within 10 mm in depth, and the median depth
error, means over the runs of a group, each minus that of share 0 with an interval over runs and patients.
Batch norm's running statistics are interpolated as the weights are (``averaged``), or taken anew from
training batches of the student (``estimated``). With ``--focus`` each row stands twice: as the scores tell
the depth, and with a focus head fitted on the run's own training volumes with those weights.

A share is a parameter, so the best row of the table is too good. "cross-fitted" chooses it for each run on
half of the patients and judges it on the other half, both ways round, over many halvings; its interval draws
patients and a halving.

Predictions are kept in --out, so the same call goes on where it was stopped.

Run: python benchmarks/keep_teacher.py --out FOLDER --store STUDY/../prepared/volumes --split validation \
         --min-radius 21.25 --group fine-tuned-10=RUN,RUN --group joint-10=RUN,RUN
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from comoto.config import FocusConfig, TrainConfig
from comoto.detections import prediction_table
from comoto.detectors.about import read_about
from comoto.detectors.base import Detector
from comoto.detectors.weights import read_weights
from comoto.evaluation.bootstrap import percentile_interval
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    challenge_tables,
    read_predictions,
    read_truth,
)
from comoto.evaluation.depth_variants import MILLIMETRES, DepthRules, depth_errors, depth_variants
from comoto.evaluation.hierarchical import (
    Variant,
    drawn_patients,
    hierarchical_difference,
    mean_sensitivities,
    run_sensitivities,
)
from comoto.inference.model import Model, load_model
from comoto.inference.prepared import predict_store
from comoto.output_files import atomic_write
from comoto.preprocessing.balance import BalancedBatches
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.store import PreparedStore
from comoto.records import Split
from comoto.training.average import between, estimate_batch_norm
from comoto.training.cohorts import Cohort, choose_cohort, mammogram_cohorts
from comoto.training.focus import fit_focus
from comoto.training.joint import mixed_features
from comoto.training.student import mammogram_samplers

CHALLENGE, HALVINGS = "challenge", 100


@dataclass(frozen=True)
class Way:
    """A share of the teacher's weights, where batch norm's statistics come from, and what tells the depth."""

    share: float
    statistics: str
    focus: bool = False

    @property
    def name(self) -> str:
        """What files and lines call it."""
        return f"{self.share:g}-{self.statistics}{'-focus' if self.focus else ''}"


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    store = PreparedStore(options.store)
    manifest = store.manifest.split(Split(options.split))
    truth = read_truth(*challenge_tables(manifest), options.min_radius)
    rules = DepthRules(tolerance_mm=10.0, slice_mm=np.full(len(truth.volumes), options.slice_mm))
    heads = [False, True] if options.focus else [False]
    ways = [Way(share, options.batch_norm, head) for share in options.shares for head in heads]
    lines = [TITLE]
    for name, runs in options.group.items():
        by_way: dict[str, dict[str, list[ChallengePredictions]]] = {}
        for way in ways:
            found = [read_predictions(predicted(run, way, store, options), truth) for run in runs]
            by_way[way.name] = {CHALLENGE: found} | {
                MILLIMETRES: [depth_variants(one, truth, rules)[MILLIMETRES] for one in found]
            }
            lines.append(row(f"{name}, {way.name}", by_way, way.name, ways[0].name, truth))
            print(lines[-1], flush=True)
        for line in cross_fitted(name, by_way, truth):
            lines.append(line)
            print(line, flush=True)
    with atomic_write(options.out / "table.md") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions and the table go here")
    parser.add_argument("--store", type=Path, required=True, help="prepared volumes")
    parser.add_argument("--split", choices=[split.value for split in Split], required=True)
    parser.add_argument("--group", action="append", required=True, help="NAME=RUN,RUN: runs of students")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--batch-norm", choices=["averaged", "estimated"], default="averaged")
    parser.add_argument("--focus", action="store_true", help="also with a focus head")
    parser.add_argument("--batches", type=int, default=50, help="for estimated statistics")
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--slice-mm", type=float, default=1.0, help="distance of slices")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.shares[0] != 0.0:
        parser.error("--shares: the first must be 0, all others are compared with it")
    groups = dict(one.partition("=")[::2] for one in options.group)
    options.group = {name: [Path(run) for run in runs.split(",")] for name, runs in groups.items()}
    return options


def predicted(run: Path, way: Way, store: PreparedStore, options: argparse.Namespace) -> Path:
    """Return the table of a run's predictions with these weights; made if it is not there yet."""
    config, _, sha256 = read_about(run)
    if way == Way(1.0, "averaged") and config.teacher is not None:  # the same for all its students
        sha256 = read_about(config.teacher)[2]
    path: Path = options.out / f"{sha256[:12]}-{way.name}.csv"
    if path.is_file():
        return path
    model, _ = load_model(run, role="student")
    set_weights(model, run, way, options.batches)
    if way.focus:
        volumes = training_cohort(model.config)
        head = fit_focus(model, volumes.store, volumes.train, FocusConfig(fit=True))
        model = replace(model, focus=head)
    manifest = store.manifest.split(Split(options.split))
    found = predict_store(model, store, manifest, model.config.inference)
    with atomic_write(path) as part:
        prediction_table(found).to_csv(part, index=False)
    return path


def training_cohort(config: TrainConfig) -> Cohort:
    """Return the volumes that a student was trained on."""
    if config.data.tomosynthesis is None:
        raise SystemExit("the run does not say which volumes it was trained on")
    store = PreparedStore(config.data.tomosynthesis)
    return choose_cohort(store, config.data, config.data.fraction, config.seed)


def set_weights(model: Model, run: Path, way: Way, batches: int) -> None:
    """Put a run's model on the way to its teacher."""
    if way.share == 0.0:
        return
    if model.config.teacher is None:
        raise SystemExit(f"{run}: does not say which teacher it started from")
    own, first = (read_weights(folder / "model.safetensors") for folder in (run, model.config.teacher))
    model.detector.load_state_dict(between(own, first, way.share))
    if way.statistics == "estimated":
        seen = training_passes(model.detector, model.config, batches)
        estimate_batch_norm(model.detector, lambda: all(seen))


def training_passes(detector: Detector, config: TrainConfig, batches: int) -> Iterator[bool]:
    """Run the network over the first training batches of a run, with mammograms where they were mixed in."""
    volumes = training_cohort(config)
    slices = SliceBatches(volumes.store, volumes.train, config.batch, config.augment, config.seed)
    joint: BalancedBatches | None = None
    if config.joint.size and config.joint.batch_norm == "mixed":
        cohorts = list(mammogram_cohorts(config).values())
        _, joint = mammogram_samplers(config, cohorts, for_distiller=False)
    for step in range(batches):
        images, _ = slices.batch(step)
        if joint is None:
            detector.features(images)
        else:
            mixed_features(detector, images, joint.batch(step)[0])
        yield True


TITLE = (
    "| runs, share of the teacher | challenge | minus share 0 | within 10 mm | minus share 0 | "
    "median depth error, slices |\n|---|---|---|---|---|---|"
)


def row(
    title: str,
    by_way: Mapping[str, Mapping[str, list[ChallengePredictions]]],
    way: str,
    reference: str,
    truth: ChallengeTruth,
) -> str:
    """Return a line of the table."""
    cells = [title]
    for rule in (CHALLENGE, MILLIMETRES):
        own, other = nested(by_way[way][rule]), nested(by_way[reference][rule])
        values = run_sensitivities(own, truth)
        cells.append(f"{values.mean():.3f} ({', '.join(f'{value:.3f}' for value in values)})")
        difference = hierarchical_difference(own, other, truth)
        cells.append(signed(difference.value, difference.interval.low, difference.interval.high))
    errors = [np.nanmedian(depth_errors(found, truth)) for found in by_way[way][CHALLENGE]]
    cells.append(f"{np.mean(errors):.2f}")
    return f"| {' | '.join(cells)} |"


def nested(runs: list[ChallengePredictions]) -> Variant:
    """Return runs as seeds with one repetition each."""
    return [[run] for run in runs]


def signed(value: float, low: float, high: float) -> str:
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def cross_fitted(
    name: str, by_way: Mapping[str, Mapping[str, list[ChallengePredictions]]], truth: ChallengeTruth
) -> Iterator[str]:
    """Yield what choosing the share on half of the patients gives on the other half, by both figures."""
    for rule in (CHALLENGE, MILLIMETRES):
        ways = [nested(found[rule]) for found in by_way.values()]
        everybody = np.ones((HALVINGS, len(truth.patients) + 1), dtype=np.int64)
        gains, chosen = halved(ways, truth, everybody)
        drawn, _ = halved(ways, truth, drawn_patients(truth, 1000, 0))
        interval = percentile_interval(drawn)
        times = np.bincount(chosen.ravel(), minlength=len(ways))
        shares = ", ".join(
            f"{way} {count / times.sum():.0%}" for way, count in zip(by_way, times, strict=True)
        )
        gain = signed(float(gains.mean()), interval.low, interval.high)
        yield f"| {name}, cross-fitted, by {rule} | {gain} | chosen: {shares} | | | |"


def halved(ways: list[Variant], truth: ChallengeTruth, copies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose on one half of the drawn patients and judge on the other, both ways round.

    Returns:
        For each draw the gain over the first way, a mean over runs and halves; and what was chosen.
    """
    first = np.random.default_rng(7).random(copies.shape) < 0.5
    halves = [copies * first, copies * ~first]
    values = [np.stack([mean_sensitivities(way, truth, half) for way in ways], axis=2) for half in halves]
    chosen = [value.argmax(axis=2) for value in values]  # (R, N); the first of equals has the smallest share
    gains = [
        np.take_along_axis(values[1 - k], chosen[k][..., None], axis=2)[..., 0] - values[1 - k][..., 0]
        for k in range(2)
    ]
    return (gains[0] + gains[1]).mean(axis=1) / 2, np.stack(chosen)


if __name__ == "__main__":
    main()
