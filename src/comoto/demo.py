"""``comoto demo``: the main job on simulated exams, from DICOM files to a report.

Each stage is a call that a user could make, and leaves files that the next stage reads. A stage that is
finished is not repeated, so an interrupted demo continues.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from comoto import api
from comoto.checksums import write_sealed_json
from comoto.config import StrictModel, override
from comoto.defaults import REPLICATES, WORKERS
from comoto.errors import OutputExistsError
from comoto.locks import hold, lock_of
from comoto.output_files import write_text
from comoto.progress import duration, repeated, say
from comoto.report.demo_folder import FORMAT, Stage, read_demo_json
from comoto.report.demo_report import REPORT, write_report
from comoto.simulation import simulate, sized
from comoto.versions import versions

STUDENTS = {
    "fine-tuned": ["joint.size=0", "distill.kind=none"],
    "scratch": ["joint.size=0", "distill.kind=none", "init=scratch", "optimizer.learning_rate=1.5e-3"],
    "comoto": ["joint.size=0", "distill.kind=lesion_points"],
    "joint-training": ["joint.size=8", "joint.batch_norm=mixed", "distill.kind=none"],
}
"""Folder name and settings of each student; its title is in ``comoto.report.demo_folder``.

From random weights a student gets the learning rate of the teacher, as in docs/results.md.
"""
_USUAL_SECONDS = {
    "simulate": 90.0,
    "prepare vindr-mammo": 5.0,
    "prepare bcs-dbt": 10.0,
    "train teacher": 47.0,
    "evaluate teacher": 2.5,
    "train fine-tuned": 20.0,
    "train scratch": 20.0,
    "train comoto": 20.0,
    "train joint-training": 27.0,
    "predict": 9.0,
    "report": 12.0,
}
"""What stages took on two cores: how long one takes *beside* the others is much alike on all machines."""
_SHORT = 0.3
_HIT_RADIUS_MM = 8.5
"""The challenge's 100 pixels at the real set's pixel size of about 0.085 mm."""


class DemoConfig(StrictModel):
    """How large the demo is. The defaults fit two slow cores and ten minutes.

    Attributes:
        mammograms: patients with mammograms (two views each), a fifth of them for test.
        train, validation, test: patients with tomosynthesis.
        fraction: share of the training patients with tomosynthesis that the students see.
        bootstrap: replicates of the patient bootstrap.
        settings: overrides of the teacher and of every student; what tells the students apart wins.
    """

    seed: int = 0
    size: str = "demo"
    preset: str = "demo"
    mammograms: int = 120
    train: int = 64
    validation: int = 12
    test: int = 48
    fraction: float = 0.25
    bootstrap: int = REPLICATES
    workers: int = WORKERS
    settings: tuple[str, ...] = ()


@dataclass
class StageLog:
    """``demo.json``: settings and finished stages."""

    path: Path
    about: dict[str, Any]
    stages: list[Stage] = field(default_factory=list)

    def run(self, name: str, work: Callable[[], object], names: Sequence[str]) -> None:
        """Do the work of one of the stages ``names`` unless it was finished earlier; note what it took."""
        heading = f"stage {names.index(name) + 1} of {len(names)}"
        finished = {stage.name: stage.seconds for stage in self.stages}
        if name in finished:
            say(f"== {heading}: {name}: finished earlier")
            return
        left = seconds_left(finished, names)
        say(f"== {heading}{'' if left is None else f', about {duration(left)} left'}: {name}")
        started = time.monotonic()
        with peak_memory() as peak:
            work()
        seconds = round(time.monotonic() - started, 1)
        self.stages.append(Stage(name=name, seconds=seconds, peak_mib=round(peak[0])))
        self.write()

    def write(self) -> None:
        """Replace ``demo.json``."""
        content = {"format": FORMAT, **self.about, "stages": [stage.model_dump() for stage in self.stages]}
        write_sealed_json(self.path, content)


def run_demo(out: Path, config: DemoConfig | None = None, command: str | None = None) -> Path:
    """Run the demo, or continue an interrupted one.

    Args:
        out: folder for everything; about 300 MB.
        config: sizes; None takes the defaults.
        command: the command line that was given, for the report.

    Returns:
        The path of ``report.html``.

    Raises:
        OutputExistsError: the folder holds something else, or a demo with other settings or students.
    """
    config = config or DemoConfig()
    with hold(
        lock_of(out.resolve()),
        f"{out}: another 'comoto demo' is at work here; wait for it, or choose another --out",
    ):
        book = _open(out, config, command)
        work = _stages(out, config)
        book.stages = [stage for stage in book.stages if stage.name != "report"]
        for name, call in work.items():
            book.run(name, call, tuple(work))
    return out / REPORT


def _stages(out: Path, config: DemoConfig) -> dict[str, Callable[[], object]]:
    """Return the work of each stage, in order."""
    work: dict[str, Callable[[], object]] = {"simulate": partial(_simulate, out / "exams", config)}
    for name in ("vindr-mammo", "bcs-dbt"):
        work[f"index {name}"] = partial(_index, out, name)
        work[f"prepare {name}"] = partial(_prepare, out, name, config)
    work["train teacher"] = partial(_train_teacher, out, config)
    work["evaluate teacher"] = partial(_evaluate_teacher, out, config)
    for name in STUDENTS:
        work[f"train {name}"] = partial(_train_student, out, name, config)
        work[f"predict {name}"] = partial(_predict, out, name)
        work[f"evaluate {name}"] = partial(_evaluate, out, name, config)
    return work | {"report": partial(write_report, out)}


def seconds_left(finished: Mapping[str, float], names: Sequence[str]) -> float | None:
    """Estimate how long the stages that are not finished will take.

    Args:
        finished: seconds of the stages that are.
        names: of all stages.

    Returns:
        None before the first stage is finished: nothing is known of the machine.
    """
    known = sum(_usual_seconds(name) for name in finished)
    if not finished:
        return None
    left = sum(_usual_seconds(name) for name in names if name not in finished)
    return sum(finished.values()) / known * left


def _usual_seconds(stage: str) -> float:
    return _USUAL_SECONDS.get(stage, _USUAL_SECONDS.get(stage.split()[0], _SHORT))


def hit_radius(config: DemoConfig) -> float:
    """Return the challenge's least hit radius in pixels of the simulated volumes."""
    return round(_HIT_RADIUS_MM / sized(config.size).grid.pixel_mm, 2)


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Watch resident memory of this process and its children; the list's only entry is the peak in MiB."""
    peak = [0.0]

    def look() -> None:
        peak[0] = max(peak[0], _resident_mib())

    look()
    try:
        with repeated(look, 0.2):
            yield peak
    finally:
        look()


