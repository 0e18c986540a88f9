"""``comoto download``: a plan that the user sees first, then the download itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comoto.components import DATASETS
from comoto.datasets.catalogue import about_dataset
from comoto.downloads.collections import Collection, find_collection
from comoto.downloads.fetch import (
    Client,
    Download,
    check_disk,
    check_reachable,
    fetch,
    idc_client,
    jobs_of,
    size_text,
)
from comoto.downloads.index import read_index
from comoto.downloads.select import DownloadRequest, Selection, check_request, select_series
from comoto.downloads.web_tables import fetch_tables
from comoto.errors import OutputExistsError
from comoto.locks import hold, lock_of
from comoto.output_files import atomic_write

RECORD = "download.csv"


@dataclass(frozen=True)
class DownloadPlan:
    """What would be downloaded; ``text`` is what the user confirms.

    Attributes:
        collection: the data set.
        root: its folder on disk.
        request: what was asked for.
        selection: what that is.
        jobs: the series and their places.
        notes: about the tables.
    """

    collection: Collection
    root: Path
    request: DownloadRequest
    selection: Selection
    jobs: tuple[Download, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"DownloadPlan({self.collection.name}: {len(self.jobs)} series for {self.root})"

    @property
    def missing(self) -> list[Download]:
        """Series that are not on disk yet."""
        return [job for job in self.jobs if not job.is_complete()]

    @property
    def missing_bytes(self) -> int:
        """Bytes that are to be downloaded."""
        return sum(job.num_bytes for job in self.missing)

    def text(self) -> str:
        """Return who, how much and on which terms."""
        series = self.selection.series
        licences = ", ".join(sorted(set(map(str, series["licence"]))))
        lines = [f"{self.collection.name} from the Imaging Data Commons, into {self.root}"]
        for (split, finding), (chosen, total) in self.selection.patients.items():
            where = f"{split}: " if split else ""
            what = {
                "lesion": "with a lesion",
                "normal": "without any finding",
                "other": "with another finding",
            }
            known = f" {what[finding]}" if len(self.selection.patients) > 1 or split else ""
            lines.append(f"  {where}{chosen} of {total} patients{known}")
        lines.append(f"  {len(series)} series, {size_text(int(series['num_bytes'].sum()))}")
        missing = self.missing
        if len(missing) < len(self.jobs):
            lines.append(f"  {len(self.jobs) - len(missing)} series are there already")
        lines.append(f"  to download: {len(missing)} series, {size_text(self.missing_bytes)}")
        lines.append(f"licence: {licences}")
        if self.collection.name in DATASETS:
            about = about_dataset(self.collection.name)
            lines += [f"commercial use: {about.commercial_use}", f"cite: {about.citation}"]
        absent = len(self.selection.absent)
        notes = (
            f"{absent} series of the tables are not in the index" if absent else "",
            self.collection.remark,
        )
        return "\n".join([*lines, *(f"note: {note}" for note in (*self.notes, *notes) if note)])

    def next_step(self) -> str:
        """Return the command that comes next."""
        root = shlex.quote(str(self.root))
        # without tables every file on disk is named, so nothing can be missing
        partly = " --allow-missing" if self.collection.tables and not self.selection.is_whole else ""
        without = " --set lesions=none" if self.collection.reader == "csv" else ""
        manifest = f"manifests/{self.collection.name}"
        return f"comoto index {self.collection.reader} {root}{partly}{without} --out {manifest}"


def plan_download(
    name: str,
    root: Path,
    request: DownloadRequest,
    *,
    index: Path | None = None,
    tables_from: str | None = None,
) -> DownloadPlan:
    """Find out what is to be downloaded; only the data set's tables are fetched.

    What the data set does not have is refused before that.

    Args:
        name: a name of ``downloads.collections.COLLECTIONS``.
        root: folder of the data set; tables that lie there are taken as they are.
        request: how many patients, of which splits.
        index: of the Imaging Data Commons; the installed one if not given.
        tables_from: address of the folder of the tables; the publisher's if not given.

    Raises:
        ConfigError, DatasetError, OutputExistsError: see the parts.
    """
    collection = find_collection(name)
    check_request(request, collection.splits, has_normals=collection.has_normals)
    if root.exists() and not root.is_dir():
        raise OutputExistsError(f"{root}: is a file; name a folder")
    series = read_index(collection.collection, index)
    notes = fetch_tables(collection.tables_of(request.splits), root, tables_from)
    selection = select_series(collection.wanted(root, series, request.splits), series, request)
    jobs = tuple(jobs_of(selection.series, root, collection.collection))
    return DownloadPlan(collection, root, request, selection, jobs, tuple(notes))


def run_download(
    plan: DownloadPlan,
    *,
    client: Callable[[], Client] = idc_client,
    reach: Callable[[], None] = check_reachable,
) -> None:
    """Download what is missing of a plan and write ``download.csv``: every series with size and licence.

    Args:
        plan: from ``plan_download``.
        client: makes the client of the Imaging Data Commons.
        reach: raises where there is no way to the images.

    Raises:
        ConfigError: the package ``idc-index`` is missing.
        DatasetError: no network, the disk is too small, or series did not arrive whole.
        OutputExistsError: another download is working there.
    """
    record = plan.root / RECORD
    with hold(lock_of(record), f"{plan.root}: another 'comoto download' is working there; wait for it"):
        _download(plan, client, reach)


def _download(plan: DownloadPlan, client: Callable[[], Client], reach: Callable[[], None]) -> None:
    if plan.missing:
        check_disk(plan.root, plan.missing_bytes)
        reach()
        fetch(plan.jobs, plan.root, client)
    columns = ["patient_id", "study_uid", "series_uid", "split", "num_files", "num_bytes", "licence"]
    folders = [job.folder.relative_to(plan.root).as_posix() for job in plan.jobs]
    _write(plan.root / RECORD, plan.selection.series[columns].assign(path=folders))
    if plan.collection.reader == "csv":
        images = pd.DataFrame(_image_rows(plan), columns=["path", "patient_id", "study_id"])
        _write(plan.root / "images.csv", images)


def _image_rows(plan: DownloadPlan) -> Iterator[list[str]]:
    """Yield a row per file, for ``comoto index csv``; the headers say the rest."""
    series = plan.selection.series
    for patient, study, job in zip(series["patient_id"], series["study_uid"], plan.jobs, strict=True):
        for path in sorted(job.folder.glob("*.dcm")):
            yield [path.relative_to(plan.root).as_posix(), patient, study]


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic_write(path) as part:
        table.to_csv(part, index=False, lineterminator="\r\n")


__all__ = ["RECORD", "DownloadPlan", "DownloadRequest", "plan_download", "run_download"]
