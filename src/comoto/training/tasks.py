"""What a run computes: the networks, their first weights, the stream of batches and who judges them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from lightning_fabric import Fabric, seed_everything

from comoto.config import TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.device import choose_device, resolve_precision
from comoto.distill.impa import PointAlignment
from comoto.distill.settings import distiller_settings
from comoto.errors import ConfigError
from comoto.inference.model import Model
from comoto.preprocessing.balance import SEEDS_APART, BalancedBatches
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.uint8_batch import Uint8Batch
from comoto.training.batch import TeacherBatch
from comoto.training.cohorts import Cohort, drawn_from
from comoto.training.first_weights import first_detector
from comoto.training.loop import TrainingTask
from comoto.training.mined_negatives import MinedNegatives
from comoto.training.optimizer import group
from comoto.training.precision import ExactInputs
from comoto.training.self_training import SelfTraining
from comoto.training.steps import TeacherStep
from comoto.training.student import StudentBatches, build_student_step, mammogram_samplers, student_groups
from comoto.training.validate import mammogram_validator, volume_validator


def teacher_task(
    config: TrainConfig, cohorts: Mapping[str, Cohort], fabric: Fabric, out: Path
) -> TrainingTask:
    """Build what the training of a teacher is made of.

    Args:
        config: of the run.
        cohorts: the mammograms.
        fabric: what ``start_fabric`` returned.
        out: the run folder.

    Raises:
        ConfigError, CheckpointError: see the messages.
    """
    detector = first_detector(config)
    step = TeacherStep(detector, PointAlignment(config.impa, detector.level_specs))
    draws = drawn_from(list(cohorts.values()))
    sampler = BalancedBatches(draws, config.batch, config.augment, config.seed)

    def make_batch(number: int) -> TeacherBatch[Uint8Batch]:
        images, boxes = sampler.uint8_batch(number)
        return TeacherBatch(images, boxes, number + config.seed * SEEDS_APART)

    return TrainingTask(
        role="teacher",
        step=step,
        detector=detector,
        groups=[group(detector.parameters(), config.optimizer.learning_rate)],
        make_batch=make_batch,
        steps_per_epoch=_steps_per_epoch(config, sampler),
        validator=mammogram_validator(_model(config, detector, fabric, out), list(cohorts.values()), config),
    )


def student_task(
    config: TrainConfig, volumes: Cohort, mammograms: Mapping[str, Cohort], fabric: Fabric, out: Path
) -> TrainingTask:
    """Build what the training of a student is made of.

    Args:
        config: of the run.
        volumes: the slices.
        mammograms: for the distiller, or for joint training; none where the run uses none.
        fabric: what ``start_fabric`` returned.
        out: the run folder.

    Raises:
        ConfigError, CheckpointError: see the messages.
    """
    detector = first_detector(config)
    _check_focus_level(config, detector)
    step = build_student_step(config, detector).move_teacher(fabric.device)
    lesions, joint = mammogram_samplers(
        config, list(mammograms.values()), for_distiller=step.needs_mammograms
    )
    model = _model(config, detector, fabric, out)
    pseudo = None
    if config.self_training.size:
        pseudo = SelfTraining(config, model, volumes.store, volumes.outside, out)
    slices = SliceBatches(volumes.store, volumes.train, config.batch, config.augment, config.seed)
    steps_per_epoch = _steps_per_epoch(config, slices)
    mined = None
    if config.batch.mined_negatives.share:
        mined = MinedNegatives(config, model, volumes, slices, out)
    settings = distiller_settings(config)
    return TrainingTask(
        role="student",
        step=step,
        detector=detector,
        groups=student_groups(step, config),
        make_batch=StudentBatches(slices, lesions, joint, pseudo, settings, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        validator=volume_validator(model, volumes, config),
        before_epoch=_starting(*(part for part in (pseudo, mined) if part is not None)),
    )


def _starting(*parts: SelfTraining | MinedNegatives) -> Callable[[int], dict[str, float]]:
    """Return what starts an epoch of each part, and joins what they tell the log."""

    def start_epoch(epoch: int) -> dict[str, float]:
        told: dict[str, float] = {}
        for part in parts:
            told |= part.start_epoch(epoch)
        return told

    return start_epoch


def _check_focus_level(config: TrainConfig, detector: Detector) -> None:
    """Refuse before the training what could not be fitted after it."""
    if config.focus.fit and config.focus.level not in detector.level_specs:
        raise ConfigError(
            f"focus.level: the detector has no level '{config.focus.level}'; it has "
            f"{', '.join(detector.level_specs)}"
        )


def start_fabric(config: TrainConfig) -> Fabric:
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


def _steps_per_epoch(config: TrainConfig, sampler: SliceBatches | BalancedBatches) -> int:
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


def _model(config: TrainConfig, detector: Detector, fabric: Fabric, out: Path) -> Model:
    """Return the model in training as inference sees it; validation and prediction share their code."""
    precision = resolve_precision(config.precision, fabric.device)
    return Model(detector, config, fabric.device, precision, out.name, sha256="")
