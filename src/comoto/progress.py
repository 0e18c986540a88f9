"""Progress for long work: silent in a library call, a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Advance = Callable[[int], None]

_SECONDS_BETWEEN_LINES = 5.0
_enabled = False
_showing = False


def enable_progress(on: bool = True) -> None:
    """Switch progress output on; the command line does, a library call stays silent."""
    global _enabled
    _enabled = on


def progress_enabled() -> bool:
    """Return whether progress is shown, for displays that are not a bar."""
    return _enabled


def say(line: str) -> None:
    """Print one line on standard error if progress is enabled."""
    if _enabled:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Advance]:
    """Show how far ``label`` is; the yielded function advances by a number of steps.

    Work inside work that is shown already is silent: the outer bar speaks for it.

    Args:
        label: what is being done, in a few words.
        total: number of steps.
    """
    global _showing
    if not _enabled or _showing:
        yield lambda steps: None
        return
    _showing = True
    show = _rich_bar if sys.stderr.isatty() else _plain_lines
    try:
        with show(label, total) as advance:
            yield advance
    finally:
        _showing = False


def duration(seconds: float) -> str:
    """Return "40 s", "12 min", "3 h 20 min" or "2 d 4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` and show progress."""
    with progress_bar(label, total) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def repeated(call: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call ``call`` every so many seconds in a thread until the block ends."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _rich_bar(label: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            # rich's own speed, too, leaves the first step out
            left = task.time_remaining
            return Text("" if left is None or task.finished else f"about {duration(left)} left")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total)
        yield lambda steps: bars.advance(task, steps)


@contextmanager
def _plain_lines(label: str, total: int) -> Iterator[Advance]:
    started = printed = time.monotonic()
    first: tuple[int, float] | None = None
    done = 0

    def advance(steps: int) -> None:
        nonlocal done, printed, first
        done += steps
        now = time.monotonic()
        if now - printed >= _SECONDS_BETWEEN_LINES and 0 < done < total:
            printed = now
            say(f"{label}: {done}/{total}{_time_left(first, done, now, total)}")
        if first is None:
            first = done, now

    yield advance
    say(f"{label}: {done}/{total}, {duration(time.monotonic() - started)}")


def _time_left(first: tuple[int, float] | None, done: int, now: float, total: int) -> str:
    """Estimate from what came after the first step, which also pays for the start of workers and kernels."""
    if first is None:
        return ""
    return f", about {duration((now - first[1]) / (done - first[0]) * (total - done))} left"
