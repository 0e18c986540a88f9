"""``comoto train``: a configuration in, a run folder out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor

from comoto import components
from comoto.config import TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import build_detector, load_weights, read_about
from comoto.detectors.device import choose_device, resolve_precision
from comoto.distill.base import Distiller, DistillerConfig
from comoto.distill.impa import PointAlignment
from comoto.errors import CheckpointError, ConfigError
from comoto.inference.model import Model
from comoto.preprocessing.balance import BalancedSampler
from comoto.preprocessing.sampling import SliceSampler
from comoto.preprocessing.store import PreparedStore
from comoto.progress import say
from comoto.records import Modality
from comoto.training.data import Batch, Cohort, choose_cohort, open_mammograms, open_store
from comoto.training.loop import Task, fit, group
from comoto.training.record import RunRecord
from comoto.training.steps import StudentBatch, StudentStep, TeacherStep, distill_strength
from comoto.training.validate import (
    MAMMOGRAM_METRIC,
    MAMMOGRAM_TIE_BREAK,
    VOLUME_METRIC,
    VOLUME_TIE_BREAK,
    validate_mammograms,
    validate_volumes,
)


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
        config: ``data.mammograms`` names the prepared store.
        out: the run folder, new or empty.
        resume: continue the interrupted run in ``out``.
        stop_after: stop after this epoch, to be resumed later.

    Raises:
        ConfigError, DatasetError, CheckpointError, OutputExistsError: see the messages.
    """
    cohorts = _mammograms(config)
    fabric = _fabric(config)
    detector = build_detector(config)
    step = TeacherStep(detector, PointAlignment(config.impa, detector.level_specs))
    sampler = BalancedSampler(_drawn_from(cohorts), config.batch, config.augment, config.seed)

    def make_batch(number: int) -> Batch:
        images, boxes = sampler.batch(number)
        return _laid_out(images), boxes, number + config.seed * 1_000_003

    validate = partial(
        validate_mammograms, _model(config, detector, fabric, out), list(cohorts.values()), config.selection
    )
    groups = [group(detector.parameters(), config.optimizer.learning_rate)]
    task = Task(
        "teacher", step, detector, groups, make_batch, validate, MAMMOGRAM_METRIC, MAMMOGRAM_TIE_BREAK
    )
    return _run(fabric, task, config, RunRecord(out, resume=resume), cohorts, stop_after)


def train_student(
    config: TrainConfig, out: Path, *, resume: bool = False, stop_after: int | None = None
) -> TrainResult:
    """Train a detector on tomosynthesis slices, from scratch or from the teacher, with a distiller or not.

    Args:
        config: ``data.tomosynthesis`` names the prepared store; a distiller that looks at mammograms needs
            ``data.mammograms`` too; ``init=teacher`` and such a distiller need ``teacher``.
        out: the run folder, new or empty.
        resume: continue the interrupted run in ``out``.
        stop_after: stop after this epoch, to be resumed later.

    Raises:
        ConfigError, DatasetError, CheckpointError, OutputExistsError: see the messages.
    """
    key = "data.tomosynthesis"
    store = open_store(config.data.tomosynthesis, key, Modality.TOMOSYNTHESIS, config.preprocess)
    cohort = choose_cohort(store, config.data, config.data.fraction, config.seed)
    cohorts = {"tomosynthesis": cohort}
    fabric = _fabric(config)
    detector = build_detector(config)
    grid = (config.preprocess.rows, config.preprocess.columns)
    distiller_class = components.resolve("distiller", config.distill.kind)
    distiller: Distiller = distiller_class(config.distill, detector.level_specs, grid)
    teacher = _teacher(config, detector, distiller)
    if teacher is not None:
        distiller.check(detector, teacher)
    distill = cast(DistillerConfig, config.distill)
    step = StudentStep(detector, distiller, teacher, teacher_head=distill.teacher_head)
    step.move_teacher(fabric.device)
    sampler = SliceSampler(store, cohort.train, config.batch, config.augment, config.seed)
    steps_per_epoch = config.schedule.steps_per_epoch or 1
    lesions: BalancedSampler | None = None
    if step.needs_mammograms:
        mammograms = _mammograms(config)
        cohorts |= mammograms
        share = config.batch.model_copy(update={"negative_share": 0.0})
        lesions = BalancedSampler(_drawn_from(mammograms), share, config.augment, config.seed + 1)

    def make_batch(number: int) -> Batch:
        images, boxes = sampler.batch(number)
        strength = distill_strength(number, steps_per_epoch, distill)
        batch = StudentBatch(_laid_out(images), boxes, strength=strength)
        if lesions is not None and strength > 0:
            told, told_boxes = lesions.batch(number)
            batch = batch._replace(mammograms=_laid_out(told), mammogram_boxes=told_boxes)
        return batch

    validate = partial(validate_volumes, _model(config, detector, fabric, out), cohort, config)
    groups = [group(detector.parameters(), config.optimizer.learning_rate)]
    own = list(distiller.parameters())
    if own:
        rate = distill.learning_rate or config.optimizer.learning_rate
        groups.append(group(own, rate))
    task = Task("student", step, detector, groups, make_batch, validate, VOLUME_METRIC, VOLUME_TIE_BREAK)
    return _run(fabric, task, config, RunRecord(out, resume=resume), cohorts, stop_after)


