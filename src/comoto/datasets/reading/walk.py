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


_COPIES = "__MACOSX"
"""Archives made on a Mac hold a folder of this name, with a shadow of every file."""


def walk_files(root: Path, *endings: str) -> Iterator[Path]:
    """Yield every file below a folder in a fixed order, each place once (``comoto.sources.walk``).

    Hidden files and the shadows in archives of a Mac are passed over.

    Args:
        root: a folder.
        endings: of names, in small letters, such as ``.dcm``; names that end so in any letter case are
            yielded, all if none is given.

    Raises:
        DatasetError: a folder cannot be listed; without what is in it the data set would look smaller.
    """
    for folder, names in walk(root, _refuse_locked):
        if _COPIES in folder.relative_to(root).parts:
            continue
        for name in names:
            if not name.startswith(".") and name.lower().endswith(endings or ""):
                yield folder / name


def dicom_files(root: Path) -> Iterator[Path]:
    """Yield every ``*.dcm`` below root; see ``walk_files``.

    Raises:
        DatasetError: a name cannot be written into a manifest.
    """
    for path in walk_files(root, ".dcm"):
        require_text([str(path)])
        yield path


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
