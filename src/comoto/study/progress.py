"""How far a study is, read from the folders of its runs: a live table, plain lines, or one look."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from comoto.progress import duration, progress_enabled, repeated, say
from comoto.study.grid import Grid, PlannedRun
from comoto.study.spec import RunState, run_state

_LOOK_EVERY = 2.0
_SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class ProgressRow:
    """One line of the table: a variant, or a kind of teacher.

    Attributes:
        done, running, failed, left: numbers of runs.
        epochs, all_epochs: finished and planned, over all runs.
    """

    label: str
    done: int
    running: int
    failed: int
    left: int
    epochs: int
    all_epochs: int


@dataclass(frozen=True)
class Snapshot:
    """How far a study is at one moment.

    Attributes:
        rows: of the teachers, then of the variants.
        failed: name and reason of each failed run.
        worker_seconds_left: of one worker, estimated from complete runs; None before there is one.
    """

    rows: tuple[ProgressRow, ...]
    failed: tuple[tuple[str, str], ...]
    worker_seconds_left: float | None

    def total(self) -> ProgressRow:
        """Return the sum of the rows."""
        keys = ("done", "running", "failed", "left", "epochs", "all_epochs")
        return ProgressRow("all", *(sum(getattr(row, key) for row in self.rows) for key in keys))

    def table(self, workers: int = 1) -> Table:
        """Return the table for a terminal."""
        table = Table(title=self._title(workers), title_justify="left")
        table.add_column("variant")
        for name in ("done", "running", "failed", "left", "epochs"):
            table.add_column(name, justify="right")
        for row in (*self.rows, self.total()):
            epochs = f"{row.epochs}/{row.all_epochs}"
            counts = [str(number) for number in (row.done, row.running, row.failed, row.left)]
            table.add_row(row.label, *counts, epochs, style="bold" if row.label == "all" else None)
        return table

    def line(self, workers: int) -> str:
        """Return one line for a log."""
        all_runs = self.total()
        text = f"study: {all_runs.done} done, {all_runs.running} running, {all_runs.left} left"
        return f"{text}, {all_runs.failed} failed{self._time(workers)}"

    def _title(self, workers: int) -> str:
        return f"runs{self._time(workers)}"

    def _time(self, workers: int) -> str:
        if not self.worker_seconds_left:
            return ""
        return f", about {duration(self.worker_seconds_left / workers)} left"


def look(grid: Grid, out: Path) -> Snapshot:
    """Read every run's folder."""
    states = {run.name: run_state(run, out) for run in (*grid.teachers, *grid.students)}
    by_label: dict[str, list[PlannedRun]] = defaultdict(list)
    for run in (*grid.teachers, *grid.students):
        by_label[run.label].append(run)
    return Snapshot(
        rows=tuple(_row(label, runs, states) for label, runs in by_label.items()),
        failed=tuple((name, state.reason) for name, state in states.items() if state.status == "failed"),
        worker_seconds_left=_seconds_left(by_label, states),
    )


@contextmanager
def watch(grid: Grid, out: Path, workers: int) -> Iterator[None]:
    """Show the progress while the block runs: a live table on a terminal, else a line now and then."""
    if not progress_enabled():
        yield
    elif sys.stderr.isatty():
        with _live_table(grid, out, workers):
            yield
    else:
        with _lines(grid, out, workers):
            yield


@contextmanager
def _live_table(grid: Grid, out: Path, workers: int) -> Iterator[None]:
    with Live(
        console=Console(stderr=True),
        refresh_per_second=1 / _LOOK_EVERY,
        get_renderable=lambda: look(grid, out).table(workers),
    ) as live:
        live.refresh()  # else the first look is one period late
        yield


@contextmanager
def _lines(grid: Grid, out: Path, workers: int) -> Iterator[None]:
    shown = [look(grid, out).line(workers)]
    say(shown[0])

    def show() -> None:
        line = look(grid, out).line(workers)
        if line != shown[0]:
            shown[0] = line
            say(line)

    with repeated(show, _SECONDS_BETWEEN_LINES):
        yield
    show()


def _row(label: str, runs: list[PlannedRun], states: dict[str, RunState]) -> ProgressRow:
    status = [states[run.name].status for run in runs]
    return ProgressRow(
        label,
        status.count("done"),
        status.count("running"),
        status.count("failed"),
        status.count("left"),
        sum(states[run.name].epochs for run in runs),
        sum(run.config.schedule.epochs for run in runs),
    )


def _seconds_left(by_label: dict[str, list[PlannedRun]], states: dict[str, RunState]) -> float | None:
    """Estimate from the seconds a step of complete runs of the same variant, else of all complete runs."""
    done = [run for runs in by_label.values() for run in runs if states[run.name].status == "done"]
    overall = _seconds_per_step(done, states)
    if overall is None:
        return None
    left = 0.0
    for runs in by_label.values():
        own = _seconds_per_step([run for run in runs if states[run.name].status == "done"], states)
        for run in runs:
            state = states[run.name]
            if state.status in ("running", "left"):
                share = 1 - state.epochs / run.config.schedule.epochs
                left += share * run.steps * (overall if own is None else own)
    return left


def _seconds_per_step(runs: list[PlannedRun], states: dict[str, RunState]) -> float | None:
    steps = sum(run.steps for run in runs)
    return sum(states[run.name].seconds for run in runs) / steps if steps else None
