"""CSV files as rows of text with the line of each row, so that every complaint can name file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from comoto.errors import DatasetError

_MOST_LINES = 6


@dataclass(frozen=True)
class CsvRows:
    """One CSV file.

    Attributes:
        header: names of the columns, without surrounding blanks.
        rows: the rows that are not blank, each with as many cells as the header.
        lines: the line on which each row ends; the header is line 1.
    """

    header: list[str]
    rows: list[list[str]]
    lines: list[int]


def read_csv_rows(path: Path, delimiter: str = ",") -> CsvRows:
    """Read a CSV file in UTF-8 with a header line; a byte order mark is accepted.

    Args:
        path: the file.
        delimiter: what separates cells.

    Raises:
        DatasetError: the file cannot be read, is no CSV in UTF-8, is empty, or a row has more or fewer cells
            than the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise DatasetError(f"{path}: cannot be read: {reason}; check the path") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 text; export it as CSV in UTF-8") from error
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DatasetError(
            f"{path}: line {reader.line_num} is not CSV ({error}); correct it, or export the table again"
        ) from error
    if not any(header):
        raise DatasetError(f"{path}: is empty; a line with the column names is needed, even without rows")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise DatasetError(
                f"{path}: line {line} has {len(row)} cells, the header has {len(header)}; "
                f"separate cells with '{delimiter}' and quote texts that hold one"
            )
    return CsvRows(header, rows, lines)


def lines_text(lines: Iterable[int], word: str = "line") -> str:
    """Say which lines, the first few of them: ``lines 12, 40, 77 and 9 more``."""
    numbers = [str(line) for line in lines]
    more = f" and {len(numbers) - _MOST_LINES} more" if len(numbers) > _MOST_LINES else ""
    return f"{word}{'s' if len(numbers) > 1 else ''} {', '.join(numbers[:_MOST_LINES])}{more}"
