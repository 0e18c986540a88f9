"""Progress for long work: silent in a library call, a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
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


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Iterate over ``items`` and show progress."""
    with progress_bar(label, total) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def _rich_bar(label: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total)
        yield lambda steps: bars.advance(task, steps)


@contextmanager
def _plain_lines(label: str, total: int) -> Iterator[Advance]:
    started = printed = time.monotonic()
    done = 0

    def advance(steps: int) -> None:
        nonlocal done, printed
        done += steps
        now = time.monotonic()
        if now - printed >= _SECONDS_BETWEEN_LINES and 0 < done < total:
            printed = now
            left = (now - started) / done * (total - done)
            say(f"{label}: {done}/{total}, about {left:.0f} s left")

    yield advance
    say(f"{label}: {done}/{total}, {time.monotonic() - started:.0f} s")
