"""Every DICOM file below a folder, and one call for each of many files, spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed

from comoto.backends import joblib_backend
from comoto.datasets.reading.file_names import require_text
from comoto.errors import DatasetError
from comoto.progress import progress_bar
from comoto.sources.walk import walk

Job = TypeVar("Job")
Result = TypeVar("Result")

_FEW = 32
"""Up to this many files are read in this process: starting others takes longer."""


def dicom_files(root: Path) -> Iterator[Path]:
    """Yield every ``*.dcm`` below root in a fixed order; see ``folders_below``."""
    for folder, names in folders_below(root):
        for name in names:
            if name.lower().endswith(".dcm") and not name.startswith("."):
                require_text([str(folder), name])
                yield folder / name


def folders_below(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with the names in it that are no folders, as ``comoto.sources.walk`` does.

    Raises:
        DatasetError: a folder cannot be listed; without what is in it the data set would look smaller.
    """
    return walk(root, _refuse_locked)


def _refuse_locked(error: OSError) -> None:
    raise DatasetError(
        f"{error.filename}: cannot be opened ({error.strerror or error}); make the folder readable, or move "
        "it away"
    ) from error


def for_each(
    call: Callable[[Job], Result], jobs: Sequence[Job], label: str, workers: int | None = None
) -> list[Result]:
    """Return ``call(job)`` of every job, in order, with progress.

    Args:
        call: a function of a module, so that other processes can find it; it does not raise for bad input.
        jobs: small, they travel to the other processes.
        label: what is being done, in a few words.
        workers: processes; as many as processors are usable if not given. Few jobs stay in this process.
    """
    processes = cpu_count() if workers is None else workers
    results: list[Result] = []
    with progress_bar(label, len(jobs)) as advance:
        if processes == 1 or len(jobs) <= _FEW:
            outcomes: Iterator[Result] = map(call, jobs)
        else:
            with joblib_backend("loky", processes, None):
                run = Parallel(n_jobs=processes, return_as="generator")
            outcomes = run(delayed(call)(job) for job in jobs)
        for result in outcomes:
            results.append(result)
            advance(1)
    return results
