"""CSV tables read as text with the line of each row, so that every complaint can name file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.csv_rows import lines_text, read_csv_rows
from comoto.errors import DatasetError

_SHOWN_LETTERS = 40


def shown(cell: str) -> str:
    """Return a cell as a message may show it: the beginning of a long one."""
    return cell if len(cell) <= _SHOWN_LETTERS else f"{cell[:_SHOWN_LETTERS]}..."


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


def read_table(path: Path, columns: Sequence[str], delimiter: str = ",") -> Table:
    """Read a CSV file with a header line; a byte order mark is accepted, blank lines are passed over.

    Args:
        path: the file, UTF-8.
        columns: names that the header must have; others are kept too.
        delimiter: what separates cells.

    Raises:
        DatasetError: the file is missing, is not UTF-8 text, lacks columns, or a row has another number of
            fields than the header.
    """
    content = read_csv_rows(path, delimiter)
    header = content.header
    missing = [name for name in columns if name not in header]
    if missing:
        raise DatasetError(
            f"{path}: columns are missing: {', '.join(missing)} "
            f"(the first line has: {', '.join(header)}); is this the right table?"
        )
    rows = [[cell.strip() for cell in row] for row in content.rows]
    index = pd.Index(content.lines, name="line", dtype="int64")
    return Table(path, pd.DataFrame(rows, columns=header, index=index, dtype="string"))