def _resident_mib() -> float:
    process = psutil.Process()
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:  # it ended between the listing and the look
            continue
    return total / 2**20


def _open(out: Path, config: DemoConfig, command: str | None) -> StageLog:
    path = out / "demo.json"
    settings = config.model_dump(mode="json")
    memory = psutil.virtual_memory().total >> 30
    about = {
        "settings": settings,
        "seed": config.seed,
        "size": config.size,
        "fraction": config.fraction,
        "min_hit_radius": hit_radius(config),
        "pixel_mm": sized(config.size).grid.pixel_mm,
        "slice_mm": sized(config.size).grid.slice_mm,
        "started": datetime.now().astimezone().isoformat(timespec="minutes"),
        "command": command,
        "students": STUDENTS,
        "versions": versions(),
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, {memory} GiB",
    }
    if path.is_file():
        content = read_demo_json(path)
        wanted = {"format": FORMAT, "settings": settings, "students": STUDENTS}
        if any(content.get(key) != value for key, value in wanted.items()):
            raise OutputExistsError(
                f"{out}: holds a demo with other settings or students; choose another --out"
            )
        about |= {key: content[key] for key in ("started", "command")}
        return StageLog(path, about, [Stage(**stage) for stage in content["stages"]])
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExistsError(f"{out} exists and is no demo folder; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    book = StageLog(path, about)
    book.write()
    return book


def _simulate(folder: Path, config: DemoConfig) -> None:
    wanted = {
        "seed": config.seed,
        "tomosynthesis.train_patients": config.train,
        "tomosynthesis.validation_patients": config.validation,
        "tomosynthesis.test_patients": config.test,
        "tomosynthesis.lesion_share": 0.75,
        "mammography.training_patients": config.mammograms - config.mammograms // 5,
        "mammography.test_patients": config.mammograms // 5,
        "mammography.lesion_share": 0.75,
    }
    simulate(folder, override(sized(config.size), values=wanted), config.workers)


def _index(out: Path, name: str) -> None:
    manifest = api.index(name, out / "exams" / name)
    manifest.save(out / "manifests" / name)
    say(manifest.summary())


def _prepare(out: Path, name: str, config: DemoConfig) -> None:
    api.prepare(
        out / "manifests" / name,
        out / "prepared" / name,
        preset=config.preset,
        overrides=config.settings,
        workers=config.workers,
    )


def _values(config: DemoConfig) -> dict[str, Any]:
    return {"seed": config.seed, "selection.min_hit_radius": hit_radius(config)}


def _train_teacher(out: Path, config: DemoConfig) -> None:
    api.train_teacher(
        out / "runs" / "teacher",
        mammograms=out / "prepared" / "vindr-mammo",
        preset=config.preset,
        overrides=config.settings,
        values=_values(config),
        resume=True,
    )


def _evaluate_teacher(out: Path, config: DemoConfig) -> None:
    table = out / "predictions" / "teacher.csv"
    _remove(table)
    manifest = out / "manifests" / "vindr-mammo"
    api.predict(out / "runs" / "teacher", [manifest], table, split="test", mammograms=True)
    result = api.evaluate_mammograms(
        table, manifest, split="test", rule="center", bootstrap=config.bootstrap, seed=config.seed
    )
    write_text(out / "evaluation" / "teacher.json", result.to_json())


def _train_student(out: Path, name: str, config: DemoConfig) -> None:
    settings = STUDENTS[name]
    alone = {"joint.size=0", "distill.kind=none"} <= set(settings)
    api.train_student(
        out / "runs" / name,
        tomosynthesis=out / "prepared" / "bcs-dbt",
        teacher=None if "init=scratch" in settings else out / "runs" / "teacher",
        mammograms=() if alone else out / "prepared" / "vindr-mammo",
        preset=config.preset,
        overrides=[*config.settings, *settings],
        values={**_values(config), "data.fraction": config.fraction},
        resume=True,
    )


def _predict(out: Path, name: str) -> None:
    api.predict(
        out / "runs" / name,
        [out / "manifests" / "bcs-dbt"],
        out / "predictions" / f"{name}.csv",
        split="test",
    )


def _evaluate(out: Path, name: str, config: DemoConfig) -> None:
    result = api.evaluate(
        out / "predictions" / f"{name}.csv",
        manifest=out / "manifests" / "bcs-dbt",
        split="test",
        bootstrap=config.bootstrap,
        seed=config.seed,
        min_radius=hit_radius(config),
    )
    write_text(out / "evaluation" / f"{name}.json", result.to_json())
    say(f"{name}: mean sensitivity {result.mean_sensitivity_positive:.3f} on the test volumes")


def _remove(table: Path) -> None:
    """Remove a finished prediction whose stage was cut off before it was written down."""
    for path in (table, table.with_suffix(".json")):
        path.unlink(missing_ok=True)
