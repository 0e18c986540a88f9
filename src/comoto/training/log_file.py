"""``log.csv``: a row an epoch, each with the checksum of its values in the last column.

Files of former versions have no such column, and are read as they are.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from comoto.errors import CheckpointError
from comoto.output_files import atomic_write

LOG = "log.csv"
_CHECKSUM = "checksum"
_DIGITS = 16
_WAY_OUT = "remove it to go on without the rows of earlier epochs; the weights do not depend on it"


def write_log(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the rows, each with an ``epoch``; they may have different keys."""
    texts = [{key: _text(key, value) for key, value in row.items()} for row in rows]
    columns = [*dict.fromkeys(key for row in texts for key in row), _CHECKSUM]
    with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({**row, _CHECKSUM: _digits(row)} for row in texts)


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the rows of a ``log.csv``; a value that an epoch has not is left out.

    Raises:
        CheckpointError: a row is not what was written.
        FileNotFoundError: there is no such file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            sealed = _CHECKSUM in (reader.fieldnames or ())
            return [_numbers(dict(row), sealed) for row in reader]
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise CheckpointError(f"{path}: is damaged ({error}); {_WAY_OUT}") from error


def checked_log(path: Path, epochs: int) -> None:
    """Check that no row is missing between the first one and a finished epoch.

    Earlier rows may be missing, for a damaged log may be removed.

    Raises:
        CheckpointError: rows are missing or damaged.
    """
    if not path.is_file():
        return
    found = [int(row["epoch"]) for row in read_log(path) if row["epoch"] <= epochs]
    first = found[0] if found else 1
    if found != list(range(first, epochs + 1)):
        raise CheckpointError(f"{path}: rows are missing, {epochs} epochs are finished; {_WAY_OUT}")


def _text(key: str, value: float) -> str:
    return str(int(value)) if key == "epoch" else str(value)


def _numbers(row: dict[str, str | None], sealed: bool) -> dict[str, float]:
    given = row.pop(_CHECKSUM, None)
    values = {key: value for key, value in row.items() if value}
    if sealed and given != _digits(values):
        raise ValueError("checksum")
    numbers = {key: float(value) for key, value in values.items()}
    if "epoch" not in numbers:
        raise ValueError("a row without an epoch")
    return numbers


def _digits(row: Mapping[str, str]) -> str:
    text = "\n".join(f"{key}={value}" for key, value in sorted(row.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
