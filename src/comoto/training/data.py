"""The stream of batches, made ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from torch import Tensor

Made = TypeVar("Made")

_AHEAD = 2
"""Batches that a thread may be ahead."""


def stream(make: Callable[[int], Made], steps: range, workers: int, *, pin: bool) -> Iterator[Made]:
    """Yield the batches of some steps in order, made ahead by ``workers`` threads.

    Threads, not processes: making a batch is copying, during which NumPy lets go of the interpreter, and
    handing pixels from one process to another takes longer than making them (docs/preparation.md).

    Args:
        make: step -> batch; threads call it at the same time.
        steps: which steps.
        workers: threads; 0 makes each batch when it is needed.
        pin: page-lock the tensors, for faster copies to a GPU.
    """
    if not workers:
        for step in steps:
            yield _made(make, step, pin)
        return
    with ThreadPoolExecutor(workers, "batches") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(_made, make, step, pin))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _made(make: Callable[[int], Made], step: int, pin: bool) -> Made:
    batch: Made = _pinned(make(step), pin)
    return batch


def _pinned(part: Any, pin: bool) -> Any:
    """Return a batch, or a part of one, with its tensors page-locked if they are to be."""
    if isinstance(part, Tensor):
        return part.pin_memory() if pin else part
    if isinstance(part, list | tuple):
        parts = [_pinned(one, pin) for one in part]
        return type(part)(*parts) if hasattr(part, "_fields") else type(part)(parts)
    return part
