"""The table of CDD-CESM: what pathology or follow-up said of each image, and how a radiologist read it.

``Radiology-manual-annotations.xlsx`` is a sheet ``all`` with a row an image, and sheets of findings, which
are not read. Several findings of an image stand in one cell with ``$`` between them: BIRADS ``4$2``.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

from comoto.csv_rows import lines_text
from comoto.datasets.cdd_cesm.files import Energy, energy_of, image_name
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.sheets import read_sheet_table
from comoto.datasets.reading.tables import Table, read_table
from comoto.datasets.reading.walk import walk_files
from comoto.errors import DatasetError

CLASSES = ("Malignant", "Benign", "Normal")
_NAME, _CLASS = "Image_name", "Pathology Classification/ Follow up"
_BIRADS, _DENSITY = "BIRADS", "Breast density (ACR)"
_ASSESSMENTS, _DENSITIES = tuple("0123456"), tuple("ABCD")
_SHEET = "all"
_SEVERAL = "$"
_TABLE_NAME = re.compile(r"^radiology[ _-]manual[ _-]annotations\.(xlsx|csv)$", re.IGNORECASE)
_OUTLINES_NAME = re.compile(r"^radiology[ _-]hand[ _-]drawn[ _-]segmentations.*\.csv$", re.IGNORECASE)


@dataclass(frozen=True)
class ImageRow:
    """What the table says of an image.

    Attributes:
        pathology: one of ``CLASSES``.
        birads: the highest of its findings, such as ``4``; empty where the table does not say.
        density: ``A`` to ``D``; mostly empty for subtracted images.
    """

    pathology: str
    birads: str
    density: str


def find_tables(folder: Path) -> tuple[Path, Path]:
    """Return the table of images, as sheet or as CSV, which is preferred, and that of outlines.

    Raises:
        DatasetError: one of them is not below the folder, or is there twice.
    """
    files = list(walk_files(folder, ".xlsx", ".csv"))
    images = [path for path in files if _TABLE_NAME.match(path.name)]
    saved = [path for path in images if path.suffix.lower() == ".csv"]
    outlines = [path for path in files if _OUTLINES_NAME.match(path.name)]
    return (
        _only(folder, saved or images, "Radiology-manual-annotations.xlsx or .csv"),
        _only(folder, outlines, "Radiology_hand_drawn_segmentations_v2.csv"),
    )


def read_rows(path: Path, energies: tuple[Energy, ...], ledger: Ledger) -> dict[str, ImageRow]:
    """Read what the table says of each image of some kinds, by name.

    Rows that name no image of the release are dropped; of rows that contradict each other the worst is taken.

    Raises:
        DatasetError: the table cannot be read, or has another pathology than ``CLASSES``.
    """
    wanted = (_NAME, _CLASS)
    is_text = path.suffix.lower() == ".csv"
    table = read_table(path, wanted) if is_text else read_sheet_table(path, wanted, _SHEET)
    table = Table(path, table.rows.assign(**{_CLASS: table.rows[_CLASS].str.capitalize()}))
    table.words(_CLASS, CLASSES)
    found: dict[str, ImageRow] = {}
    nameless: list[int] = []
    contradicting: list[int] = []
    for line, row in zip(table.rows.index, table.rows.to_dict("records"), strict=True):
        name = image_name(row[_NAME])
        if energy_of(name) is None:
            nameless.append(int(line))
        if energy_of(name) not in energies:
            continue
        own = _image_row(row)
        earlier = found.setdefault(name, own)
        if earlier.pathology != own.pathology:
            contradicting.append(int(line))
            found[name] = min(earlier, own, key=lambda one: CLASSES.index(one.pathology))
    if nameless:
        ledger.drop(f"{path.name}: no name of an image, such as P1_L_DM_CC, in {lines_text(nameless)}")
    if contradicting:
        what = "an image has two pathologies, the worse is taken"
        ledger.note(f"{path.name}: {what}, in {lines_text(contradicting)}")
    return found


def _image_row(row: Mapping[Hashable, str]) -> ImageRow:
    """Return what a row says; cells that are something else are not passed on."""
    assessments = [part.strip() for part in row.get(_BIRADS, "").split(_SEVERAL)]
    birads = max((part for part in assessments if part in _ASSESSMENTS), default="")
    density = row.get(_DENSITY, "").upper()
    return ImageRow(row[_CLASS], birads, density if density in _DENSITIES else "")


def _only(folder: Path, found: list[Path], what: str) -> Path:
    if len(found) == 1:
        return found[0]
    if found:
        raise DatasetError(
            f"{found[0]} and {found[1]} are the same table; keep one, or name its folder with --tables"
        )
    raise DatasetError(
        f"{folder}: no {what} below it; download it from the collection's page, or name its folder with "
        "--tables"
    )
