"""What the student's training is made of: the frozen teacher, the distiller, and the parts of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from comoto import components
from comoto.config import TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import build_blank_detector, load_weights
from comoto.distill.base import Distiller
from comoto.distill.settings import DistillerConfig, distiller_settings
from comoto.preprocessing.balance import BalancedBatches
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.uint8_batch import Uint8Batch
from comoto.progress import say
from comoto.training.batch import StudentBatch
from comoto.training.cohorts import Cohort, drawn_from
from comoto.training.earlier_runs import starts_from_teacher, teacher_of
from comoto.training.first_weights import load_run
from comoto.training.optimizer import group
from comoto.training.self_training import SelfTraining
from comoto.training.steps import StudentStep, distill_strength

_TEACHER_SEED, _JOINT_SEED = 1, 2


def build_student_step(config: TrainConfig, detector: Detector) -> StudentStep:
    """Join student, distiller and teacher; the student starts from the teacher if it is to.

    Raises:
        ConfigError: a teacher is needed and none is named, or the two detectors cannot be distilled.
        CheckpointError: the teacher's run does not hold a teacher, or one of another architecture.
    """
    grid = (config.preprocess.rows, config.preprocess.columns)
    settings = distiller_settings(config)
    distiller: Distiller = components.resolve("distiller", settings.kind)(
        settings, detector.level_specs, grid
    )
    teacher, run = None, teacher_of(config)
    if run is not None:
        folder, theirs = run
        if distiller.teacher_sees != "nothing":
            teacher = build_blank_detector(config.model_copy(update={"detector": theirs.detector}))
            distiller.check(detector, teacher)
            load_weights(teacher, folder)
        if starts_from_teacher(config):
            load_run(detector, folder, config)
            say(f"all weights of the student start from {folder}")
    return StudentStep(detector, distiller, teacher, joint=config.joint, teacher_head=settings.teacher_head)


def student_groups(step: StudentStep, config: TrainConfig) -> list[dict[str, Any]]:
    """Return the parameters of the detector, and those of the distiller with their own learning rate."""
    groups = [group(step.detector.parameters(), config.optimizer.learning_rate)]
    own = list(step.distiller.parameters())
    if own:
        rate = distiller_settings(config).learning_rate
        groups.append(group(own, rate or config.optimizer.learning_rate))
    return groups


@dataclass(frozen=True)
class StudentBatches:
    """Makes the batch of a step, a pure function of the step and of the proposals of self-training.

    Attributes:
        slices: annotated slices.
        lesions: mammograms with lesions for the distiller, in its own step count; None if it wants none.
        joint: mammograms in which the student detects too.
        pseudo: slices with proposed lesions.
        settings: of the distiller; they decide how strong it is in a step.
        steps_per_epoch: of the run.
    """

    slices: SliceBatches
    lesions: BalancedBatches | None
    joint: BalancedBatches | None
    pseudo: SelfTraining | None
    settings: DistillerConfig
    steps_per_epoch: int

    def __call__(self, step: int) -> StudentBatch[Uint8Batch]:
        """Return the batch of a step; what the step does not use is not loaded."""
        images, boxes = self.slices.uint8_batch(step)
        proposed = None if self.pseudo is None else self.pseudo.uint8_batch(step)
        if proposed is not None:
            images, boxes = Uint8Batch.joined([images, proposed[0]]), boxes + proposed[1]
        strength = distill_strength(step, self.steps_per_epoch, self.settings)
        told, told_boxes = _drawn(self.lesions if strength > 0 else None, step)
        joint, joint_boxes = _drawn(self.joint, step)
        return StudentBatch(images, boxes, told, told_boxes, joint, joint_boxes, strength)


def mammogram_samplers(
    config: TrainConfig, cohorts: list[Cohort], *, for_distiller: bool
) -> tuple[BalancedBatches | None, BalancedBatches | None]:
    """Return the samplers of the distiller's mammograms and of the joint ones; None where not used.

    Raises:
        ConfigError, DatasetError: as ``BalancedBatches``.
    """
    lesions = joint = None
    if for_distiller:
        positive = config.batch.model_copy(update={"negative_share": 0.0})
        lesions = BalancedBatches(drawn_from(cohorts), positive, config.augment, config.seed + _TEACHER_SEED)
    if config.joint.size:
        share = {"size": config.joint.size, "negative_share": config.joint.negative_share}
        batch = config.batch.model_copy(update={**share, "negatives": "both"})
        joint = BalancedBatches(
            drawn_from(cohorts), batch, config.augment, config.seed + _JOINT_SEED, section="joint"
        )
    return lesions, joint


def _drawn(sampler: BalancedBatches | None, step: int) -> tuple[Uint8Batch | None, list[Tensor] | None]:
    if sampler is None:
        return None, None
    return sampler.uint8_batch(step)
