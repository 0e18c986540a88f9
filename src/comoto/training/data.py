"""The stream of batches, made ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import Tensor

from comoto.prefetch import prefetch

Made = TypeVar("Made")


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
    return prefetch(lambda step: _pinned(make(step), pin), steps, workers)


def _pinned(part: Any, pin: bool) -> Any:
    """Return a batch, or a part of one, with its tensors page-locked if they are to be."""
    if isinstance(part, Tensor):
        return part.pin_memory() if pin else part
    if isinstance(part, list | tuple):
        parts = [_pinned(one, pin) for one in part]
        return type(part)(*parts) if hasattr(part, "_fields") else type(part)(parts)
    return part
