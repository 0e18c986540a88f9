"""``comoto train``: a configuration in, a run folder out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric, seed_everything

from comoto.config import TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.device import choose_device, resolve_precision
from comoto.distill.impa import PointAlignment
from comoto.errors import ConfigError
from comoto.inference.model import Model
from comoto.preprocessing.balance import BalancedSampler
from comoto.preprocessing.sampling import SliceSampler
from comoto.progress import say
from comoto.records import Modality
from comoto.training.data import (
    Batch,
    Cohort,
    choose_cohort,
    drawn_from,
    held_out_elsewhere,
    mammogram_cohorts,
    open_store,
    refuse_first_weights,
    refuse_taught,
)
from comoto.training.first_weights import first_detector
from comoto.training.identity import run_inputs
from comoto.training.loop import Task, fit
from comoto.training.memory import kept_memory
from comoto.training.optimizer import group
from comoto.training.precision import ExactInputs
from comoto.training.record import PEOPLE, RunMade, RunRecord, run_record
from comoto.training.roles import check_settings
from comoto.training.self_training import SelfTraining
from comoto.training.steps import TeacherStep
from comoto.training.student import (
    StudentBatches,
    build_student_step,
    distiller_settings,
    mammogram_samplers,
    student_groups,
)
from comoto.training.validate import mammogram_judge, volume_judge


@dataclass(frozen=True)
class TrainResult:
    """What a run ended with.

    Attributes:
        run: the run folder, with the best checkpoint.
        epoch: finished epochs.
        best_epoch: epoch of the best checkpoint.
        metric: name of the metric that chose it.
        value: its value on the validation patients.
    """

    run: Path
    epoch: int
    best_epoch: int
    metric: str
    value: float


def train_teacher(
    config: TrainConfig, out: Path, *, resume: bool = False, stop_after: int | None = None
) -> TrainResult:
    """Train a detector on mammograms: detection and ImPA.

    Args:
        config: ``data.mammograms`` names the prepared stores.
        out: the run folder, new or empty.
        resume: continue the interrupted run in ``out``.
        stop_after: stop after this epoch, to be resumed later.

    Raises:
        ConfigError, DatasetError, CheckpointError, OutputExistsError: see the messages.
    """
    check_settings(config, "teacher")
    with run_record(out, resume=resume) as record:
        cohorts = mammogram_cohorts(config)
        for cohort in cohorts.values():
            refuse_first_weights(cohort, config.init_from)
        fabric = _fabric(config)
        detector = first_detector(config)
        step = TeacherStep(detector, PointAlignment(config.impa, detector.level_specs))
        draws = drawn_from(list(cohorts.values()))
        sampler = BalancedSampler(draws, config.batch, config.augment, config.seed)

        def make_batch(number: int) -> Batch:
            images, boxes = sampler.grey_batch(number)
            return images, boxes, number + config.seed * 1_000_003

        task = Task(
            role="teacher",
            step=step,
            detector=detector,
            groups=[group(detector.parameters(), config.optimizer.learning_rate)],
            make_batch=make_batch,
            steps_per_epoch=_steps_per_epoch(config, sampler),
            judge=mammogram_judge(_model(config, detector, fabric, out), list(cohorts.values()), config),
        )
        return _run(fabric, task, config, record, cohorts, stop_after)


def train_student(
    config: TrainConfig, out: Path, *, resume: bool = False, stop_after: int | None = None
) -> TrainResult:
    """Train a detector on tomosynthesis slices, from scratch or from the teacher, with a distiller or not.

    Args:
        config: ``data.tomosynthesis`` names the prepared store; a distiller that looks at mammograms, and
            joint training, need ``data.mammograms`` too; ``init=teacher`` and any distiller need ``teacher``.
        out: the run folder, new or empty.
        resume: continue the interrupted run in ``out``.
        stop_after: stop after this epoch, to be resumed later.

    Raises:
        ConfigError, DatasetError, CheckpointError, OutputExistsError: see the messages.
    """
    check_settings(config, "student")
    with run_record(out, resume=resume) as record:
        key = "data.tomosynthesis"
        store = open_store(config.data.tomosynthesis, key, Modality.TOMOSYNTHESIS, config.preprocess)
        cohort = choose_cohort(store, config.data, config.data.fraction, config.seed)
        refuse_taught(cohort, "teacher", config.teacher)
        refuse_first_weights(cohort, config.init_from)
        fabric = _fabric(config)
        detector = first_detector(config)
        step = build_student_step(config, detector).move_teacher(fabric.device)
        mammograms = _mammograms(config, cohort, needed=step.needs_mammograms)
        lesions, joint = mammogram_samplers(
            config, list(mammograms.values()), for_distiller=step.needs_mammograms
        )
        model = _model(config, detector, fabric, out)
        pseudo = (
            SelfTraining(config, model, store, cohort.outside, out) if config.self_training.size else None
        )
        slices = SliceSampler(store, cohort.train, config.batch, config.augment, config.seed)
        steps_per_epoch = _steps_per_epoch(config, slices)
        settings = distiller_settings(config)
        task = Task(
            role="student",
            step=step,
            detector=detector,
            groups=student_groups(step, config),
            make_batch=StudentBatches(slices, lesions, joint, pseudo, settings, steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            judge=volume_judge(model, cohort, config),
            before_epoch=None if pseudo is None else pseudo.start_epoch,
        )
        return _run(fabric, task, config, record, {"tomosynthesis": cohort, **mammograms}, stop_after)


def _mammograms(config: TrainConfig, volumes: Cohort, *, needed: bool) -> dict[str, Cohort]:
    """Open the mammograms that a student's run uses; say if they are named in vain, or look like held out."""
    if not needed and not config.joint.size:
        if config.data.mammograms:
            say(
                "note: data.mammograms is not used: joint.size=0 and "
                f"distill.kind={config.distill.kind} looks at no mammograms"
            )
        return {}
    mammograms = mammogram_cohorts(config)
    known = held_out_elsewhere(volumes, mammograms.values())
    if known:
        say(
            f"warning: {len(known)} patients are named alike among the training mammograms and the held-out "
            f"volumes (first: {known[0]}); if they are the same people, leave their mammograms out"
        )
    return mammograms


