"""The one reader of CSV tables: encoding, separator and decimal comma are recognised, and lines known."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from comoto.errors import DatasetError
from comoto.wording import first_few

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
BLANK_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
"""Cells that say nothing, in any letter case."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_LONG_CELL = 1 << 24
_LONG_HEADER = 60
_MOST_LINES = 6


@dataclass(frozen=True)
class CsvRows:
    """One CSV file.

    Attributes:
        header: names of the columns, without surrounding blanks; a column in the middle may have none.
        rows: the rows that are not blank, each with as many cells as the header, without surrounding blanks.
        lines: the line on which each row ends, as an editor counts them.
        encoding: in which the text was read.
    """

    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    encoding: str


@dataclass(frozen=True)
class CsvForm:
    """What is known of a file beforehand.

    Attributes:
        encoding: of a file that is neither UTF-8 nor UTF-16, such as ``cp1252``.
        delimiter: a key of ``DELIMITERS``; the one that gives the header most cells, if None.
        fallback: encoding of a file that is not what ``encoding`` says; ``CsvRows.encoding`` tells.
        settable: the command takes ``--set encoding`` and ``--set delimiter``, so messages name them.
    """

    encoding: str | None = None
    delimiter: str | None = None
    fallback: str | None = None
    settable: bool = False


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes:
        values: (N,), NaN where the cell is blank or no number.
        bad: (N,) whether a cell is neither blank nor a number.
        unclear: (N,) whether the comma of a cell may mark decimals as well as thousands.
    """

    values: NDArray[np.float64]
    bad: NDArray[np.bool_]
    unclear: NDArray[np.bool_]


def read_csv_rows(path: Path, form: CsvForm | None = None) -> CsvRows:
    """Read a CSV file with a header line.

    Comma, semicolon, tab or ``|`` separate cells; the text is UTF-8 with or without byte order mark, or
    UTF-16 with one. Excel's first line ``sep=;`` is understood, and empty cells beyond the header are
    passed over.

    Args:
        path: the file.
        form: what is known of it.

    Raises:
        DatasetError: the file cannot be read, is no such text, is empty, or a row does not fit the header.
    """
    form = form or CsvForm()
    text, encoding = _decoded(path, form)
    csv.field_size_limit(_LONG_CELL)
    separator, skipped = _excel_line(text)
    text = text.split("\n", 1)[1] if skipped else text
    if form.delimiter is not None:
        separator = DELIMITERS[form.delimiter]
    separator = separator or _guessed(text)
    header, rows, lines = _parsed(path, text, separator, skipped)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            _fit(path, row, line, header, separator, form.settable)
    return CsvRows(header, rows, lines, encoding)


def read_numbers(cells: Sequence[str], decimal: str | None = None) -> Numbers:
    """Read cells as numbers, with a decimal point or a decimal comma.

    Args:
        cells: (N,) texts.
        decimal: ``comma`` or ``point``; recognised if None.
    """
    values = np.full(len(cells), np.nan)
    bad, comma = np.zeros(len(cells), dtype=bool), np.zeros(len(cells), dtype=bool)
    for place, cell in enumerate(cells):
        text = cell.strip()
        comma[place] = decimal != "point" and _COMMA_NUMBER.fullmatch(text) is not None
        try:
            values[place] = float(text.replace(",", ".") if comma[place] else text)
        except ValueError:
            bad[place] = text.lower() not in BLANK_WORDS
        else:
            bad[place] = "_" in text  # Python's own spelling of numbers, nobody else's
    sure = decimal is not None or decimal_mark(cells) is not None
    return Numbers(values, bad, np.zeros(len(cells), dtype=bool) if sure else comma)


def decimal_mark(cells: Iterable[str]) -> str | None:
    """Return ``comma`` if a cell holds a comma that can only mark decimals, such as 0,25; else None."""
    for cell in cells:
        if "," in cell:
            text = cell.strip()
            if _COMMA_NUMBER.fullmatch(text) and not _THOUSANDS.fullmatch(text):
                return "comma"
    return None


def lines_text(lines: Iterable[int], word: str = "line") -> str:
    """Say which lines, the first few of them: ``lines 12, 40, 77 and 9 more``."""
    numbers = list(lines)
    return f"{word}{'s' if len(numbers) > 1 else ''} {first_few(numbers, _MOST_LINES)}"


def _decoded(path: Path, form: CsvForm) -> tuple[str, str]:
    """Return the text with plain line ends, and the encoding in which it was read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise DatasetError(f"{path}: cannot be read: {reason}; check the path") from error
    if content.startswith(_WORKBOOKS):
        raise DatasetError(f"{path}: is an Excel workbook; save the sheet as 'CSV UTF-8' and give that file")
    encoding = form.encoding or ("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    try:
        text = content.decode(encoding)
    except LookupError as error:
        raise DatasetError(f"{path}: there is no encoding '{encoding}'; try cp1252 or utf-8") from error
    except UnicodeError as error:
        if form.fallback is None or b"\0" in content:
            raise _not_text(path, content, encoding, error, form.settable) from error
        encoding, text = form.fallback, content.decode(form.fallback, errors="replace")
    if "\0" in text:
        raise DatasetError(f"{path}: is no text; save the table as 'CSV UTF-8'")
    if text.lstrip().startswith(("{", "[")):
        beside = path.with_suffix(".csv")
        other = f": {beside}" if beside != path and beside.is_file() else ""
        raise DatasetError(f"{path}: is JSON, and a CSV table is needed; give the one beside it{other}")
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _not_text(path: Path, content: bytes, encoding: str, error: UnicodeError, settable: bool) -> DatasetError:
    line = content[: getattr(error, "start", 0)].count(b"\n") + 1
    other = ", or name its encoding, such as --set encoding=cp1252" if settable else ""
    return DatasetError(
        f"{path}: line {line} is not {encoding.removesuffix('-sig').upper()} text; save the table as "
        f"'CSV UTF-8'{other}"
    )


def _excel_line(text: str) -> tuple[str | None, int]:
    """Return the separator of Excel's first line ``sep=;``, and how many lines it takes."""
    first = text.split("\n", 1)[0].strip(" \r").strip('"')
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


def _parsed(
    path: Path, text: str, separator: str, skipped: int
) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows that are not blank, and their lines."""
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
    while not header[-1]:
        header.pop()
    return header, rows, lines[1:]


def _fit(path: Path, row: list[str], line: int, header: list[str], separator: str, settable: bool) -> None:
    """Cut empty cells beyond the header, which spreadsheets like to write; refuse any other length."""
    width = len(header)
    if len(row) > width and not any(row[width:]):
        del row[width:]
        return
    if width == 1:
        first = header[0] if len(header[0]) <= _LONG_HEADER else header[0][:_LONG_HEADER] + " ..."
        remedy = f"the first line must name the columns, and it is '{first}'; remove lines above the header"
    else:
        remedy = "quote cells that hold the separator" if len(row) > width else "complete the row"
    name = next((word for word, mark in DELIMITERS.items() if mark == separator), repr(separator))
    other = f", or name another one with --set delimiter={'|'.join(DELIMITERS)}" if settable else ""
    raise DatasetError(
        f"{path}: line {line} has {len(row)} cells, the header has {width} (separated by {name}); "
        f"{remedy}{other}"
    )
