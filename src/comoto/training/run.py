"""``comoto train``: a configuration in, a run folder out.

Settings, paths and patients are looked at here, without torch, so that what is wrong with them is told at
once; ``comoto.training.tasks`` builds the networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comoto.config import TrainConfig
from comoto.distill.settings import teacher_sees
from comoto.progress import say
from comoto.training.check_settings import check_settings
from comoto.training.cohorts import (
    Cohort,
    choose_cohort,
    held_out_elsewhere,
    mammogram_cohorts,
    open_student_store,
)
from comoto.training.earlier_runs import refuse_first_weights, refuse_taught, teacher_of
from comoto.training.identity import run_inputs
from comoto.training.memory import kept_memory
from comoto.training.record import PEOPLE, RunMade, RunRecord, run_record

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from comoto.training.loop import TrainingTask


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

    def __fspath__(self) -> str:
        """Return the run folder: a result can be named where a path to a run can."""
        return str(self.run)


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
        from comoto.training.tasks import start_fabric, teacher_task  # torch

        fabric = start_fabric(config)
        task = teacher_task(config, cohorts, fabric, out)
        return _run(fabric, task, config, record, cohorts, stop_after)


def train_student(
    config: TrainConfig, out: Path, *, resume: bool = False, stop_after: int | None = None
) -> TrainResult:
    """Train a detector on tomosynthesis slices, from scratch or from the teacher, with a distiller or not.

    Args:
        config: ``data.tomosynthesis`` names the prepared store, of mammograms under ``data.single_images``; a
            distiller that looks at mammograms, and
            joint training, need ``data.mammograms`` too; ``init=teacher`` and any distiller need ``teacher``.
        out: the run folder, new or empty.
        resume: continue the interrupted run in ``out``.
        stop_after: stop after this epoch, to be resumed later.

    Raises:
        ConfigError, DatasetError, CheckpointError, OutputExistsError: see the messages.
    """
    check_settings(config, "student")
    with run_record(out, resume=resume) as record:
        store = open_student_store(config.data.tomosynthesis, "data.tomosynthesis", config)
        cohort = choose_cohort(store, config.data, config.data.fraction, config.seed)
        refuse_taught(cohort, "teacher", config.teacher)
        refuse_first_weights(cohort, config.init_from)
        teacher_of(config)
        mammograms = _mammograms(config, cohort)
        from comoto.training.tasks import start_fabric, student_task  # torch

        fabric = start_fabric(config)
        task = student_task(config, cohort, mammograms, fabric, out)
        return _run(fabric, task, config, record, {"tomosynthesis": cohort, **mammograms}, stop_after)


def _mammograms(config: TrainConfig, volumes: Cohort) -> dict[str, Cohort]:
    """Open the mammograms that a student's run uses; say if they are named in vain, or look like held out."""
    if teacher_sees(config) != "mammograms" and not config.joint.size:
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


def _run(
    fabric: Fabric,
    task: TrainingTask,
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
    if task.role == "student":
        patients |= _looked_at(config, cohorts["tomosynthesis"])
    record.start(config, RunMade(task.role, patients, run_inputs(config, cohorts)))
    for name, cohort in cohorts.items():
        judges = task.role == "teacher" or name == "tomosynthesis"
        chosen = f", {len(cohort.validation)} images choose the epoch" if judges else ""
        say(f"{name}: {len(cohort.patients)} patients train{chosen}")
    from comoto.training.focus import finish_focus
    from comoto.training.loop import fit

    with kept_memory():
        state = fit(fabric, task, config, record, stop_after)
        if task.role == "student" and state.epoch == config.schedule.epochs:
            volumes = cohorts["tomosynthesis"]
            finish_focus(record.folder, volumes.store, volumes.train, config)
    return TrainResult(record.folder, state.epoch, state.best_epoch, task.validator.metric, state.best_value)


def _looked_at(config: TrainConfig, volumes: Cohort) -> dict[str, list[str]]:
    """Return the patients outside the fraction whose volumes a student looks at, by what for."""
    uses = {
        "self_training": config.self_training.size > 0,
        "mined_negatives": config.batch.mined_negatives.share > 0 and config.batch.mined_negatives.outside,
    }
    outside = sorted(set(volumes.outside.images["patient_id"]))
    return {f"tomosynthesis/{use}": outside for use, is_on in uses.items() if is_on}
