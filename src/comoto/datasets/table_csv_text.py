"""Text tables from any spreadsheet: encoding, separator and decimal comma are recognised."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.datasets.tables import Table
from comoto.errors import DatasetError

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_BLANK = ("", "na", "n/a", "nan", "null", "none", "<na>")
_COMMA_NUMBER = r"[+-]?\d+,\d+"
_LONG_CELL = 1 << 24


def read_text_table(path: Path, encoding: str | None = None, delimiter: str | None = None) -> Table:
    """Read a table with a header line.

    Args:
        path: comma, semicolon, tab or ``|`` separated; UTF-8 with or without byte order mark, or UTF-16 with
            one. Excel's first line ``sep=;`` is understood.
        encoding: of a file that is none of those, such as ``cp1252``.
        delimiter: a key of ``DELIMITERS``; the one that gives the header most cells, if not given.

    Returns:
        Cells as text without surrounding blanks; the index is the line in the file.

    Raises:
        DatasetError: the file cannot be read, is no text, or a row does not fit the header.
    """
    text = _decoded(path, encoding)
    csv.field_size_limit(_LONG_CELL)
    separator, skipped = _excel_line(text)
    text = text.split("\n", 1)[1] if skipped else text
    if delimiter is not None:
        separator = DELIMITERS[delimiter]
    return _parsed(path, text, separator or _guessed(text), skipped)


def blank_cells(cells: pd.Series[str]) -> pd.Series[bool]:
    """Return which cells say nothing: empty, ``NA``, ``NaN``, ``null`` or ``none`` in any letter case."""
    return cells.str.lower().isin(_BLANK)


def number_cells(table: Table, column: str, decimal: str | None = None) -> pd.Series[float]:
    """Return a column of numbers, NaN where a cell is blank.

    Args:
        table: where the column was read.
        column: its name.
        decimal: ``comma`` or ``point``; recognised if not given.

    Raises:
        DatasetError: a cell is no finite number, or a comma could mark decimals as well as thousands.
    """
    cells = table.rows[column].mask(blank_cells(table.rows[column]), "")
    has_comma = cells.str.fullmatch(_COMMA_NUMBER)
    if decimal is None and has_comma.any():
        thousands = has_comma & cells.str.fullmatch(r".*,\d{3}")
        if bool((thousands == has_comma).all()):
            table.refuse(
                has_comma,
                f"the comma in {column} may mark decimals or thousands",
                "say which with --set decimal=comma, or write the numbers without it",
            )
    if decimal != "point":
        cells = cells.mask(has_comma, cells.str.replace(",", ".", regex=False))
    values = pd.to_numeric(cells, errors="coerce").astype("float64")
    bad = (values.isna() & (cells != "")) | values.isin([np.inf, -np.inf])
    table.refuse(bad, f"{column} is no number", "correct the table")
    return values


def _decoded(path: Path, encoding: str | None) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise DatasetError(f"{path}: cannot be read: {reason}; check the path") from error
    if content.startswith(_WORKBOOKS):
        raise DatasetError(f"{path}: is an Excel workbook; save the sheet as 'CSV UTF-8' and give that file")
    if encoding is None:
        encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except LookupError as error:
        raise DatasetError(f"{path}: there is no encoding '{encoding}'; try cp1252 or utf-8") from error
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = content[:at].count(b"\n") + 1
        raise DatasetError(
            f"{path}: line {line} is not {encoding.removesuffix('-sig').upper()} text; save the table as "
            "'CSV UTF-8', or name its encoding, such as --set encoding=cp1252"
        ) from error
    if "\0" in text:
        raise DatasetError(f"{path}: is no text; save the table as 'CSV UTF-8'")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _excel_line(text: str) -> tuple[str | None, int]:
    """Return the separator of Excel's first line ``sep=;``, and how many lines it takes."""
    first = text.split("\n", 1)[0].strip().strip('"')
    if first.lower().startswith("sep=") and len(first) == 5 and "\n" in text:
        return first[4], 1
    return None, 0


def _guessed(text: str) -> str:
    header = next((line for line in text.split("\n") if line.strip()), "")
    counts = {mark: _num_cells(header, mark) for mark in DELIMITERS.values()}
    return max(counts, key=lambda mark: counts[mark])


def _num_cells(header: str, mark: str) -> int:
    """Count the cells of a header line; one that no table has counts as one cell."""
    try:
        return len(next(csv.reader([header], delimiter=mark), []))
    except csv.Error:
        return 1


def _parsed(path: Path, text: str, separator: str, skipped: int) -> Table:
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            if any(map(str.strip, row)):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num + skipped)
    except csv.Error as error:
        raise DatasetError(
            f"{path}: line {reader.line_num + skipped} is not CSV ({error}); export the table again"
        ) from error
    if not rows:
        raise DatasetError(f"{path}: is empty; a line with the column names is needed, even without rows")
    header = rows.pop(0)
    while header and not header[-1]:
        header.pop()
    _check_header(path, header)
    width = len(header)
    for row, line in zip(rows, lines[1:], strict=True):
        if len(row) != width:
            _fit(path, row, line, width, separator)
    index = pd.Index(lines[1:], name="line", dtype="int64")
    return Table(path, pd.DataFrame(rows, columns=header, index=index, dtype="string"))


def _check_header(path: Path, header: list[str]) -> None:
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise DatasetError(f"{path}: the column {repeated[0]} stands twice in the header; rename one")
    for position, name in enumerate(header):
        header[position] = name or f"(column {position + 1})"


def _fit(path: Path, row: list[str], line: int, width: int, separator: str) -> None:
    """Cut empty cells beyond the header, which spreadsheets like to write; refuse any other length."""
    if len(row) > width and not any(row[width:]):
        del row[width:]
        return
    name = next((word for word, mark in DELIMITERS.items() if mark == separator), repr(separator))
    raise DatasetError(
        f"{path}: line {line} has {len(row)} cells, the header has {width} (separated by {name}); quote "
        "cells that hold the separator, or name another one with --set delimiter="
        f"{'|'.join(DELIMITERS)}"
    )
