"""Training steps in a process of its own, so that the memory it holds is that of the steps."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from cases.harness import Side, peak_mib


@dataclass(frozen=True)
class Stepped:
    """One training step and, after it, the largest memory that its process ever had."""

    cpu: float
    wall: float
    loss: float
    peak_mib: float


class ChildSide(Side):
    """A side whose work is done in another process, which also measures it: ``work`` returns ``Stepped``."""

    def once(self) -> None:
        """Do the work, and note what the other process says."""
        self.result = self.work()
        self.cpu.append(self.result.cpu)
        self.wall.append(self.result.wall)


@contextmanager
def steps_in_child(preset: str, precision: str, threads: int, *, keep: bool, quick: bool) -> Iterator[Any]:
    """Give a function that does a training step in a fresh process.

    Args:
        preset: of the step.
        precision: of the step.
        threads: of torch.
        keep: whether the process keeps its memory as training does.
        quick: tiny sizes.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, _start, (preset, precision, threads, keep, quick)) as pool:
        yield lambda: pool.submit(_step).result()


_child: dict[str, Callable[[], float]] = {}
_open = ExitStack()


def _start(preset: str, precision: str, threads: int, keep: bool, quick: bool) -> None:
    import torch

    from cases.networks import build, random_batch, slices_a_step, train_once
    from comoto.training.memory import kept_memory

    torch.set_num_threads(threads)
    if keep:
        _open.enter_context(kept_memory())
    network = build(preset, quick=quick)
    batch = random_batch(network.config, slices_a_step(network.config))
    step = network.step(teacher_head=False)
    _child["step"] = lambda: train_once(step, batch, network, precision)


def _step() -> Stepped:
    wall, cpu = time.perf_counter(), time.process_time()
    loss = _child["step"]()
    return Stepped(time.process_time() - cpu, time.perf_counter() - wall, loss, peak_mib())
