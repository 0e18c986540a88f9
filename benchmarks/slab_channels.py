"""A slab around a slice and the projection of the volume as further channels of a student, or in its place.

Each run of ``--runs`` is a student of slices alone. It is trained again, with the same settings, patients and
seed, once an arm:

- ``channels-thirds``: three channels {slice, slab, projection}, the teacher's first convolution divided
  among them, so that an image repeated in each gives what the teacher gives; mammograms of mixed batches are
  repeated in all three, in training too;
- ``channels-slice``: the same, but the channel of the slice starts with the teacher's weights and the
  others with 0;
- ``slab``: the net as it was, with the slab in the slice's place;
- ``slab-untrained``: the run itself, which learnt from slices, is shown slabs.

A slab is the mean of the slices within ``--reach`` of its own, a projection the mean of all; both are of the
prepared planes. Then every volume of a split is predicted with (1 - s) student + s teacher for each share s,
the teacher widened as the student was, and judged beside the runs of slices with the same share: challenge,
within 10 mm in depth, by x and y alone, and the median depth error, with intervals over runs and patients.
``--focus`` judges all of it with focus heads too. ``--cost`` tells CPU seconds in place of training.

Runs, widened teachers and predictions are kept in --out, so the same call goes on where it was stopped.

Run: python benchmarks/slab_channels.py --out FOLDER --runs RUN,RUN --split validation --min-radius 21.25
"""

import argparse
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from comoto.components import allow_code
from comoto.config import FocusConfig, TrainConfig, load_run_config
from comoto.detections import prediction_table
from comoto.detectors.about import read_about
from comoto.detectors.checkpoint import build_detector, save_checkpoint
from comoto.detectors.weights import read_weights
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    challenge_tables,
    read_predictions,
    read_truth,
)
from comoto.evaluation.depth_variants import (
    IN_PLANE,
    MILLIMETRES,
    DepthRules,
    depth_errors,
    depth_variants,
)
from comoto.evaluation.hierarchical import hierarchical_difference, run_sensitivities
from comoto.inference.model import load_model
from comoto.inference.prepared import predict_store
from comoto.output_files import atomic_write
from comoto.preprocessing.store import PreparedStore
from comoto.progress import enable_progress, say
from comoto.records import Split
from comoto.training.cohorts import Cohort, choose_cohort, mammogram_cohorts
from comoto.training.focus import fit_focus
from comoto.training.identity import run_inputs
from comoto.training.loop import TrainingTask, fit
from comoto.training.memory import kept_memory
from comoto.training.optimizer import build_optimizer
from comoto.training.record import RunMade, run_record
from comoto.training.steps import total
from comoto.training.student import StudentBatches
from comoto.training.tasks import start_fabric, student_task
from keep_teacher import Way, nested, set_weights, signed
from keep_teacher import predicted as predicted_slices
from slab_planes import (
    CHANNELS,
    ChannelBatches,
    Kind,
    RepeatedBatches,
    SlabRetinaNetConfig,
    SlabStore,
    widened,
)

CHALLENGE = "challenge"


@dataclass(frozen=True)
class Arm:
    """What a student sees, and where its first convolution starts.

    Attributes:
        start: of a widened one, see ``widened``; None where the net stays as it is.
        learns: whether it is trained on what it sees.
    """

    name: str
    kinds: tuple[Kind, ...]
    start: Literal["thirds", "slice"] | None = None
    learns: bool = True


ARMS = {
    arm.name: arm
    for arm in (
        Arm("channels-thirds", CHANNELS, "thirds"),
        Arm("channels-slice", CHANNELS, "slice"),
        Arm("slab", ("slab",)),
        Arm("slab-untrained", ("slab",), learns=False),
    )
}


