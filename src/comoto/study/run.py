"""``comoto study run``: every run of the grid that is not complete, side by side, until none is left.

joblib spreads the runs over threads, processes or a cluster; each run is a process of its own below that
(``worker.py``), so one that crashes is written down and the others go on. All that is known about a run lies
in its folder, so the same call continues after any interruption, and any machine can read how far it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from joblib import Parallel, delayed

from comoto.backends import Backend, joblib_backend
from comoto.components import allow_code, allowed_code
from comoto.config import config_hash
from comoto.defaults import WORKERS
from comoto.errors import ConfigError, OutputExistsError
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.locks import hold
from comoto.output_files import no_link
from comoto.preprocessing.store import PreparedStore
from comoto.progress import say
from comoto.records import Manifest, Modality, Split
from comoto.study.config import StudyConfig, save_study, saved_study
from comoto.study.grid import Grid, PlannedRun, build_grid, rules_of
from comoto.study.kept import (
    BOXES,
    DONE,
    LABELS,
    STUDY,
    keep_test_tables,
    lacking,
    tables_checksum,
    write_failed,
)
from comoto.study.progress import watch
from comoto.study.settings_check import changed_inputs, changed_settings
from comoto.study.spec import ALIVE, SPEC, STOP, STOPPED, WORKER_LOG, RunSpec, RunState, load_spec, run_state
from comoto.training.cohorts import open_store, open_student_store

_TAIL_LINES = 20


@dataclass(frozen=True)
class StudyOptions:
    """How a study is run; nothing here changes a number.

    Attributes:
        workers: runs at a time.
        backend: of joblib; see ``comoto.backends``.
        address: of a Ray or Dask cluster; None starts one on this machine.
        only: variants to run; empty is all.
        max_hours: no run is started later than this.
        keep_states: keep what only a resumed training needs, about three times the weights a run.
    """

    workers: int = WORKERS
    backend: Backend = "loky"
    address: str | None = None
    only: tuple[str, ...] = ()
    max_hours: float | None = None
    keep_states: bool = False


@dataclass(frozen=True)
class StudyOutcome:
    """How a call of ``run_study`` ended.

    Attributes:
        states: of every run that was asked for, by name.
        interrupted: whether Ctrl-C or a termination signal ended it.
    """

    states: dict[str, RunState]
    interrupted: bool

    def __repr__(self) -> str:
        counts = Counter(state.status for state in self.states.values())
        named = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
        return f"StudyOutcome({named or 'no runs'}{', interrupted' if self.interrupted else ''})"

    def count(self, status: str) -> int:
        """Return how many runs stand so."""
        return sum(state.status == status for state in self.states.values())


def run_study(study: StudyConfig, out: Path, options: StudyOptions | None = None) -> StudyOutcome:
    """Run what is not complete yet.

    Args:
        study: what ``load_study`` returned.
        out: folder of the study; the same call continues there.
        options: see ``StudyOptions``.

    Returns:
        How every run stands. A run that failed does not raise; the next call tries it again.

    Raises:
        ConfigError, DatasetError: something is wrong with the study; nothing was started.
        OutputExistsError: the folder holds something else, or runs with other settings.
    """
    options = options or StudyOptions()
    out = out.absolute()
    whole = build_grid(study, out)
    grid = whole.only(options.only) if options.only else whole
    tables = _tables(_check_data(study, grid))
    _check_folder(out, study, whole, tables_checksum(tables))
    not_after = None if options.max_hours is None else time.time() + 3600 * options.max_hours
    with hold(out / "lock", f"{out}: 'comoto study run' is working there already"):
        save_study(study, out)
        keep_test_tables(out, tables)
        (out / STOP).unlink(missing_ok=True)
        with (
            joblib_backend(options.backend, options.workers, options.address),
            _stop_on_signal(out / STOP) as interrupted,
            watch(grid, out, options.workers),
        ):
            for runs in (grid.teachers, grid.students):
                specs = _startable(runs, study, out, options, tables_checksum(tables))
                _run_all(specs, options, not_after)
        states = {run.name: run_state(run, out) for run in (*grid.teachers, *grid.students)}
    return StudyOutcome(states, bool(interrupted))


def run_one(spec_path: str, study_process: int, not_after: float | None, allowed: Sequence[str]) -> str:
    """Start one run in a process of its own, wait for it, and write down how it failed if it did.

    This is what joblib calls, perhaps on another machine.

    Args:
        spec_path: of the ``spec.json``.
        study_process: process id of the study.
        not_after: time of day in seconds after which it is not started any more.
        allowed: modules of outside code that the study may import.

    Returns:
        ``done``, ``failed``, ``stopped`` or ``left``.
    """
    allow_code(*allowed)
    spec = load_spec(Path(spec_path))
    _leave_signals_to(study_process)
    if spec.stop.exists() or (not_after is not None and time.time() > not_after):
        return "left"
    started = time.monotonic()
    command = [sys.executable, *_python_options(), "-m", "comoto.study.worker", spec_path]
    command += ["--parent", str(os.getpid()), *allowed]
    threads = {name: str(spec.config.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {**os.environ, **(threads if spec.config.threads else {})}
    with open(spec.folder / WORKER_LOG, "a", encoding="utf-8", opener=no_link) as log:
        # a session of its own: Ctrl-C reaches the study, which tells the workers
        code = subprocess.run(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        ).returncode
    if code == 0:
        return "done"
    if code == STOPPED:
        return "stopped"
    lines = (spec.folder / WORKER_LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    reason = f"killed by {signal.Signals(-code).name}" if code < 0 else (lines or [f"exit code {code}"])[-1]
    seconds = round(time.monotonic() - started, 1)
    # a killed worker leaves it behind; a worker of another call shows it again
    (spec.folder / ALIVE).unlink(missing_ok=True)
    content = {"name": spec.name, "exit_code": code, "reason": reason, "seconds": seconds}
    write_failed(spec.folder, {**content, "last_lines": lines[-_TAIL_LINES:]})
    return "failed"


def _python_options() -> list[str]:
    """Return what keeps a worker from importing what lies in the working folder, unless the study may too."""
    return [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]


def _startable(
    runs: Sequence[PlannedRun], study: StudyConfig, out: Path, options: StudyOptions, test_sha256: str
) -> list[Path]:
    """Write what each worker has to know, and return where."""
    mended = [run for run in runs if _lacks_rules(run, study, out)]
    if mended:
        say(f"complete runs without predictions under a rule of the study, which are made now: {len(mended)}")
    startable = [run for run in runs if run in mended or _can_start(run, out)]
    return [_spec(run, study, out, options, test_sha256).save() for run in startable]


def _run_all(specs: Sequence[Path], options: StudyOptions, not_after: float | None) -> None:
    if specs:
        Parallel(n_jobs=options.workers, batch_size=1, pre_dispatch="all")(
            delayed(run_one)(str(path), os.getpid(), not_after, allowed_code()) for path in specs
        )


def _can_start(run: PlannedRun, out: Path) -> bool:
    """Whether a run is not complete and has its teacher."""
    if (out / run.name / DONE).exists():
        return False
    if run.teacher is not None and not (out / run.teacher / DONE).exists():
        return False
    return not (out / STOP).exists()


def _lacks_rules(run: PlannedRun, study: StudyConfig, out: Path) -> bool:
    """Whether a run was complete before the study named all of its rules."""
    if run.role == "teacher" or not (out / run.name / DONE).exists() or (out / STOP).exists():
        return False
    return bool(lacking(out / run.name, ["", *rules_of(study, run.config)]))


def _spec(run: PlannedRun, study: StudyConfig, out: Path, options: StudyOptions, test_sha256: str) -> RunSpec:
    test = study.data.test or study.data.tomosynthesis
    return RunSpec(
        name=run.name,
        role=run.role,
        folder=out / run.name,
        config=run.config,
        config_hash=config_hash(run.config),
        test=test if run.role == "student" else None,
        stop=out / STOP,
        keep_state=options.keep_states,
        split=Split(study.data.split),
        rules=rules_of(study, run.config) if run.role == "student" else {},
        test_sha256=test_sha256 if run.role == "student" else "",
    )


def _check_data(study: StudyConfig, grid: Grid) -> Manifest:
    """Open every store as the runs will, and return the test volumes.

    Raises:
        ConfigError, DatasetError: a store is missing, unfinished, of the wrong kind or prepared otherwise.
    """
    data = study.data
    seen = set()
    for run in (*grid.teachers, *grid.students):
        stores = [("data.mammograms", path) for path in data.mammograms]
        if run.role == "student":
            stores.append(("data.tomosynthesis", data.tomosynthesis))
            stores.append(("data.test", data.test or data.tomosynthesis))
        for key, path in stores:
            opened = key, path, run.config.preprocess, run.config.data.single_images
            if opened not in seen and key == "data.mammograms":
                open_store(path, key, Modality.MAMMOGRAM, run.config.preprocess)
            elif opened not in seen:
                open_student_store(path, key, run.config)
            seen.add(opened)
    return _test_volumes(data.tomosynthesis, data.test, Split(data.split))


def _test_volumes(training: Path, test: Path | None, split: Split) -> Manifest:
    path = test or training
    manifest = PreparedStore(path).as_volumes().manifest.split(split)
    if not len(manifest.lesions):
        raise ConfigError(f"data.test: {path} has no volume with a lesion in its {split.value} split")
    if test is not None:
        others = PreparedStore(training).manifest.images
        others = others[others["split"] != Split.TEST.value]
        shared = sorted(set(manifest.images["patient_id"]) & set(others["patient_id"]))
        if shared:
            raise ConfigError(f"data.test: {len(shared)} patients are trained on, first {shared[0]}")
    return manifest


def _check_folder(out: Path, study: StudyConfig, grid: Grid, test_sha256: str) -> None:
    """Refuse a folder of something else, and runs that were started with other settings."""
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / STUDY).is_file()):
        raise OutputExistsError(f"{out}: exists and is no study; choose another --out")
    if (out / STUDY).is_file():
        saved_study(out)
    for run in (*grid.teachers, *grid.students):
        changes = changed_settings(run, out)
        if changes:
            raise OutputExistsError(
                f"{out / run.name}: was run with other settings: {changes}; give changed variants another "
                "name, remove that folder to run it again, or choose another --out"
            )
        if run.role == "student" and (out / run.name / DONE).is_file() and (out / run.name / SPEC).is_file():
            _check_predicted(run, study, out / run.name / SPEC, test_sha256)
    for run, changes in changed_inputs((*grid.teachers, *grid.students), out):
        raise OutputExistsError(
            f"{out / run.name}: was run on other images, patients or weights than {changes} hold now; remove "
            "that folder to run it again, or choose another --out"
        )


def _check_predicted(run: PlannedRun, study: StudyConfig, path: Path, test_sha256: str) -> None:
    """Refuse a complete run whose predictions are of other volumes, or under a rule that has changed."""
    earlier, rules = load_spec(path), rules_of(study, run.config)
    volumes = (study.data.test or study.data.tomosynthesis, Split(study.data.split))
    if (earlier.test, earlier.split) != volumes:
        raise OutputExistsError(
            f"{path.parent}: predicted the {earlier.split.value} split of {earlier.test}, now it is the "
            f"{volumes[1].value} split of {volumes[0]}; choose another --out"
        )
    if earlier.test_sha256 not in ("", test_sha256):
        raise OutputExistsError(
            f"{path.parent}: predicted other volumes or lesions than {volumes[0]} holds now; remove that "
            "folder to run it again, or choose another --out"
        )
    for name in rules:
        if name in earlier.rules and earlier.rules[name] != rules[name]:
            raise OutputExistsError(
                f"{path.parent}: was predicted with other settings under rules.{name}; give the changed rule "
                "another name"
            )


def _tables(test: Manifest) -> dict[str, str]:
    """Return what the table needs besides the runs, so that the stores are not needed for it."""
    labels, boxes = challenge_tables(test)
    return {LABELS: labels.to_csv(index=False), BOXES: boxes.to_csv(index=False)}


@contextmanager
def _stop_on_signal(stop: Path) -> Iterator[list[int]]:
    """At Ctrl-C or a termination signal tell the workers to stop; a second one ends this process too.

    The list gets the signal.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in numbers}

    def tell(number: int, _: FrameType | None) -> None:
        received.append(number)
        stop.touch()
        say("stopping: workers end, finished epochs are kept")
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in numbers:
        signal.signal(number, tell)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.unlink(missing_ok=True)


def _leave_signals_to(study_process: int) -> None:
    """In a process of joblib's, ignore Ctrl-C: the study itself hears it and tells the workers."""
    if os.getpid() != study_process and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
