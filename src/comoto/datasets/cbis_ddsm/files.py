"""Which files on disk are which series of CBIS-DDSM, in any layout that downloads come in.

File names do not matter: the tables say ``000000.dcm``, downloads say ``1-1.dcm`` or a UUID. The folder of a
file is, by layout:

- classic and Imaging Data Commons: the Series Instance UID;
- descriptive: ``<case>/<date>-<text>-<tail>/<number>-<SeriesDescription>-<tail>``, a tail being the last five
  characters of a UID; case and tail together must name one series of the tables;
- anything else: the Series Instance UID in the header decides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pandas as pd

from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.walk import dicom_files, for_each
from comoto.errors import DatasetError, DicomError
from comoto.sources import read_source_header

_UID_FOLDER = re.compile(r"^\d+(\.\d+){5,}$")
_TAIL = 5
_BY_HEADER = "read headers of files whose folders do not name them"


def locate_series(
    root: Path, rows: pd.DataFrame, workers: int | None, ledger: Ledger
) -> dict[str, tuple[Path, ...]]:
    """Find the files of every series; the tree is walked once.

    Args:
        root: any folder above the images.
        rows: of ``read_case_tables``.
        workers: processes, for files whose folders do not say what they are.
        ledger: gets files that could not be read.

    Returns:
        Files by Series Instance UID, in the order of their names.

    Raises:
        DatasetError: a series lies in two folders.
    """
    cases = _cases_of_series(rows)
    by_tail = _by_tail(cases)
    files: dict[str, list[Path]] = defaultdict(list)
    unclear: list[Path] = []
    for path in dicom_files(root):
        folder = path.parent.name
        uid = folder if folder in cases else by_tail.get(_tail_key(path))
        if uid is not None:
            files[uid].append(path)
        elif not _UID_FOLDER.match(folder):
            unclear.append(path)
    if unclear and set(cases) - set(files):
        found_by_header = for_each(_series_uid, unclear, _BY_HEADER, workers)
        for path, (uid, error) in zip(unclear, found_by_header, strict=True):
            if error is not None:
                ledger.drop(error)
            elif uid in cases:
                files[uid].append(path)
    for uid, found in files.items():
        folders = sorted({path.parent for path in found})
        if len(folders) > 1:
            raise DatasetError(f"{folders[0]} and {folders[1]} hold the same series {uid}; keep one of them")
    return {uid: tuple(found) for uid, found in files.items()}


def _cases_of_series(rows: pd.DataFrame) -> dict[str, str]:
    """Return the case folder of every series of the tables."""
    cases = dict(zip(rows["image_series"], rows["case"], strict=True))
    for column in ("crop_series", "mask_series"):
        cases.update(zip(rows[column], rows["roi_case"], strict=True))
    return {str(uid): str(case) for uid, case in cases.items()}


def _by_tail(cases: dict[str, str]) -> dict[tuple[str, str], str]:
    """Map (case, tail) to the series, where that is unique."""
    series: dict[tuple[str, str], list[str]] = defaultdict(list)
    for uid, case in cases.items():
        series[case, uid[-_TAIL:]].append(uid)
    return {key: uids[0] for key, uids in series.items() if len(uids) == 1}


def _tail_key(path: Path) -> tuple[str, str]:
    if len(path.parts) < 4 or "-" not in path.parent.name:
        return "", ""
    return path.parts[-4], path.parent.name.rpartition("-")[2]


def _series_uid(path: Path) -> tuple[str, str | None]:
    try:
        return read_source_header(path).series_instance_uid, None
    except DicomError as error:
        return "", str(error)
