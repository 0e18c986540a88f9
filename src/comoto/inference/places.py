"""The files that a prediction writes, and what may not be in their way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from comoto.errors import OutputExistsError
from comoto.output_files import folder_above


@dataclass(frozen=True)
class Places:
    """Where a prediction writes.

    Attributes:
        table: the CSV.
        sidecar: the JSON file beside it.
        journal: the finished images while the work goes on.
        safe: a copy of the table for spreadsheets; None if it is not wanted.
    """

    table: Path
    sidecar: Path
    journal: Path
    safe: Path | None

    @staticmethod
    def of(out: Path, *, safe_csv: bool = False) -> Places:
        """Return the files of a table.

        Raises:
            OutputExistsError: ``out`` is a folder, lies below a file, or has the name of its sidecar.
        """
        if out.is_dir():
            raise OutputExistsError(
                f"{out}: is a folder; name a file in it, such as {out / 'predictions.csv'}"
            )
        if out.suffix.lower() == ".json":
            raise OutputExistsError(
                f"{out}: the table (CSV) and its JSON sidecar would be one file; name it such as "
                f"{out.with_suffix('.csv')}"
            )
        folder_above(out)
        return Places(
            out,
            out.with_suffix(".json"),
            out.with_name(out.name + ".journal"),
            out.with_suffix(".safe.csv") if safe_csv else None,
        )

    @property
    def results(self) -> tuple[Path, ...]:
        """What is there at the end."""
        return (self.table, self.sidecar) if self.safe is None else (self.table, self.sidecar, self.safe)

    def refuse_existing(self) -> None:
        """Check that no finished file is there.

        Raises:
            OutputExistsError: one is.
        """
        for path in self.results:
            if os.path.lexists(path):
                raise OutputExistsError(f"{path} exists; choose another --out, or move it away")
