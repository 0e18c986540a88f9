"""Tables of data sets as text with the line of each row, so that every complaint can name file and line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.csv_rows import BLANK_WORDS, CsvForm, lines_text, read_csv_rows, read_numbers
from comoto.errors import DatasetError

BoolArray = NDArray[np.bool_]

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
        settable: its command takes ``--set decimal`` and the like, so messages name them.
    """

    path: Path
    rows: pd.DataFrame
    settable: bool = False

    def refuse(self, bad: pd.Series[bool] | Sequence[bool] | BoolArray, what: str, remedy: str) -> None:
        """Raise if any row is bad.

        Args:
            bad: aligned with ``rows``.
            what: what is wrong with those rows, such as ``the box is empty``.
            remedy: what the user can do.

        Raises:
            DatasetError: naming the file, the lines and the remedy.
        """
        lines = [int(line) for line in self.rows.index[np.asarray(bad, dtype=bool)]]
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
            DatasetError: a value is something else, or no value.
        """
        values = self.optional_numbers(column)
        self.refuse(values.isna(), f"{column} is no number", "correct the table")
        return values

    def optional_numbers(self, column: str, decimal: str | None = None) -> pd.Series[float]:
        """Return a column of numbers, NaN where a cell is blank.

        Args:
            column: its name.
            decimal: ``comma`` or ``point``; recognised if not given.

        Raises:
            DatasetError: a cell is no finite number, or a comma could mark decimals as well as thousands.
        """
        found = read_numbers(self.rows[column].tolist(), decimal)
        unclear = f"the comma in {column} may mark decimals or thousands"
        way_out = ", or say which with --set decimal=comma" if self.settable else ""
        self.refuse(found.unclear, unclear, f"write the numbers without it{way_out}")
        values = pd.Series(found.values, index=self.rows.index)
        self.refuse(found.bad | np.isinf(found.values), f"{column} is no number", "correct the table")
        return values

    def words(self, column: str, known: Sequence[str]) -> pd.Series[str]:
        """Return a column that may only hold the known words.

        Raises:
            DatasetError: a value is something else.
        """
        values = self.rows[column]
        self.refuse(~values.isin(list(known)), f"{column} is none of {', '.join(known)}", "correct the table")
        return values

    def without(self, keys: pd.Series[str], excluded: Collection[str]) -> Table:
        """Return the table without the rows of excluded images.

        Args:
            keys: the image of each row, or of more rows than are left.
            excluded: images that the user leaves out wholly.
        """
        if not excluded:
            return self
        return replace(self, rows=self.rows[~keys.reindex(self.rows.index).isin(list(excluded))])

    def unique(self, columns: Sequence[str]) -> None:
        """Check that no two rows have the same key.

        Raises:
            DatasetError: some do.
        """
        bad = self.rows.duplicated(list(columns), keep=False)
        alike = self.rows.duplicated(keep=False)[bad].all()
        way_out = "keep one row of each" if alike else "the rows differ: find out which of them is right"
        self.refuse(bad, f"the same {', '.join(columns)} stands more than once", way_out)


def read_table(path: Path, columns: Sequence[str] = (), form: CsvForm | None = None) -> Table:
    """Read a CSV file with a header line; see ``read_csv_rows`` for what is understood.

    Args:
        path: the file.
        columns: names that the header must have; others are kept too, and one without a name gets one.
        form: what is known of the file.

    Raises:
        DatasetError: the file is missing, is no text, lacks columns, names one twice, or a row has another
            number of cells than the header.
    """
    content = read_csv_rows(path, form)
    header = content.header
    missing = [name for name in columns if name not in header]
    if missing:
        raise DatasetError(
            f"{path}: columns are missing: {', '.join(missing)} "
            f"(the first line has: {', '.join(header)}); is this the right table?"
        )
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise DatasetError(f"{path}: the column {repeated[0]} stands twice in the header; rename one")
    named = [name or f"(column {number})" for number, name in enumerate(header, start=1)]
    index = pd.Index(content.lines, name="line", dtype="int64")
    settable = form is not None and form.settable
    return Table(path, pd.DataFrame(content.rows, columns=named, index=index, dtype="string"), settable)


def blank_cells(cells: pd.Series[str]) -> pd.Series[bool]:
    """Return which cells say nothing: empty, ``NA``, ``NaN``, ``null`` or ``none`` in any letter case."""
    return cells.str.lower().isin(BLANK_WORDS)
