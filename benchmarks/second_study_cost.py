"""How long a part of the second study takes on this machine, from everything done once at a small scale."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from comoto.config import override
from comoto.preprocessing.store import PreparedStore
from comoto.records import Split
from comoto.simulation import sized
from comoto.simulation.second.cohort import plan_mammograms, plan_volumes
from comoto.simulation.second.images import make_second_mammogram, make_second_volume
from comoto.study.config import load_study
from comoto.study.grid import build_grid
from comoto.study.kept import read_done
from comoto.training.log_file import LOG, read_log

FEW = {
    "tomosynthesis.train_patients": 4,
    "tomosynthesis.validation_patients": 2,
    "tomosynthesis.lesion_share": 1.0,
    "mammography.training_patients": 4,
    "mammography.test_patients": 1,
    "mammography.lesion_share": 1.0,
}
STEPS = 6
SHORT = ["schedule.epochs=2", f"schedule.steps_per_epoch={STEPS}", "schedule.validate_every=2"]
NO_NORMALS = {"teacher": "batch.negative_share=0", "student": "joint.negative_share=0"}
"""All of the few patients have a lesion, so that every part has one; what fills a batch does not matter."""
START = 8.0
"""Seconds until a process of its own is at work: it imports torch and opens the stores."""


class Clock:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count what is done here under a name."""
        started = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


def seconds_of_images(values: Mapping[str, Any], place: Path) -> tuple[float, float]:
    """Return the seconds that a volume and a mammogram of these patients take in one process that is warm."""
    config = override(sized("small", "second"), [], {**values, **FEW})
    cv2.setNumThreads(1)
    volumes, films = plan_volumes(config), plan_mammograms(config)
    make_second_volume(volumes[0], config, place)
    clock = Clock()
    with clock.on("volumes"):
        for volume in volumes[1:5]:
            make_second_volume(volume, config, place)
    with clock.on("films"):
        for film in films[1:5]:
            make_second_mammogram(film, config, place)
    return clock.seconds["volumes"] / 4, clock.seconds["films"] / 4


def num_images(values: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many volumes and mammograms a set of patients has."""
    config = override(sized("small", "second"), [], values)
    return len(plan_volumes(config)), len(plan_mammograms(config))


def told(
    clock: Clock, small: Path, exams: Mapping[str, Mapping[str, Any]], study: Path, name: str, workers: int
) -> str:
    """Return a table of what a part costs.

    Args:
        clock: of the small scale.
        small: its folder.
        exams: settings of the part's sets of patients.
        study: the part's study file.
        name: of the part.
        workers: processes.
    """
    volumes, paired_films = num_images(exams["volumes"])
    films = num_images(exams["mammograms"])[1] + paired_films
    lines = []
    of_volume, of_film = seconds_of_images(exams["mammograms"], small / "images")
    for kind, number, each in (("mammograms", films, of_film), ("volumes", volumes, of_volume)):
        of_small = len(PreparedStore(small / "prepared" / kind))
        preparing = max(clock.seconds[f"prepare {kind}"] - START, 0.0) / of_small
        lines += [(f"simulate {kind}", number, "images", each / workers)]
        lines += [(f"prepare {kind}", number, "images", preparing)]
    lines += _runs(small, study, exams["volumes"], workers)
    if (
        name == "paired"
    ):  # after the window: what it made is not made again, and one detector follows the other
        seconds = next(each for what, _, _, each in lines if "scratch" in what)
        lines = [("train on mammograms", _paired_steps(study), "steps", seconds * workers)]
    total = sum(number * seconds for _, number, _, seconds in lines)
    table = [
        f"{what:<36}{number:>7} {unit:<7}{seconds:>8.2f} s each{number * seconds / 60:>8.1f} min"
        for what, number, unit, seconds in lines
    ]
    return "\n".join([*table, f"{name}: about {total / 3600:.1f} hours with {workers} processes", ""])


def _runs(
    small: Path, study: Path, volumes: Mapping[str, Any], workers: int
) -> list[tuple[str, int, str, float]]:
    """Return steps and predictions of all runs; seconds are those of one process, shared by all."""
    out = small / "study"
    did = build_grid(load_study(small / "study.yaml"), out)
    step = {run.label: _step_seconds(out / run.name / "run" / LOG) for run in (*did.teachers, *did.students)}
    few = len(PreparedStore(small / "prepared" / "volumes").manifest.split(Split.VALIDATION))
    done = [read_done(out / run.name) or {} for run in did.students]
    predicting = sum(float(str(one["seconds"])) - float(str(one["train_seconds"])) for one in done)
    wanted = load_study(study)
    grid = build_grid(wanted, study.parent / "study")
    config = override(sized("small", "second"), [], volumes)
    predicted = sum(case.split == wanted.data.split for case in plan_volumes(config))
    lines = []
    for label, seconds in step.items():
        runs = [run for run in (*grid.teachers, *grid.students) if run.label == label]
        steps = sum(run.steps for run in runs)
        lines.append((f"train {label}, {len(runs)} runs", steps, "steps", seconds / workers))
    number = len(grid.students)
    return [
        *lines,
        ("predict volumes", number * predicted, "volumes", predicting / len(done) / few / workers),
        ("start runs", number + len(grid.teachers), "runs", START / workers),
    ]


def _paired_steps(study: Path) -> int:
    """Return the steps of the detectors on mammograms: those of the students from scratch on all patients."""
    grid = build_grid(load_study(study), study.parent / "study")
    return sum(
        run.steps for run in grid.students if run.label == "scratch" and run.config.data.fraction == 1.0
    )


def _step_seconds(log: Path) -> float:
    """Return what a step takes in the last epoch; the first one's steps are slower."""
    return float(read_log(log)[-1]["train_seconds"]) / STEPS
