"""The four case tables of CBIS-DDSM: one row an abnormality, mass and calcification with other headers.

The mass tables say ``breast_density`` where the calcification tables say ``breast density``; line ends are
CRLF, and one path of every row is a quoted field that ends in a line break. Only columns that both have are
read, and every field is stripped. A line number here is the line on which a row ends in the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.tables import Table, read_table
from comoto.errors import DatasetError
from comoto.records import Split

PATHOLOGIES = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
"""Worst first."""

KINDS = ("mass", "calc")
KEY = ["patient_id", "side", "view"]
"""A film: the same view of one patient may be in the mass and in the calcification tables."""

_NAME = re.compile(r"^(mass|calc)_case_description_(train|test)_set\b.*\.csv$", re.IGNORECASE)
_SPLITS = {"train": Split.TRAIN, "test": Split.TEST}
_IMAGE_PATH, _CROP_PATH, _MASK_PATH = "image file path", "cropped image file path", "ROI mask file path"
_COLUMNS = (
    "patient_id",
    "left or right breast",
    "image view",
    "abnormality id",
    "pathology",
    _IMAGE_PATH,
    _CROP_PATH,
    _MASK_PATH,
)
_PATH_PARTS = 4


def read_case_tables(folder: Path, kinds: tuple[str, ...], ledger: Ledger) -> pd.DataFrame:
    """Read the tables of the kinds that are wanted; those that are not there are dropped.

    Returns:
        A row an abnormality, with the columns source (name of the table), line, kind, split, patient_id,
        side, view, abnormality, pathology, case (folder of the mammogram) and image_series; roi_case,
        crop_series and mask_series say where crop and mask lie, in an order that cannot be trusted.

    Raises:
        DatasetError: none is there, one is twice there, or one is wrong.
    """
    found = _find_tables(folder)
    rows: list[pd.DataFrame] = []
    for kind in kinds:
        for word, split in _SPLITS.items():
            path = found.get((kind, word))
            if path is None:
                name = f"{kind}_case_description_{word}_set.csv"
                ledger.drop(f"{name}: not in {folder}; its cases are left out")
            else:
                rows.append(_read_cases(path, kind, split))
    if not rows:
        names = " and ".join(f"{kind}_case_description_*_set.csv" for kind in kinds)
        raise DatasetError(
            f"{folder}: no {names} here; download the tables from the collection's page, or name their "
            "folder with --tables"
        )
    return pd.concat(rows, ignore_index=True)


def _find_tables(folder: Path) -> dict[tuple[str, str], Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; check the path")
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.match(path.name)
        if match is None:
            continue
        key = match.group(1).lower(), match.group(2).lower()
        if key in found:
            raise DatasetError(f"{found[key]} and {path.name} are the same table; keep one of them")
        found[key] = path
    return found


def _read_cases(path: Path, kind: str, split: Split) -> pd.DataFrame:
    table = read_table(path, _COLUMNS)
    image, crop, mask = (_path_parts(table, column) for column in (_IMAGE_PATH, _CROP_PATH, _MASK_PATH))
    rows = pd.DataFrame(
        {
            "source": path.name,
            "line": table.rows.index,
            "kind": kind,
            "split": split.value,
            "patient_id": table.rows["patient_id"],
            "side": table.words("left or right breast", ("LEFT", "RIGHT")),
            "view": table.words("image view", ("CC", "MLO")),
            "abnormality": table.integers("abnormality id"),
            "pathology": table.words("pathology", PATHOLOGIES),
            "case": image["case"],
            "image_series": image["series"],
            "roi_case": mask["case"],
            "crop_series": crop["series"],
            "mask_series": mask["series"],
        }
    )
    table.refuse(rows["patient_id"] == "", "patient_id is empty", "correct the table")
    films = rows.groupby("image_series")
    several = films[KEY[0]].transform("nunique") + films[KEY[1]].transform("nunique")
    table.refuse(
        (several + films[KEY[2]].transform("nunique")) > len(KEY),
        "one mammogram is of more than one patient, side or view",
        "correct the table",
    )
    return rows


def _path_parts(table: Table, column: str) -> pd.DataFrame:
    """Split ``case/study UID/series UID/file``; a path may have folders above."""
    parts = [str(text).strip().strip("/").split("/") for text in table.rows[column]]
    table.refuse(
        [len(found) < _PATH_PARTS for found in parts],
        f"{column} is not case/study/series/file",
        "use the tables of the collection as they are",
    )
    return pd.DataFrame(
        {"case": [found[-4] for found in parts], "series": [found[-2] for found in parts]},
        index=table.rows.index,
        dtype="string",
    )