def _steps_per_epoch(config: TrainConfig, sampler: SliceSampler | BalancedSampler) -> int:
    """Return the setting, or as many steps as show every positive once.

    Raises:
        ConfigError: the sampler draws no positives that could be counted.
    """
    steps = config.schedule.steps_per_epoch or sampler.steps_per_round
    if not steps:
        raise ConfigError(
            "schedule.steps_per_epoch=null counts positive images, but batch.negative_share="
            f"{config.batch.negative_share:g} draws none; give a number of steps"
        )
    return steps


def _run(
    fabric: Fabric,
    task: Task,
    config: TrainConfig,
    record: RunRecord,
    cohorts: dict[str, Cohort],
    stop_after: int | None,
) -> TrainResult:
    patients = {
        f"{name}/{part}": list(ids)
        for name, cohort in cohorts.items()
        for part, ids in (
            ("train", cohort.patients),
            ("validation", sorted(set(cohort.validation.images["patient_id"]))),
        )
    }
    patients |= {f"{name}{PEOPLE}": list(cohort.people) for name, cohort in cohorts.items() if cohort.split}
    if config.self_training.size and task.role == "student":
        outside = cohorts["tomosynthesis"].outside
        patients["tomosynthesis/self_training"] = sorted(set(outside.images["patient_id"]))
    record.start(config, RunMade(task.role, patients, run_inputs(config, cohorts)))
    for name, cohort in cohorts.items():
        judges = task.role == "teacher" or name == "tomosynthesis"
        chosen = f", {len(cohort.validation)} images choose the epoch" if judges else ""
        say(f"{name}: {len(cohort.patients)} patients train{chosen}")
    with kept_memory():
        state = fit(fabric, task, config, record, stop_after)
    return TrainResult(record.folder, state.epoch, state.best_epoch, task.judge.metric, state.best_value)


def _fabric(config: TrainConfig) -> Fabric:
    """Return device and precision, and seed everything that is drawn from here on."""
    # Fabric tells the precision on standard error; here a library call stays silent
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = choose_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    seed_everything(config.seed, workers=True, verbose=False)
    accelerator = "cuda" if device.type == "cuda" else "cpu"
    if resolve_precision(config.precision, device) == "bf16-mixed":
        return Fabric(
            accelerator=accelerator, devices=1, plugins=ExactInputs("bf16-mixed", device=device.type)
        )
    return Fabric(accelerator=accelerator, devices=1, precision="32-true")


def _model(config: TrainConfig, detector: Detector, fabric: Fabric, out: Path) -> Model:
    """Return the model in training as inference sees it; validation and prediction share their code."""
    precision = resolve_precision(config.precision, fabric.device)
    return Model(detector, config, fabric.device, precision, out.name, sha256="")