def main() -> None:
    options = arguments()
    allow_code("slab_planes")
    torch.set_num_threads(1)
    enable_progress()
    arms = [ARMS[name] for name in options.arms]
    if options.cost:
        for arm in (Arm("slices", ("slice",)), *arms):
            print(cost(options.runs[0], arm, options))
        return
    store = PreparedStore(load_run_config(options.runs[0] / "config.yaml").data.tomosynthesis)
    truth = read_truth(*challenge_tables(store.manifest.split(Split(options.split))), options.min_radius)
    heads = [False, True] if options.focus else [False]
    ways = [Way(share, "averaged", head) for head in heads for share in options.shares]
    made = {(arm, run): trained(run, arm, options) for run in options.runs for arm in arms}
    kept = argparse.Namespace(out=options.kept or options.out, split=options.split, batches=0)
    lines = [TITLE]
    for way in ways:
        tables = [predicted_slices(run, way, store, kept) for run in options.runs]
        slices = judged(tables, truth, options.slice_mm)
        lines.append(row(f"slices, {way.name}", slices, None, truth))
        for arm in arms:
            tables = [
                predicted(made[arm, run], f"{arm.name}-{run.parent.name}", arm, way, options)
                for run in options.runs
            ]
            found = judged(tables, truth, options.slice_mm)
            lines.append(row(f"{arm.name}, {way.name}", found, slices, truth))
    with atomic_write(options.out / "table.md") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="runs, predictions and the table go here")
    parser.add_argument("--runs", required=True, help="RUN,RUN: students of slices")
    parser.add_argument("--kept", type=Path, help="--out of keep_teacher.py: predictions of --runs are there")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--split", choices=[split.value for split in Split], default="validation")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.25])
    parser.add_argument("--focus", action="store_true", help="also with focus heads")
    parser.add_argument("--reach", type=int, default=4, help="slices of a slab on either side")
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--slice-mm", type=float, default=1.0, help="distance of slices")
    parser.add_argument("--cost", type=int, default=0, metavar="STEPS", help="only tell CPU seconds")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    options.runs = [Path(run) for run in options.runs.split(",")]
    return options


def settings(run: Path, arm: Arm, out: Path) -> TrainConfig:
    """Return the settings of an arm's student: those of the run, with a wider net where the arm has one."""
    config = load_run_config(run / "config.yaml")
    if config.teacher is None or config.data.tomosynthesis is None:
        raise SystemExit(f"{run}: started from no teacher, or does not say on which volumes")
    if arm.start is None:
        return config
    teacher = out / "teachers" / f"{config.teacher.parent.name}-{arm.start}"
    if not teacher.is_dir():
        widen_teacher(config.teacher, arm.start, teacher)
    return wide(config).model_copy(update={"teacher": teacher})


def wide(config: TrainConfig) -> TrainConfig:
    """Return the same settings for the wider net."""
    detector = config.detector.model_dump(mode="json") | {"kind": SlabRetinaNetConfig().kind}
    return config.model_copy(update={"detector": SlabRetinaNetConfig.model_validate(detector)})


def widen_teacher(teacher: Path, start: Literal["thirds", "slice"], out: Path) -> None:
    """Write a teacher with the wider net as a run folder."""
    config, about, _ = read_about(teacher)
    detector = build_detector(wide(config))
    detector.load_state_dict(widened(read_weights(teacher / "model.safetensors"), start))
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_checkpoint(part, detector, wide(config), about)
    part.rename(out)


def cohort_of(config: TrainConfig, arm: Arm, options: argparse.Namespace) -> Cohort:
    """Return who trains, with planes of the arm."""
    store = SlabStore(config.data.tomosynthesis, arm.kinds, options.reach)
    return choose_cohort(store, config.data, config.data.fraction, config.seed)


def task_of(config: TrainConfig, arm: Arm, volumes: Cohort, fabric: Fabric, out: Path) -> TrainingTask:
    """Return the package's task of a student, with batches of the arm."""
    task = student_task(config, volumes, mammogram_cohorts(config), fabric, out)
    batches = task.make_batch
    if arm.start is None:
        return task
    if not isinstance(batches, StudentBatches) or batches.joint is None or batches.lesions or batches.pseudo:
        raise SystemExit("expected a student of mixed batches, without distillation and proposed lesions")
    slices = ChannelBatches(volumes.store, volumes.train, config)
    batches = replace(batches, slices=slices, joint=RepeatedBatches(batches.joint))
    return replace(task, make_batch=batches)


def trained(run: Path, arm: Arm, options: argparse.Namespace) -> Path:
    """Return the run folder of an arm; what is missing of its training is done."""
    if not arm.learns:
        return run
    config = settings(run, arm, options.out)
    out = options.out / "runs" / f"{arm.name}-{run.parent.name}"
    with run_record(out, resume=out.is_dir()) as record:
        volumes = cohort_of(config, arm, options)
        cohorts = {"tomosynthesis": volumes, **mammogram_cohorts(config)}
        patients = {f"{name}/train": list(cohort.patients) for name, cohort in cohorts.items()}
        record.start(config, RunMade("student", patients, run_inputs(config, cohorts)))
        fabric = start_fabric(config)
        task = task_of(config, arm, volumes, fabric, out)
        began = time.process_time()
        with kept_memory():
            state = fit(fabric, task, config, record)
        say(f"{out}: epoch {state.epoch}, {time.process_time() - began:.0f} CPU s here")
    return out


