"""CSV tables read as text with the line of each row, so that every complaint can name file and line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.errors import DatasetError

_LINES_SHOWN = 8


@dataclass(frozen=True)
class Table:
    """One CSV file.

    Attributes:
        path: the file.
        rows: its columns as text, surrounding blanks removed; the index, ``line``, is the line in the file.
    """

    path: Path
    rows: pd.DataFrame

    def refuse(self, bad: pd.Series[bool], what: str, remedy: str) -> None:
        """Raise if any row is bad.

        Args:
            bad: aligned with ``rows``.
            what: what is wrong with those rows, such as ``the box is empty``.
            remedy: what the user can do.

        Raises:
            DatasetError: naming the file, the lines and the remedy.
        """
        lines = [int(line) for line in self.rows.index[bad.to_numpy(dtype=bool)]]
        if lines:
            raise DatasetError(f"{self.path}: {what} in {lines_text(lines)}; {remedy}")

    def integers(self, column: str) -> pd.Series[int]:
        """Return a column of whole numbers; 3.0 counts as 3.

        Raises:
            DatasetError: a value is something else.
        """
        values = self.numbers(column)
        bad = values != np.floor(values)
        self.refuse(bad, f"{column} is no whole number", "correct the table")
        return values.astype("int64")

    def numbers(self, column: str) -> pd.Series[float]:
        """Return a column of finite numbers.

        Raises:
            DatasetError: a value is something else.
        """
        values = pd.to_numeric(self.rows[column], errors="coerce").astype("float64")
        self.refuse(
            values.isna() | values.isin([np.inf, -np.inf]), f"{column} is no number", "correct the table"
        )
        return values

    def words(self, column: str, known: Sequence[str]) -> pd.Series[str]:
        """Return a column that may only hold the known words.

        Raises:
            DatasetError: a value is something else.
        """
        values = self.rows[column]
        self.refuse(~values.isin(list(known)), f"{column} is none of {', '.join(known)}", "correct the table")
        return values

    def unique(self, columns: Sequence[str]) -> None:
        """Check that no two rows have the same key.

        Raises:
            DatasetError: some do.
        """
        bad = self.rows.duplicated(list(columns), keep=False)
        self.refuse(bad, f"the same {', '.join(columns)} stands more than once", "keep one row of each")


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Read a CSV file with a header line; a byte order mark is accepted, blank lines are passed over.

    Args:
        path: the file, UTF-8.
        columns: names that the header must have; others are kept too.

    Raises:
        DatasetError: the file is missing, is not UTF-8 text, lacks columns, or a row has another number of
            fields than the header.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; it belongs to the data set, download it again")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            numbered = [(reader.line_num, [text.strip() for text in row]) for row in reader if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: not a CSV table in UTF-8 ({error}); download it again") from error
    missing = [name for name in columns if name not in header]
    if missing:
        raise DatasetError(
            f"{path}: columns are missing: {', '.join(missing)} "
            f"(the first line has: {', '.join(header) or 'nothing'}); is this the right table?"
        )
    uneven = [line for line, row in numbered if len(row) != len(header)]
    if uneven:
        raise DatasetError(
            f"{path}: {lines_text(uneven)} do not have {len(header)} fields; the file is damaged"
        )
    index = pd.Index([line for line, _ in numbered], name="line", dtype="int64")
    return Table(
        path, pd.DataFrame([row for _, row in numbered], columns=header, index=index, dtype="string")
    )


def lines_text(lines: Iterable[int]) -> str:
    """Say which lines, the first few of them: ``lines 12, 40, 77 and 5 more``."""
    lines = list(lines)
    shown = ", ".join(str(line) for line in lines[:_LINES_SHOWN])
    more = f" and {len(lines) - _LINES_SHOWN} more" if len(lines) > _LINES_SHOWN else ""
    return f"line{'s' if len(lines) > 1 else ''} {shown}{more}"