def _mammograms(config: TrainConfig) -> dict[str, Cohort]:
    """Return who trains and validates of each set of mammograms; all training patients are used."""
    stores = open_mammograms(config.data.mammograms, config.preprocess)
    names = ["mammograms"] if len(stores) == 1 else [f"mammograms {n}" for n in range(1, len(stores) + 1)]
    return {
        name: choose_cohort(store, config.data, 1.0, config.seed)
        for name, store in zip(names, stores, strict=True)
    }


def _drawn_from(cohorts: dict[str, Cohort]) -> list[tuple[PreparedStore, tuple[str, ...]]]:
    return [(cohort.store, cohort.train) for cohort in cohorts.values()]


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
    record.start(config, patients)
    for name, cohort in cohorts.items():
        say(
            f"{name}: {len(cohort.patients)} patients train, {len(cohort.validation)} images choose the epoch"
        )
    state = fit(fabric, task, config, record, stop_after)
    return TrainResult(record.folder, state.epoch, state.best_epoch, task.metric, state.best_value)


def _teacher(config: TrainConfig, detector: Detector, distiller: Distiller) -> Detector | None:
    """Load the student's start from the teacher, and return the frozen teacher if the distiller wants it."""
    if config.init == "scratch" and distiller.teacher_sees == "nothing":
        return None
    if config.teacher is None:
        why = "init=teacher" if config.init == "teacher" else f"distill.kind={config.distill.kind}"
        raise ConfigError(f"teacher is not set, but {why} needs one; give the teacher's run folder")
    theirs, about, _ = read_about(config.teacher)
    if about.role != "teacher":
        raise CheckpointError(
            f"{config.teacher}: holds a {about.role}; a run of 'comoto train teacher' is needed"
        )
    if theirs.preprocess != config.preprocess:
        raise ConfigError(f"{config.teacher}: the teacher was trained on another grid; use the same preset")
    if config.init == "teacher":
        load_weights(detector, config.teacher)
        say(f"all weights of the student start from {config.teacher}")
    if distiller.teacher_sees == "nothing":
        return None
    teacher = build_detector(config.model_copy(update={"detector": theirs.detector}))
    load_weights(teacher, config.teacher)
    return teacher


def _fabric(config: TrainConfig) -> Fabric:
    """Return device and precision, and seed everything that is drawn from here on."""
    # Fabric tells the precision on standard error; here a library call stays silent
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = choose_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    seed_everything(config.seed, workers=True, verbose=False)
    precision: Literal["32-true", "bf16-mixed"] = (
        "bf16-mixed" if resolve_precision(config.precision, device) == "bf16-mixed" else "32-true"
    )
    return Fabric(accelerator="cuda" if device.type == "cuda" else "cpu", devices=1, precision=precision)


def _model(config: TrainConfig, detector: Detector, fabric: Fabric, out: Path) -> Model:
    """Return the model in training as inference sees it; validation and prediction share their code."""
    precision = resolve_precision(config.precision, fabric.device)
    return Model(detector, config, fabric.device, precision, out.name, sha256="")


def _laid_out(images: Tensor) -> Tensor:
    """Return the batch in the memory layout in which convolutions are fastest."""
    return images.contiguous(memory_format=torch.channels_last)
