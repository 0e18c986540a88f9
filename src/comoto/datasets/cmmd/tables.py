"""The tables of CMMD: one row a breast, and what the readers of TOMPEI-CMMD said of each.

The clinical table is the sheet as it is released, or saved as CSV.

``TOMPEI-CMMD_clinical_data_*.xlsx`` has a sheet "Imaging Diagnosis Details Sheet" with several header rows
and then a row per breast. Breasts with a class Malignant or Benign have an outline; Normal has nothing that
could be located on the image, Invisible a cancer that could not, and Exclusion was not read. Rows are
recognised by their content: a patient, a side, and one of these words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from comoto.csv_rows import lines_text
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.sheets import read_sheet, read_sheet_table
from comoto.datasets.reading.tables import Table, read_table
from comoto.datasets.reading.walk import walk_files
from comoto.errors import DatasetError

CLASSES = ("Malignant", "Benign")
"""Worst first."""

_NAME = "CMMD_clinicaldata*"
_COLUMNS = ("ID1", "LeftRight", "classification")

READING_CLASSES = ("Malignant", "Benign", "Normal", "Invisible", "Exclusion")
_READING_NAME = "TOMPEI-CMMD_clinical_data*.xlsx"
_READING_SHEET = "Imaging Diagnosis Details Sheet"
_PATIENT = re.compile(r"^D[12]-\d{4}$")


@dataclass(frozen=True)
class BreastLabels:
    """What the table says.

    Attributes:
        path: the table.
        classes: ``Malignant`` or ``Benign`` by (patient, side).
    """

    path: Path
    classes: dict[tuple[str, str], str]


def read_labels(folder: Path, ledger: Ledger) -> BreastLabels:
    """Read ``CMMD_clinicaldata_revision.xlsx``, or a CSV of that name, which is preferred.

    Rows that contradict each other are noted.

    Raises:
        DatasetError: it is missing or wrong, or it is a sheet and openpyxl is not installed.
    """
    path = _find(folder)
    table = read_table(path, _COLUMNS) if path.suffix.lower() == ".csv" else read_sheet_table(path, _COLUMNS)
    table.refuse(table.rows["ID1"] == "", "ID1 is empty", "correct the table")
    sides = table.words("LeftRight", ("L", "R"))
    capitalised = table.rows.assign(classification=table.rows["classification"].str.capitalize())
    words = Table(path, capitalised).words("classification", CLASSES)
    classes: dict[tuple[str, str], str] = {}
    contradicting: list[int] = []
    for line, patient, side, word in zip(table.rows.index, table.rows["ID1"], sides, words, strict=True):
        earlier = classes.setdefault((str(patient), str(side)), str(word))
        if earlier != word:
            contradicting.append(int(line))
            classes[str(patient), str(side)] = CLASSES[0]
    if contradicting:
        what = "a breast is both benign and malignant, malignant is taken"
        ledger.note(f"{path.name}: {what}, in {lines_text(contradicting)}")
    return BreastLabels(path, classes)


def read_reading(folder: Path) -> dict[tuple[str, str], str]:
    """Return the readers' class by (patient, side); nothing if the sheet is not there.

    Raises:
        DatasetError: the sheet is twice there or cannot be read, or openpyxl is not installed.
    """
    found = sorted(path for path in walk_files(folder, ".xlsx") if fnmatch(path.name, _READING_NAME))
    if not found:
        return {}
    if len(found) > 1:
        raise DatasetError(f"{found[0]} and {found[1]} are both sheets of TOMPEI-CMMD; keep one of them")
    classes: dict[tuple[str, str], str] = {}
    for cells in read_sheet(found[0], _READING_SHEET, header=None).itertuples(index=False):
        words = [str(cell).strip() for cell in cells]
        named = [word for word in words if word in READING_CLASSES]
        if len(words) > 1 and _PATIENT.match(words[0]) and words[1] in ("L", "R") and named:
            classes[words[0], words[1]] = named[0]
    if not classes:
        raise DatasetError(
            f"{found[0]}: no row of '{_READING_SHEET}' has a patient, a side and one of "
            f"{', '.join(READING_CLASSES)}; take the file from the release again"
        )
    return classes


def _find(folder: Path) -> Path:
    found = sorted(path for path in folder.glob(_NAME) if path.suffix.lower() in (".csv", ".xlsx"))
    if not found:
        raise DatasetError(
            f"{folder}: no {_NAME}.xlsx or .csv here; download it from the collection's page, or name its "
            "folder with --tables"
        )
    return found[0]
