"""Series from the Imaging Data Commons onto the disk: in small batches, each series whole or not at all.

A series is downloaded below ``.partial`` and moved to its place when the download ended without an error and
its number of files and of bytes is the index's. So an interrupted download goes on where it was, and nothing
that is half there looks finished: of a file that is written in pieces the size alone proves nothing.
"""

from __future__ import annotations

import logging
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd

from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.progress import progress_bar

PARTIAL = ".partial"
BUCKETS = "https://s3.amazonaws.com/"
_BATCH_BYTES, _BATCH_SERIES = 1_000_000_000, 64
_SECONDS = 15
_RESERVE = 200_000_000
"""Bytes that stay free: manifests, logs."""


class Client(Protocol):
    """What is used of ``idc_index.IDCClient``."""

    def download_from_selection(
        self,
        downloadDir: str,
        *,
        seriesInstanceUID: list[str],
        dirTemplate: str,
        quiet: bool,
        show_progress_bar: bool,
    ) -> None:
        """Download series, each into the folder that the template names; failures are only logged."""


@dataclass(frozen=True)
class Download:
    """One series.

    Attributes:
        uid: Series Instance UID.
        folder: where it belongs.
        num_files, num_bytes: what it holds according to the index.
    """

    uid: str
    folder: Path
    num_files: int
    num_bytes: int

    def is_complete(self, folder: Path | None = None) -> bool:
        """Say whether the series is in its folder (or in another one), to the byte."""
        place = folder or self.folder
        if not place.is_dir():
            return False
        sizes = [path.stat().st_size for path in place.iterdir() if path.suffix == ".dcm"]
        return len(sizes) == self.num_files and sum(sizes) == self.num_bytes


def jobs_of(series: pd.DataFrame, root: Path, collection: str) -> list[Download]:
    """Return where every series goes: ``root/collection/patient/study/series/``, the layout of the Commons.

    Args:
        series: rows of the index.
        root: folder of the data set.
        collection: name in the index.
    """
    return [
        Download(
            str(row.series_uid),
            root / collection / str(row.patient_id) / str(row.study_uid) / str(row.series_uid),
            int(cast(int, row.num_files)),
            int(cast(int, row.num_bytes)),
        )
        for row in series.itertuples(index=False)
    ]


def check_disk(root: Path, num_bytes: int) -> None:
    """Check that so much fits onto the disk.

    Raises:
        DatasetError: it does not; says how much is missing.
    """
    place = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if num_bytes + _RESERVE > free:
        raise DatasetError(
            f"{root}: {size_text(num_bytes)} to download, but only {size_text(free)} free on that disk; "
            "choose another --out, or fewer patients with --patients and --normals"
        )


def check_reachable(url: str | None = None) -> None:
    """Check that there is a way to the images before anything is started.

    Args:
        url: ``BUCKETS`` if not given.

    Raises:
        DatasetError: there is none; the remedy is in the message.
    """
    url = url or BUCKETS
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_SECONDS):
            return
    except urllib.error.HTTPError:
        return  # whatever it answers, it answers
    except OSError as error:
        raise DatasetError(
            f"{url}: cannot be reached ({getattr(error, 'reason', error)}); are you offline, or behind a "
            "proxy (HTTPS_PROXY)? Run the same command on a machine with a network and copy the folder"
        ) from error


def idc_client() -> Client:
    """Return the library's client; it reads its whole index, about 1.5 GB of memory and some seconds.

    Raises:
        ConfigError: the package is not installed.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        from idc_index import IDCClient
    except ImportError as error:
        raise ConfigError(
            f"comoto download needs the package idc-index ({error}); install it with: pip install idc-index"
        ) from error
    finally:  # the library sets up the log of the whole process when it is imported
        root.handlers, root.level = handlers, level
    return cast(Client, IDCClient.client())


def fetch(jobs: Sequence[Download], root: Path, client: Callable[[], Client], rounds: int = 2) -> None:
    """Download what is not there yet.

    Args:
        jobs: all series; complete ones are left alone.
        root: folder of the data set; unfinished series wait below ``root/.partial``.
        client: makes the client when something is missing.
        rounds: how often a series that did not arrive whole is asked for.

    Raises:
        DatasetError: series did not arrive whole; the others are in place, and the same call goes on.
    """
    missing = [job for job in jobs if not job.is_complete()]
    if not missing:
        return
    partial = root / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    opened = client()
    told: list[str] = []
    with progress_bar("download (MB)", sum(job.num_bytes for job in missing) // 1_000_000) as advance:
        for attempt in range(rounds):
            for batch in list(_batches(missing)) if attempt == 0 else [[job] for job in missing]:
                told += _fetch_batch(batch, partial, opened)
                advance(sum(job.num_bytes for job in batch if job.is_complete()) // 1_000_000)
            missing = [job for job in missing if not job.is_complete()]
    shutil.rmtree(partial, ignore_errors=True)
    if missing:
        why = f" ({told[-1]})" if told else ""
        raise DatasetError(
            f"{len(missing)} of {len(jobs)} series did not arrive whole, such as {missing[0].uid}{why}; the "
            "others are in place, run the same command again to go on"
        )


def _batches(jobs: Sequence[Download]) -> Iterator[list[Download]]:
    """Yield jobs in groups that are small enough to lose and large enough to be fast."""
    batch: list[Download] = []
    for job in jobs:
        full = (
            len(batch) == _BATCH_SERIES or sum(one.num_bytes for one in batch) + job.num_bytes > _BATCH_BYTES
        )
        if batch and full:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _fetch_batch(batch: Sequence[Download], partial: Path, client: Client) -> list[str]:
    """Download a batch and put what is whole into its place; after an error nothing of it is trusted.

    Returns:
        The errors that the library told.
    """
    with _listening() as told:
        try:
            client.download_from_selection(
                str(partial),
                seriesInstanceUID=[job.uid for job in batch],
                dirTemplate="%SeriesInstanceUID",
                quiet=True,
                show_progress_bar=False,
            )
        except Exception as error:  # noqa: BLE001 whatever the library raises means: not downloaded, ask again
            told.append(f"{type(error).__name__}: {error}")
    for job in batch:
        arrived = partial / job.uid
        if not told and job.is_complete(arrived):
            _clear(job.folder)
            job.folder.parent.mkdir(parents=True, exist_ok=True)
            arrived.replace(job.folder)
        else:
            shutil.rmtree(arrived, ignore_errors=True)
    return [" ".join(line.split())[:300] for line in told]


def _clear(folder: Path) -> None:
    """Make way for a whole series where another program left a part of it.

    Raises:
        OutputExistsError: there is something else than images.
    """
    if not folder.exists():
        return
    left = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    foreign = [path for path in left if path.suffix != ".dcm" or not path.is_file()]
    if foreign:
        raise OutputExistsError(f"{foreign[0]}: is in the way of a series; move it, or choose another --out")
    for path in left:
        path.unlink()
    folder.rmdir()


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect the errors that the library logs, and keep its log off the screen."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                lines.append(record.getMessage())

    logger = logging.getLogger("idc_index")
    before: tuple[Any, Any] = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [Collector()], False
    try:
        yield lines
    finally:
        logger.handlers, logger.propagate = before


def size_text(num_bytes: int) -> str:
    """Return a size for people, in decimal units as disks are sold."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.1f} {unit}"
    return f"{num_bytes / 1000:.1f} kB"
