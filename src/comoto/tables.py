"""Read the evaluation's tables, and say in which line of which file something is wrong.

A table is a CSV file, as ``comoto.csv_rows`` understands them, or a DataFrame. Columns are found by name:
their order does not matter, further columns (the unnamed index column of some challenge entries) are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.csv_rows import CsvForm, decimal_mark, lines_text, read_csv_rows, read_numbers
from comoto.errors import DatasetError
from comoto.records import IntArray

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
TableSource = str | Path | pd.DataFrame

_FALLBACK = CsvForm(fallback="cp1252")
_NEAR_NAMES = 0.6
_CORNERS = ("x1", "y1", "x2", "y2")
_MEANING = {
    "VolumeSlices": "slices of the lesion's volume, which the box files of the challenge's second phase have",
}


@dataclass(frozen=True)
class Table:
    """The wanted columns of one table.

    Attributes:
        name: what a message calls the table: the path, or "predictions table" for a DataFrame, which
            may have a name of its own in ``attrs``.
        texts, numbers: columns by name, all of one length N; an empty cell of a number column is NaN.
        lines: (N,) line of each row in the file (the header is line 1), or row position of a DataFrame.
        line_word: "line", or "row" for a DataFrame.
        notes: what was odd in reading it.
    """

    name: str
    texts: dict[str, list[str]]
    numbers: dict[str, Float64Array]
    lines: IntArray
    line_word: str
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, bad: BoolArray) -> str:
        """Name the rows where ``bad`` (N,) is true: "lines 12, 40, 77 and 9 more"."""
        return lines_text(self.lines[bad].tolist(), self.line_word)

    def require(self, good: BoolArray, problem: str, remedy: str) -> None:
        """Raise a DatasetError that names the rows where ``good`` (N,) is false."""
        if not good.all():
            raise DatasetError(f"{self.name}: {problem} ({self.where(~good)}); {remedy}")


def header_of(source: TableSource) -> list[str]:
    """Return the names of all columns of a table, as ``read_table`` would find them.

    Raises:
        DatasetError: the file cannot be read.
    """
    if isinstance(source, pd.DataFrame):
        return [str(name) for name in source.columns]
    return list(read_csv_rows(Path(source), _FALLBACK).header)


def read_table(source: TableSource, what: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """Read the named columns.

    Args:
        source: path of a CSV file, or a DataFrame.
        what: what the table is, for messages: "predictions", "labels", "boxes".
        texts: columns read as text, without the blanks around them; a cell that says nothing is empty.
        numbers: columns read as float64; an empty cell becomes NaN.

    Raises:
        DatasetError: the file cannot be read, a column is missing (the nearest name is given) or doubled,
            a row has too few or too many cells, or a cell of a number column is no number.
    """
    if isinstance(source, pd.DataFrame):
        return _from_frame(source, what, texts, numbers)
    return _from_csv(Path(source), texts, numbers)


def _from_frame(frame: pd.DataFrame, what: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    name = str(frame.attrs.get("name", f"{what} table"))
    _find_columns(name, [str(column) for column in frame.columns], (*texts, *numbers))
    lines = np.arange(len(frame), dtype=np.int64)
    values: dict[str, Float64Array] = {}
    for column in numbers:
        series = frame[column]
        if pd.api.types.is_numeric_dtype(series.dtype):
            values[column] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            cells = ["" if pd.isna(cell) else str(cell) for cell in series]
            values[column] = _numbers(name, column, cells, lines, "row")
    cells_of = {
        column: frame[column].astype(str).str.strip().where(frame[column].notna(), "").tolist()
        for column in texts
    }
    return Table(name, cells_of, values, lines, "row")


def _from_csv(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    content = read_csv_rows(path, _FALLBACK)
    rows = content.rows
    place = _find_columns(str(path), content.header, (*texts, *numbers))
    lines = np.array(content.lines, dtype=np.int64)
    cells = {column: [row[place[column]] for row in rows] for column in (*texts, *numbers)}
    # One mark for the whole file: a column of whole numbers and thousandths says nothing by itself.
    decimal = decimal_mark(chain.from_iterable(cells[column] for column in numbers))
    notes: tuple[str, ...] = ()
    if content.encoding == _FALLBACK.fallback:
        notes = (
            f"{path}: is not UTF-8 text; read as {content.encoding}, which may spoil names with accents",
        )
    return Table(
        str(path),
        {column: cells[column] for column in texts},
        {column: _numbers(str(path), column, cells[column], lines, "line", decimal) for column in numbers},
        lines,
        "line",
        notes,
    )


def _find_columns(name: str, header: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    missing = [column for column in wanted if column not in header]
    if missing:
        raise DatasetError(f"{name}: {_missing_text(missing, header, wanted)}")
    for column in wanted:
        if list(header).count(column) > 1:
            raise DatasetError(f"{name}: column '{column}' stands twice in the header; leave one of them out")
    return {column: list(header).index(column) for column in wanted}


def _missing_text(missing: Sequence[str], header: Sequence[str], wanted: Sequence[str]) -> str:
    """Say which columns are missing; another one is only suggested if it is not wanted itself."""
    spare = [text for text in header if text and text not in wanted]
    lower = {text.lower(): text for text in spare}
    hints = []
    for column in missing:
        cutoff = _NEAR_NAMES if len(column) > 1 else 1.0  # an X is no x2
        near = get_close_matches(column.lower(), lower, n=1, cutoff=cutoff)
        hints += [f"'{lower[name]}' to '{column}'" for name in near]
    plural = "s" if len(missing) > 1 else ""
    text = (
        f"column{plural} {', '.join(repr(column) for column in missing)} {'are' if plural else 'is'} missing"
    )
    text += "".join(f" ({_MEANING[column]})" for column in missing if column in _MEANING)
    if set(_CORNERS) <= set(lower) and "Width" in missing:
        return (
            f"{text}; make them of the corners: X = x1, Y = y1, Width = x2 - x1, Height = y2 - y1 "
            "(predictions on mammograms are scored with 'comoto evaluate --mammogram-predictions')"
        )
    if hints:
        return f"{text}; rename {', '.join(hints)}, if that is what is meant"
    return f"{text}; the header has: {', '.join(name for name in header if name)}"


def _numbers(
    name: str, column: str, cells: list[str], lines: IntArray, line_word: str, decimal: str | None = None
) -> Float64Array:
    found = read_numbers(cells, decimal)
    for bad, what in (
        (found.unclear, "where the comma may mark decimals or thousands; write it with a point"),
        (found.bad, "which is not a number; write plain numbers, such as 0.25"),
    ):
        rows = np.flatnonzero(bad)
        if len(rows):
            raise DatasetError(
                f"{name}: {lines_text(lines[rows].tolist(), line_word)}: {column} is '{cells[rows[0]]}', "
                f"{what}"
            )
    return found.values
