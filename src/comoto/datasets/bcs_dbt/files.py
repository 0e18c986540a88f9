"""Which DICOM file on disk is which volume of the BCS-DBT tables, in any layout that downloads come in.

Folders of a file, by layout:

- classic, REST downloads and the Imaging Data Commons: the last one is the Series Instance UID, alone or
  after a word (``MG_<UID>``, as idc-index names it); a file in no folder of its own may carry it in its name;
- descriptive: ``<PatientID>/01-01-2000-<StudyUID>-<text>-<tail>/<series number>.000000-<tail>``, in newer
  downloads with ``-NA-`` before the last tail. A tail is the last five digits of a UID; it is not unique, so
  patient, study and series number must fit too;
- anything else: the Series Instance UID in the header decides.

Other file names do not matter: ``1-1.dcm``, ``<uuid>.dcm``, and names without a suffix if the file begins as
DICOM files do. The shadow files of archives made on a Mac (``__MACOSX``, ``._1-1.dcm``) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pandas as pd
from pydicom.misc import is_dicom

from comoto.datasets.reading.file_names import require_text
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.walk import walk_files
from comoto.dicom.read import read_header
from comoto.errors import DatasetError, DicomError
from comoto.progress import track

_STUDY_FOLDER = re.compile(r"^\d\d-\d\d-\d{4}-(DBT-S\d+)-.*$")
_SERIES_FOLDER = re.compile(r"^(\d+)\.\d+-(?:.*-)?(\d{5})$")
_UID_NAME = re.compile(r"^(?:.*[_ ])?(\d+(?:\.\d+){5,})$")
_SUFFIXES = (".dcm", ".dicom")


def locate_volumes(root: Path, volumes: pd.DataFrame, ledger: Ledger) -> dict[str, Path]:
    """Find the file of each volume; the tree is walked once.

    Args:
        root: any folder above the images.
        volumes: the columns PatientID, StudyUID, series_uid and series_number.
        ledger: gets files that are no volume of the tables, or could not be read.

    Returns:
        The files that were found by Series Instance UID; volumes without a file are absent.

    Raises:
        DatasetError: two files claim to be the same volume.
    """
    wanted = set(volumes["series_uid"])
    by_names = _descriptive_keys(volumes)
    paths: dict[str, Path] = {}
    strange: list[Path] = []
    unclear: list[Path] = []
    for path in _dicom_files(root):
        named = _named_series(path, wanted)
        uid = named if named in wanted else by_names.get(_descriptive_key(path))
        if uid is not None:
            _claim(paths, uid, path)
        else:
            (unclear if named is None else strange).append(path)
    unread: list[str] = []
    if wanted - set(paths):
        unread = _locate_by_header(unclear, wanted, paths, strange)
    else:
        strange.extend(unclear)
    if strange:
        count = "1 DICOM file is" if len(strange) == 1 else f"{len(strange)} DICOM files are"
        example = min(strange).relative_to(root)
        ledger.drop(f"{root}: {count} in no table that was read, such as {example}")
    if unread:
        count = "1 file" if len(unread) == 1 else f"{len(unread)} files"
        ledger.drop(f"{count} could not be read, such as {unread[0]}")
    return paths


def _locate_by_header(
    files: Sequence[Path], wanted: set[str], paths: dict[str, Path], strange: list[Path]
) -> list[str]:
    """Claim the files whose headers name a wanted series; return why others could not be read."""
    unread: list[str] = []
    tracked = track(files, "read headers of files whose folders do not name them", len(files))
    for path in tracked if files else ():
        try:
            uid = read_header(path).series_instance_uid
        except DicomError as error:
            unread.append(str(error))
            continue
        if uid in wanted:
            _claim(paths, uid, path)
        else:
            strange.append(path)
    return unread


def _named_series(path: Path, wanted: set[str]) -> str | None:
    """Return the Series Instance UID that the folder carries, or the file; a file may carry another UID."""
    folder = _UID_NAME.match(path.parent.name)
    if folder is not None:
        return folder.group(1)
    own = _UID_NAME.match(path.stem if path.suffix.lower() in _SUFFIXES else path.name)
    return own.group(1) if own is not None and own.group(1) in wanted else None


def _claim(paths: dict[str, Path], uid: str, path: Path) -> None:
    other = paths.setdefault(uid, path)
    if other != path:
        raise DatasetError(f"{other} and {path} are the same volume (series {uid}); keep one of them")


def _dicom_files(root: Path) -> Iterator[Path]:
    """Yield every DICOM file below root in a fixed order; see ``walk_files``."""
    for path in walk_files(root):
        if _is_dicom(path):
            require_text([str(path)])
            yield path


def _is_dicom(path: Path) -> bool:
    """Tell by the suffix, and by the first bytes where there is none."""
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return True
    if suffix and not suffix[1:].isdigit():  # the last part of a UID looks like a suffix
        return False
    return bool(is_dicom(path))


def _descriptive_keys(volumes: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Map (patient, study alias, series number, tail) to the series, where that is unique."""
    keys: dict[tuple[str, ...], str] = {}
    repeated: set[tuple[str, ...]] = set()
    for row in volumes.itertuples(index=False):
        key = (str(row.PatientID), str(row.StudyUID), str(row.series_number), str(row.series_uid)[-5:])
        if key in keys:
            repeated.add(key)
        keys[key] = str(row.series_uid)
    return {key: uid for key, uid in keys.items() if key not in repeated}


def _descriptive_key(path: Path) -> tuple[str, ...]:
    """Return what the folder names of the descriptive layout say; empty if they are not of that layout."""
    if len(path.parts) < 4:
        return ()
    patient, study, series = path.parts[-4:-1]
    study_match, series_match = _STUDY_FOLDER.match(study), _SERIES_FOLDER.match(series)
    if study_match is None or series_match is None:
        return ()
    return patient, study_match.group(1), series_match.group(1), series_match.group(2)


def require_found(root: Path, volumes: pd.DataFrame, located: Collection[str], allow_missing: bool) -> None:
    """Check that every volume has a file, or at least one if volumes may be missing; ``located`` are series.

    Raises:
        DatasetError: naming how many have none, the first few and the ways out.
    """
    if not located:
        raise DatasetError(
            f"{root}: none of the {len(volumes)} volumes of the tables is here; is it the right folder?"
        )
    absent = volumes[~volumes["series_uid"].isin(list(located))]
    names = [f"{row.PatientID} {row.StudyUID} {row.View}" for row in absent.itertuples(index=False)]
    refuse_missing(root, "volumes of the tables", names, len(volumes), allow_missing)
