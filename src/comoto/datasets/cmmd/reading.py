"""What the readers of TOMPEI-CMMD said of each breast: the sheet beside their outlines.

``TOMPEI-CMMD_clinical_data_*.xlsx`` has a sheet "Imaging Diagnosis Details Sheet" with several header rows
and then a row per breast. Breasts with a class Malignant or Benign have an outline; Normal has nothing that
could be located on the image, Invisible a cancer that could not, and Exclusion was not read. Rows are
recognised by their content: a patient, a side, and one of these words.
"""

from __future__ import annotations

import re
from pathlib import Path

from comoto.datasets.cmmd.tables import read_sheet
from comoto.errors import DatasetError

CLASSES = ("Malignant", "Benign", "Normal", "Invisible", "Exclusion")
_NAME = "TOMPEI-CMMD_clinical_data*.xlsx"
_SHEET = "Imaging Diagnosis Details Sheet"
_PATIENT = re.compile(r"^D[12]-\d{4}$")


def read_reading(folder: Path) -> dict[tuple[str, str], str]:
    """Return the readers' class by (patient, side); nothing if the sheet is not there.

    Raises:
        DatasetError: the sheet is twice there or cannot be read, or openpyxl is not installed.
    """
    found = sorted(path for path in folder.rglob(_NAME) if not path.name.startswith((".", "~")))
    if not found:
        return {}
    if len(found) > 1:
        raise DatasetError(f"{found[0]} and {found[1]} are both sheets of TOMPEI-CMMD; keep one of them")
    classes: dict[tuple[str, str], str] = {}
    for cells in read_sheet(found[0], _SHEET, header=None).itertuples(index=False):
        words = [str(cell).strip() for cell in cells]
        named = [word for word in words if word in CLASSES]
        if len(words) > 1 and _PATIENT.match(words[0]) and words[1] in ("L", "R") and named:
            classes[words[0], words[1]] = named[0]
    if not classes:
        raise DatasetError(
            f"{found[0]}: no row of '{_SHEET}' has a patient, a side and one of {', '.join(CLASSES)}; take "
            "the file from the release again"
        )
    return classes
