"""A workbook that the R package RJafroc reads, with what its figures of merit are made of.

Layout: the package's documentation of FROC data ("JAFROC" format, ``DfReadDataFile(FILE,
newExcelFileFormat = TRUE)``): the sheets FP, TP and TRUTH. A case is a volume. A mark is a detection; of
several hits of one lesion the best scored is kept, since a lesion has one rating there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO

import numpy as np

from comoto.errors import ConfigError
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.froc import lesion_scores

Row = tuple[str | int | float | None, ...]
READER = MODALITY = "1"
"""There is one of each; the package wants texts."""
_PARADIGM = ("FROC", "FCTRL")
"""What the data are, and that every reader saw every case, in the first two rows."""


def rjafroc_sheets(found: ChallengePredictions, truth: ChallengeTruth) -> Mapping[str, list[Row]]:
    """Return the rows of the three sheets, headers first.

    Cases are numbered from 1 in the order of the labels, lesions from 1 in the order of the boxes. TRUTH has
    three more columns than the package reads, which say which volume a case is.

    Raises:
        ConfigError: there is no false positive or no hit; the package cannot read an empty sheet.
    """
    truth_rows = _truth_rows(truth)
    known = (found.volume >= 0) & ~np.isnan(found.scores)
    false = np.flatnonzero(known & (found.hit_lesion < 0))
    false = false[np.lexsort((found.scores[false], found.volume[false]))]
    marks: list[Row] = [
        (READER, MODALITY, int(found.volume[row]) + 1, float(found.scores[row])) for row in false
    ]
    numbers = truth.lesion_number
    best = lesion_scores(found.scores, found.hit_lesion, len(truth.lesion_volume))
    hits: list[Row] = [
        (READER, MODALITY, int(truth.lesion_volume[lesion]) + 1, int(numbers[lesion]), float(best[lesion]))
        for lesion in np.flatnonzero(np.isfinite(best))
    ]
    for what, rows in (("false positive", marks), ("hit", hits)):
        if not rows:
            raise ConfigError(
                f"--export-rjafroc: there is no {what}, and RJafroc cannot read a sheet without rows"
            )
    return {
        "FP": [("ReaderID", "ModalityID", "CaseID", "FP_Rating"), *marks],
        "TP": [("ReaderID", "ModalityID", "CaseID", "LesionID", "TP_Rating"), *hits],
        "TRUTH": list(truth_rows),
    }


def _truth_rows(truth: ChallengeTruth) -> Iterator[Row]:
    """Yield a row a lesion, and one with lesion 0 of each volume without one."""
    yield (
        *("CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm"),
        *("PatientID", "StudyUID", "View"),
    )
    counts = np.bincount(truth.lesion_volume, minlength=len(truth.volumes)).tolist()
    names = list(truth.patients)
    paradigm = iter(_PARADIGM)
    for case, ((study, view), count) in enumerate(zip(truth.volumes, counts, strict=True), start=1):
        named = names[truth.volume_patient[case - 1]], study, view
        for lesion in range(1, count + 1) if count else (0,):
            weight = 1.0 / count if count else 0.0
            yield case, lesion, weight, READER, MODALITY, next(paradigm, None), *named


def workbook(sheets: Mapping[str, list[Row]]) -> bytes:
    """Return the sheets as the bytes of an Excel file.

    Raises:
        ConfigError: the package that writes it is not installed.
    """
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    except ImportError as error:
        raise ConfigError(
            "--export-rjafroc needs the package openpyxl; pip install 'comoto[xlsx]'"
        ) from error
    book = Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            cells = []
            for value in row:
                text = ILLEGAL_CHARACTERS_RE.sub("?", value) if isinstance(value, str) else value
                cell = WriteOnlyCell(sheet, text)
                if isinstance(value, str):
                    cell.data_type = "s"  # a name that begins with = is no formula
                cells.append(cell)
            sheet.append(cells)
    content = BytesIO()
    book.save(content)
    return content.getvalue()
