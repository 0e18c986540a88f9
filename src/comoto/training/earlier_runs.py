"""The runs that a run starts from, teacher and first weights; they are looked at without torch."""

from __future__ import annotations

from pathlib import Path

from comoto.config import TrainConfig
from comoto.detectors.about import read_about
from comoto.distill.settings import teacher_sees
from comoto.errors import CheckpointError, ConfigError
from comoto.progress import say
from comoto.records import Split
from comoto.training.cohorts import Cohort
from comoto.training.record import trained_on


def starts_from_teacher(config: TrainConfig) -> bool:
    """Whether a student's first weights are the teacher's."""
    return config.init == "teacher" and config.init_from is None


def teacher_of(config: TrainConfig) -> tuple[Path, TrainConfig] | None:
    """Return the run folder of the teacher that a student uses and how it was trained; None if it uses none.

    Raises:
        ConfigError: one is needed and none is named or it saw another grid, or one is named in vain.
        CheckpointError: the folder does not hold a teacher.
    """
    if starts_from_teacher(config) or teacher_sees(config) != "nothing":
        return _teacher_run(config)
    if config.teacher is not None:
        start = f"init_from={config.init_from}" if config.init_from is not None else f"init={config.init}"
        raise ConfigError(
            f"teacher={config.teacher} is named, but {start} and distill.kind={config.distill.kind} use "
            "none; set init=teacher to start from it, choose a distiller, or leave --teacher out"
        )
    return None


def _teacher_run(config: TrainConfig) -> tuple[Path, TrainConfig]:
    """Return the teacher's run folder and how it was trained.

    Raises:
        ConfigError: none is set, or it was trained on another grid.
        CheckpointError: the folder does not hold a teacher.
    """
    if config.teacher is None:
        why = "init=teacher" if starts_from_teacher(config) else f"distill.kind={config.distill.kind}"
        raise ConfigError(
            f"teacher is not set, but {why} needs one; give the teacher's run folder (--teacher)"
        )
    theirs, about, _ = read_about(config.teacher)
    if about.role != "teacher":
        raise CheckpointError(
            f"{config.teacher}: holds a {about.role}; a run of 'comoto train teacher' is needed"
        )
    if theirs.preprocess != config.preprocess:
        raise ConfigError(f"{config.teacher}: the teacher was trained on another grid; use the same preset")
    return config.teacher, theirs


def refuse_taught(volumes: Cohort, key: str, run: Path | None) -> None:
    """Refuse weights that were trained on patients whom the run's split file holds out.

    Only a split file says who is who over data sets; without one ``held_out_elsewhere`` compares names. A
    run that was trained without one is compared by its own names, and equal names are only told unless
    the split file says that ids are shared.

    Args:
        volumes: what the run trains on and is judged by.
        key: the setting that names the weights' run, such as ``teacher``.
        run: its run folder; None if there is none.

    Raises:
        ConfigError: naming the patients.
        CheckpointError: the run's record of its patients is damaged.
    """
    if run is None or volumes.split is None:
        return
    held_out = volumes.split.part(Split.VALIDATION) | volumes.split.part(Split.TEST)
    names, by_split_file = trained_on(run)
    known = sorted(held_out & set(names))
    if not known:
        return
    message = (
        f"{key} {run} was trained on {len(known)} patients whom data.split_file holds out for "
        f"validation or test, such as {known[0]}"
    )
    if not by_split_file and not volumes.split.shared_ids:
        say(f"warning: by their names, {message}; if they are the same people, train the {key} anew")
        return
    raise ConfigError(f"{message}; train it with the same data.split_file")


def refuse_first_weights(cohort: Cohort, run: Path | None) -> None:
    """Check that the first weights (``init_from``) are there and were not trained on who judges this run.

    Without a split file names are compared. Equal names are people of this run's own data set if the weights
    come from it, and another seed holds out others, so this is told.

    Raises:
        ConfigError, CheckpointError: as ``refuse_taught``.
    """
    if run is None:
        return
    read_about(run)
    refuse_taught(cohort, "init_from", run)
    if cohort.split is not None:
        return
    test = cohort.store.manifest.split(Split.TEST).images["patient_id"]
    known = sorted({*test, *cohort.validation.images["patient_id"]} & set(trained_on(run)[0]))
    if known:
        say(
            f"warning: init_from {run} was trained on {len(known)} patients who are named like some held out "
            f"here for validation or test (first: {known[0]}); if they are the same people, metrics are too "
            "good: use the same seed or a split file"
        )