def predicted(run: Path, name: str, arm: Arm, way: Way, options: argparse.Namespace) -> Path:
    """Return the table of a run's predictions; made if it is not there yet."""
    path: Path = options.out / f"{name}-{way.name}-{options.split}.csv"
    if path.is_file():
        return path
    began = time.process_time()
    model, _ = load_model(run, role="student")
    set_weights(model, run, way, 0)
    volumes = cohort_of(model.config, arm, options)
    if way.focus:
        head = fit_focus(model, volumes.store, volumes.train, FocusConfig(fit=True))
        model = replace(model, focus=head)
    manifest = volumes.store.manifest.split(Split(options.split))
    found = predict_store(model, volumes.store, manifest, model.config.inference)
    with atomic_write(path) as part:
        prediction_table(found).to_csv(part, index=False)
    say(f"{path.name}: {time.process_time() - began:.0f} CPU s")
    return path


TITLE = (
    "| arm, share of the teacher | challenge | minus slices | within 10 mm | minus slices | x and y alone "
    "| minus slices | median depth error, slices |\n|---|---|---|---|---|---|---|---|"
)


def judged(
    tables: list[Path], truth: ChallengeTruth, slice_mm: float
) -> dict[str, list[ChallengePredictions]]:
    """Return the predictions of runs as each rule sees them."""
    rules = DepthRules(tolerance_mm=10.0, slice_mm=np.full(len(truth.volumes), slice_mm))
    found = [read_predictions(table, truth) for table in tables]
    variants = [depth_variants(one, truth, rules) for one in found]
    return {CHALLENGE: found} | {rule: [one[rule] for one in variants] for rule in (MILLIMETRES, IN_PLANE)}


def row(
    title: str,
    found: dict[str, list[ChallengePredictions]],
    slices: dict[str, list[ChallengePredictions]] | None,
    truth: ChallengeTruth,
) -> str:
    """Return a line of the table."""
    cells = [title]
    for rule in (CHALLENGE, MILLIMETRES, IN_PLANE):
        values = run_sensitivities(nested(found[rule]), truth)
        cells.append(f"{values.mean():.3f} ({', '.join(f'{value:.3f}' for value in values)})")
        if slices is None:
            cells.append("")
            continue
        difference = hierarchical_difference(nested(found[rule]), nested(slices[rule]), truth)
        cells.append(signed(difference.value, difference.interval.low, difference.interval.high))
    errors = [np.nanmedian(depth_errors(one, truth)) for one in found[CHALLENGE]]
    cells.append(f"{np.mean(errors):.2f} ({', '.join(f'{error:.1f}' for error in errors)})")
    return f"| {' | '.join(cells)} |"


def cost(run: Path, arm: Arm, options: argparse.Namespace) -> str:
    """Tell the CPU seconds of a step and of the prediction of a volume, the untrained net's."""
    config = settings(run, arm, options.out)
    volumes = cohort_of(config, arm, options)
    fabric = start_fabric(config)
    task = task_of(config, arm, volumes, fabric, options.out)
    step, optimizer = fabric.setup(task.step, build_optimizer(task.groups, config.optimizer))
    step.train()
    making = stepping = 0.0
    for number in range(-1, options.cost):  # the first one warms up
        began = time.process_time()
        batch = task.make_batch(max(number, 0))
        made = time.process_time()
        optimizer.zero_grad()
        fabric.backward(total(step(fabric.to_device(batch).expanded())))
        optimizer.step()
        if number >= 0:
            making, stepping = making + made - began, stepping + time.process_time() - made
    model = replace(load_model(run, role="student")[0], detector=task.detector.eval(), config=config)
    first = volumes.validation.images.index < options.cost
    manifest = volumes.validation.select(first)
    began = time.process_time()
    predict_store(model, volumes.store, manifest, config.inference)
    seconds = (time.process_time() - began) / len(manifest)
    return (
        f"{arm.name}: {making / options.cost:.3f} s a batch, {stepping / options.cost:.3f} s a step, "
        f"{seconds:.2f} s a volume"
    )


if __name__ == "__main__":
    main()
