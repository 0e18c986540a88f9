"""Training runs beside their results: curves, who saw which patients, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from comoto.config import TrainConfig, dump_yaml, flat_settings
from comoto.detectors.about import read_about
from comoto.evaluation import challenge, mammogram
from comoto.preprocessing.store import read_json
from comoto.report.curves_figure import LogRows, curves_figure
from comoto.report.pictures import figure_image
from comoto.report.wording import count
from comoto.training.log_file import LOG, read_log


@dataclass(frozen=True)
class ReportedRun:
    """A finished training run.

    Attributes:
        role: ``teacher`` or ``student``.
        config: what it was trained with.
        config_text: the same as YAML.
        patients: patients by ``<store>/<train|validation>``; nobody where the run does not say.
        best_epoch: epoch of the kept checkpoint, from 1.
        rows: of its log; none where there is no log, as in a run that was imported.
    """

    role: Literal["teacher", "student"]
    config: TrainConfig
    config_text: str
    patients: dict[str, list[str]]
    best_epoch: int
    rows: LogRows


def read_run(folder: Path) -> ReportedRun:
    """Read what a run folder says of itself.

    Raises:
        CheckpointError: the folder holds no run, or one of its files is damaged.
        DatasetError: the list of its patients is damaged.
    """
    config, about, _ = read_about(folder)
    text, patients, log = (folder / name for name in ("config.yaml", "split.json", LOG))
    return ReportedRun(
        role=about.role,
        config=config,
        config_text=text.read_text(encoding="utf-8")
        if text.is_file()
        else dump_yaml(config.model_dump(mode="json")),
        patients=read_json(patients) if patients.is_file() else {},
        best_epoch=about.epoch,
        rows=read_log(log) if log.is_file() else (),
    )


def runs_section(runs: Mapping[str, ReportedRun]) -> dict[str, Any]:
    """Return training curves, cohorts and settings of runs by their titles.

    Settings are compared between students, if there are any: a teacher differs from them in any case.
    """
    students = {title: run for title, run in runs.items() if run.role == "student"} or dict(runs)
    return {
        "curves": _curves(runs),
        "cohorts": _cohorts(runs),
        "compared": tuple(students),
        "differing": differences([run.config for run in students.values()]),
        "run_texts": {title: run.config_text for title, run in runs.items()},
    }


def differences(configs: Sequence[TrainConfig]) -> dict[str, list[str]]:
    """Return the settings in which at least one of the runs differs: its value in each, by dotted key."""
    settings = [flat_settings(config.model_dump(mode="json")) for config in configs]
    missing = object()
    return {
        key: [str(flat.get(key, "not set")) for flat in settings]
        for key in dict.fromkeys(key for flat in settings for key in flat)
        if any(flat.get(key, missing) != settings[0].get(key, missing) for flat in settings)
    }


def seen_in_training(runs: Mapping[str, ReportedRun], scored: Iterable[str]) -> tuple[str, ...]:
    """Say which runs saw patients that are scored: their metrics are too good.

    Args:
        runs: by title.
        scored: ids of the patients.
    """
    wanted, told = set(scored), []
    for title, run in runs.items():
        for part, what in (("train", "was trained on"), ("validation", "chose its epoch by")):
            ids = {each for key, ids in run.patients.items() if key.endswith(f"/{part}") for each in ids}
            if wanted & ids:
                told.append(
                    f"{title} {what} {len(wanted & ids)} of the {count(len(wanted), 'patient')} that are "
                    "scored here, by their ids; its metrics are too good."
                )
    return tuple(told)


def _curves(runs: Mapping[str, ReportedRun]) -> Any:
    drawn = [
        (title, run.rows, (mammogram if run.role == "teacher" else challenge).MEAN_NAME, run.best_epoch)
        for title, run in runs.items()
        if run.rows
    ]
    if not drawn:
        return None
    epochs = ", ".join(f"{title}: epoch {best}" for title, _, _, best in drawn)
    alt = f"Loss terms and validation metric by epoch. Kept: {epochs}."
    return figure_image(curves_figure(drawn), alt)


def _cohorts(runs: Mapping[str, ReportedRun]) -> list[dict[str, Any]]:
    """Count the patients that each run saw in each kind of images."""
    rows = []
    for title, run in runs.items():
        for images in dict.fromkeys(key.split("/")[0] for key in run.patients):
            training, choosing = (
                len(run.patients.get(f"{images}/{part}", [])) for part in ("train", "validation")
            )
            rows.append({"run": title, "images": images, "training": training, "choosing": choosing})
    return rows
