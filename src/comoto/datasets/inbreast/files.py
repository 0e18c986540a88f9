"""The table of INbreast and which files on disk belong to its rows.

``INbreast.csv`` is separated by semicolons and has "removed" for every patient. The patient's key stands in
the DICOM names alone: ``<File Name>_<key>_MG_<side>_<view>_ANON.dcm``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from comoto.csv_rows import lines_text
from comoto.datasets.reading.ledger import Ledger, refuse_missing
from comoto.datasets.reading.tables import read_table
from comoto.datasets.reading.walk import dicom_files, walk_files
from comoto.errors import DatasetError

TABLE = "INbreast.csv"
_COLUMNS = ("Laterality", "View", "Acquisition date", "File Name", "Bi-Rads")
_DICOM_NAME = re.compile(r"^(\d+)_([0-9a-f]+)_MG_([LR])_([A-Z]+)_ANON\.dcm$", re.IGNORECASE)
_VIEWS = {"CC": "CC", "MLO": "MLO", "ML": "MLO"}


def locate_images(root: Path, tables: Path, allow_missing: bool, ledger: Ledger) -> pd.DataFrame:
    """Read the table and find the DICOM and XML file of every row.

    Returns:
        The rows that have an image on disk: name (of the table), patient, study, laterality, view, word (the
        table's view), birads, path and xml (empty if there is none); the index is the line in the table.

    Raises:
        DatasetError: the table is missing or wrong, images are not on disk, a name carries no patient key, or
            there is no XML file at all.
    """
    path = _find_table(tables)
    table = read_table(path, _COLUMNS)
    table.unique(["File Name"])
    rows = pd.DataFrame(
        {
            "name": table.rows["File Name"],
            "laterality": table.words("Laterality", ("L", "R")),
            "word": table.rows["View"],
            "birads": table.rows["Bi-Rads"],
            "date": table.rows["Acquisition date"],
        }
    )
    rows["view"] = rows["word"].map(lambda word: _VIEWS.get(str(word).upper(), "other"))
    images, outlines = _images_on_disk(root), _outlines_on_disk(root)
    absent = ~rows["name"].isin(list(images))
    missing = rows["name"][absent].tolist()
    refuse_missing(root, f"images of {TABLE}", missing, len(rows), allow_missing, way_out="copy them")
    if missing:
        ledger.drop(f"{path.name}: image not on disk, in {lines_text(rows.index[absent])}")
    known = set(rows["name"])
    ledger.drop(
        *(
            f"{file.name}: no row in {TABLE}"
            for files in ({name: found[0] for name, found in images.items()}, outlines)
            for name, file in files.items()
            if name not in known
        )
    )
    if not outlines:
        raise DatasetError(
            f"{root}: no XML file of an image of {TABLE} is here, so every lesion would pass for healthy "
            "tissue; put the folder AllXML of the release beside AllDICOMs"
        )
    present = rows[~absent]
    found = [images[str(name)] for name in present["name"]]
    present = present.assign(
        path=[str(match[0]) for match in found],
        patient=[match[1] for match in found],
        xml=[str(outlines.get(str(name), "")) for name in present["name"]],
    )
    present["study"] = present["patient"] + "_" + present["date"]
    contradictions = [
        int(line)
        for line, laterality, view, match in zip(
            present.index, present["laterality"], present["view"], found, strict=True
        )
        if (laterality, view) != (match[2], _VIEWS.get(match[3], "other"))
    ]
    if contradictions:
        what = "side or view is not that of the DICOM name, the table is taken"
        ledger.note(f"{path.name}: {what}, in {lines_text(contradictions)}")
    return present


def _find_table(folder: Path) -> Path:
    for candidate in (folder / TABLE, *sorted(folder.glob(f"*/{TABLE}"))):
        if candidate.is_file():
            return candidate
    raise DatasetError(
        f"{folder}: no {TABLE} here or one folder below; where the release has only INbreast.xls, save its "
        "sheet under that name as CSV, or name its folder with --tables"
    )


def _images_on_disk(root: Path) -> dict[str, tuple[Path, str, str, str]]:
    """Return file, patient key, side and view by the table's file name."""
    found: dict[str, tuple[Path, str, str, str]] = {}
    without_key: list[Path] = []
    for path in dicom_files(root):
        match = _DICOM_NAME.match(path.name)
        if match is None:
            without_key.append(path)
            continue
        name, patient, side, view = match.groups()
        other = found.setdefault(name, (path, patient.lower(), side.upper(), view.upper()))
        if other[0] != path:
            raise DatasetError(f"{other[0]} and {path} are the same image {name}; keep one of them")
    if without_key:
        raise DatasetError(
            f"{without_key[0]}: {len(without_key)} DICOM files are not named <File Name>_<patient>_MG_<side>_"
            "<view>_ANON.dcm; the patient's key stands in that name alone, so keep the names of the release"
        )
    return found


def _outlines_on_disk(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in walk_files(root, ".xml"):
        if path.stem.isdigit():
            other = found.setdefault(path.stem, path)
            if other != path:
                raise DatasetError(f"{other} and {path} are outlines of the same image; keep one of them")
    return found
