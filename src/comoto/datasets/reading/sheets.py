"""Excel sheets of data sets, read with openpyxl, which is an extra of the package."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd

from comoto.datasets.reading.tables import Table
from comoto.errors import DatasetError

_LARGEST = 256 * 2**20

_Read = TypeVar("_Read")


def read_sheet_table(path: Path, columns: Sequence[str], named: str | None = None) -> Table:
    """Read a sheet whose first row has the names of the columns; a line is a row of the sheet.

    Args:
        path: the file.
        columns: names that there must be.
        named: the sheet, if there is one of that name; else the first.

    Raises:
        DatasetError: it cannot be read, openpyxl is not installed, or columns are missing.
    """
    sheet = named if named is not None and named in sheet_names(path) else 0
    rows = read_sheet(path, sheet, header=0)
    rows.columns = pd.Index([str(name).strip() for name in rows.columns])
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise DatasetError(
            f"{path}: columns are missing: {', '.join(missing)} (the first row has: "
            f"{', '.join(rows.columns)}); is this the right table?"
        )
    rows = rows.apply(lambda column: column.str.strip())
    rows.index = pd.RangeIndex(2, len(rows) + 2, name="line")
    return Table(path, rows[(rows != "").any(axis=1)])


def read_sheet(path: Path, sheet: str | int, header: int | None) -> pd.DataFrame:
    """Return one sheet of an Excel file as text, empty cells as empty text.

    Args:
        path: the file.
        sheet: its name or number.
        header: row of the column names; None for columns without names.

    Raises:
        DatasetError: it cannot be read, or openpyxl is not installed.
    """

    def read() -> pd.DataFrame:
        rows = pd.read_excel(
            path, sheet_name=sheet, header=header, dtype="string", engine="openpyxl", keep_default_na=False
        )
        return rows.fillna("")

    return _reading(path, read)


def sheet_names(path: Path) -> list[str]:
    """Return the names of the sheets, in order.

    Raises:
        DatasetError: as ``read_sheet``.
    """

    def read() -> list[str]:
        with pd.ExcelFile(path, engine="openpyxl") as book:
            return [str(name) for name in book.sheet_names]

    return _reading(path, read)


def _reading(path: Path, read: Callable[[], _Read]) -> _Read:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LARGEST:
                raise DatasetError(f"{path}: unpacks to more than {_LARGEST >> 20} MiB; save it as CSV")
        return read()
    except DatasetError:
        raise
    except ImportError as error:
        raise DatasetError(
            f"{path}: reading an Excel sheet needs the package openpyxl (pip install openpyxl); or "
            f"save the sheet as {path.with_suffix('.csv').name} beside it"
        ) from error
    except Exception as error:  # a damaged archive surfaces as almost any type
        raise DatasetError(
            f"{path}: is no Excel sheet that can be read ({type(error).__name__}: {error}); download it "
            "again, or save the sheet as CSV"
        ) from error
