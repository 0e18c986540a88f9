"""Read the evaluation's tables, and say in which line of which file something is wrong.

A table is a CSV file or a DataFrame. Columns are found by name: their order does not matter, further
columns (the unnamed index column of some challenge entries) are ignored, a byte order mark is skipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.components import suggest
from comoto.csv_rows import lines_text, read_csv_rows
from comoto.errors import DatasetError
from comoto.records import IntArray

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
TableSource = str | Path | pd.DataFrame

_EMPTY_WORDS = frozenset({"", "nan", "na", "n/a", "null", "none", "<na>"})


@dataclass(frozen=True)
class Table:
    """The wanted columns of one table.

    Attributes:
        name: what a message calls the table: the path, or "predictions table" for a DataFrame.
        texts, numbers: columns by name, all of one length N; an empty cell of a number column is NaN.
        lines: (N,) line of each row in the file (the header is line 1), or row position of a DataFrame.
        line_word: "line", or "row" for a DataFrame.
    """

    name: str
    texts: dict[str, list[str]]
    numbers: dict[str, Float64Array]
    lines: IntArray
    line_word: str

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, bad: BoolArray) -> str:
        """Name the rows where ``bad`` (N,) is true: "lines 12, 40, 77 and 9 more"."""
        return lines_text(self.lines[bad].tolist(), self.line_word)

    def require(self, good: BoolArray, problem: str, remedy: str) -> None:
        """Raise a DatasetError that names the rows where ``good`` (N,) is false."""
        if not good.all():
            raise DatasetError(f"{self.name}: {problem} ({self.where(~good)}); {remedy}")


def read_table(source: TableSource, what: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """Read the named columns.

    Args:
        source: path of a CSV file, or a DataFrame.
        what: what the table is, for messages: "predictions", "labels", "boxes".
        texts: columns read as text, exactly as they stand.
        numbers: columns read as float64; an empty cell becomes NaN.

    Raises:
        DatasetError: the file cannot be read, a column is missing (the nearest name is given) or doubled,
            a row has too few or too many cells, or a cell of a number column is no number.
    """
    if isinstance(source, pd.DataFrame):
        return _from_frame(source, what, texts, numbers)
    return _from_csv(Path(source), texts, numbers)


def _from_frame(frame: pd.DataFrame, what: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    name = f"{what} table"
    _find_columns(name, [str(column) for column in frame.columns], (*texts, *numbers))
    lines = np.arange(len(frame), dtype=np.int64)
    values: dict[str, Float64Array] = {}
    for column in numbers:
        series = frame[column]
        if pd.api.types.is_numeric_dtype(series.dtype):
            values[column] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values[column] = _numbers(
                name, column, ["" if pd.isna(c) else str(c) for c in series], lines, "row"
            )
    return Table(name, {column: frame[column].astype(str).tolist() for column in texts}, values, lines, "row")


def _from_csv(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    content = read_csv_rows(path)
    rows = content.rows
    place = _find_columns(str(path), content.header, (*texts, *numbers))
    lines = np.array(content.lines, dtype=np.int64)
    return Table(
        str(path),
        {column: [row[place[column]] for row in rows] for column in texts},
        {
            column: _numbers(str(path), column, [row[place[column]] for row in rows], lines, "line")
            for column in numbers
        },
        lines,
        "line",
    )


def _find_columns(name: str, header: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    for column in wanted:
        if column not in header:
            near = suggest(column, [text for text in header if text])
            raise DatasetError(f"{name}: column '{column}' is missing; {near}{_separator_hint(header)}")
        if list(header).count(column) > 1:
            raise DatasetError(f"{name}: column '{column}' stands twice in the header; leave one of them out")
    return {column: list(header).index(column) for column in wanted}


def _separator_hint(header: Sequence[str]) -> str:
    if len(header) == 1 and any(mark in header[0] for mark in (";", "\t")):
        return " (the cells must be separated by commas)"
    return ""


def _numbers(name: str, column: str, cells: list[str], lines: IntArray, line_word: str) -> Float64Array:
    values = np.empty(len(cells), dtype=np.float64)
    for position, cell in enumerate(cells):
        try:
            values[position] = float(cell)
        except ValueError:
            if cell.strip().lower() not in _EMPTY_WORDS:
                raise DatasetError(
                    f"{name}: {line_word} {lines[position]}: {column} is '{cell}', which is not a number"
                ) from None
            values[position] = math.nan
    return values
