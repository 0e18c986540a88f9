"""Spreading the rendering over processes or a cluster, and going on when a worker is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from comoto.backends import Backend, joblib_backend
from comoto.defaults import WORKERS
from comoto.errors import ConfigError
from comoto.preprocessing.render import Outcome, RenderTask
from comoto.preprocessing.store_folder import WORKING
from comoto.sources.isolated import Limits

Job = Callable[[RenderTask], list[Outcome]]

_ROUND = 8
_KILLED = (
    "the process that read this file was killed (a decoder's crash, or no memory left); "
    "look at the file, or prepare with fewer workers"
)


@dataclass(frozen=True)
class Execution:
    """How the work is done; nothing here changes a pixel.

    Attributes:
        workers: images at a time.
        backend: of joblib; see ``comoto.backends``.
        address: of a running Ray or Dask cluster; None starts one on this machine.
        skip_broken: leave out images that cannot be prepared and note them in the store's manifest.
        reuse: other stores to take planes from where they show the same.
        keep_paths: whether the store says where the source files lie; without, the manifest's notes are left
            out too, and a later call has to read every file to know it again.
        isolate: decode every file in a process with these limits (``comoto.sources.isolated``).
    """

    workers: int = WORKERS
    backend: Backend = "loky"
    address: str | None = None
    skip_broken: bool = False
    reuse: tuple[Path, ...] = ()
    keep_paths: bool = True
    isolate: Limits | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}")


def run_tasks(job: Job, tasks: list[RenderTask], out: Path, work: Execution) -> Iterator[list[Outcome]]:
    """Do tasks in parallel and yield their outcomes as they come, in any order.

    If a local worker is killed, what it and its neighbours were reading is done again, each alone in a
    process of its own. A task that kills that one too is broken; all others go on.

    Args:
        job: does one task; leaves a marker in ``out`` while it is at it.
        tasks: what to do.
        out: folder of the store.
        work: workers and backend.
    """
    if not tasks:
        return
    waiting = {task.name: task for task in tasks}
    with joblib_backend(work.backend, min(work.workers, len(tasks)), work.address):
        while waiting:
            try:
                for name, outcomes in _parallel(job, list(waiting.values()), work):
                    del waiting[name]
                    yield outcomes
            except TerminatedWorkerError:
                marked = {path.name for path in (out / WORKING).iterdir()}
                for name in [name for name in waiting if name in marked] or list(waiting)[:1]:
                    yield _quarantined(job, waiting.pop(name))
                    (out / WORKING / name).unlink(missing_ok=True)


def _parallel(job: Job, tasks: list[RenderTask], work: Execution) -> Iterator[tuple[str, list[Outcome]]]:
    """Yield names and outcomes; Ray's backend cannot hand them over one by one, so it gets rounds."""
    if work.backend != "ray":
        run = Parallel(n_jobs=work.workers, return_as="generator_unordered", batch_size=1)
        yield from run(delayed(_with_name)(job, task) for task in tasks)
        return
    size = _ROUND * work.workers
    with Parallel(n_jobs=work.workers, batch_size=1) as run:
        for start in range(0, len(tasks), size):
            yield from run(delayed(_with_name)(job, task) for task in tasks[start : start + size])


def _with_name(job: Job, task: RenderTask) -> tuple[str, list[Outcome]]:
    return task.name, job(task)


def _quarantined(job: Job, task: RenderTask) -> list[Outcome]:
    """Do one task in a process of its own; if that is killed, the task is broken."""
    try:
        with joblib_backend("loky", 2, None):  # two workers, because one would be this very process
            outcomes: list[Outcome] = Parallel(n_jobs=2)([delayed(job)(task)])[0]
    except TerminatedWorkerError:
        return [Outcome(record.image_id, f"{record.path}: {_KILLED}") for record in task.records]
    return outcomes
