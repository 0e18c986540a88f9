"""Prediction files that survive an interruption.

``predictions.csv.journal`` gets one JSON line per finished image, flushed at once. The CSV and the JSON twin
are written from it when the work ends, in whatever way, and replaced as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from comoto.errors import OutputExistsError
from comoto.output_files import whole_file, write_json, write_text
from comoto.records import PREDICTION_COLUMNS, Modality, VolumeDetections

FORMAT = "comoto-predictions-1"
MAMMOGRAM_COLUMNS = ("image_id", "x1", "y1", "x2", "y2", "score")


class Journal:
    """The finished images of one prediction; a context manager that writes the files on the way out.

    Attributes:
        out: the table.
        twin: the JSON file beside it.
        failed: (path, reason) of images that could not be read.
        left_out: (path, reason) of what was not looked at.
    """

    def __init__(
        self,
        out: Path,
        made_by: dict[str, Any],
        entries: dict[str, dict[str, Any]],
        left_out: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.out = out
        self.twin = out.with_suffix(".json")
        self._path = _journal_path(out)
        self._made_by = made_by
        self._entries = entries
        self.failed: list[tuple[str, str]] = []
        self.left_out = left_out
        self._file: TextIOWrapper | None = None

    @staticmethod
    def open(out: Path, made_by: dict[str, Any], left_out: Sequence[tuple[str, str]] = ()) -> Journal:
        """Start a journal, or continue an interrupted one of the same model and settings.

        Raises:
            OutputExistsError: ``out`` is complete already, or the journal is of another model or settings.
        """
        path = _journal_path(out)
        if not path.exists():
            for existing in (out, out.with_suffix(".json")):
                if existing.exists():
                    raise OutputExistsError(f"{existing} exists; remove it or choose another --out")
            return Journal(out, made_by, {}, left_out)
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # a last line that was cut is done again
        rows = [json.loads(line) for line in lines]
        if not rows or rows[0] != made_by:
            raise OutputExistsError(
                f"{path} belongs to an interrupted prediction with another model or other settings; "
                "repeat that call, or remove the file to start afresh"
            )
        return Journal(out, made_by, {row["image_id"]: row for row in rows[1:]}, left_out)

    def __enter__(self) -> Journal:
        rows = [self._made_by, *self._entries.values()]
        write_text(self._path, "".join(json.dumps(row) + "\n" for row in rows))
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if kind is not None and self._entries and self._path.exists():
            self._write()

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, image_id: str, entry: dict[str, Any]) -> None:
        """Record a finished image, on disk before this returns."""
        if self._file is None:
            raise RuntimeError("a journal is used as a context manager")
        self._entries[image_id] = entry
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def fail(self, path: Path, reason: str) -> None:
        """Note that an image could not be read; the next call with the same journal tries it again."""
        self.failed.append((str(path), reason))

    def discard(self) -> None:
        """Leave nothing behind: no image was finished."""
        self._path.unlink()

    def finish(self) -> None:
        """Write the final files and remove the journal."""
        self._write()
        self._path.unlink()

    def _write(self) -> None:
        entries = list(self._entries.values())
        volumes = self._made_by["modality"] == Modality.TOMOSYNTHESIS.value
        table = volume_table(entries) if volumes else mammogram_table(entries)
        content = {
            "format": FORMAT,
            "made_by": self._made_by,
            "failed": [{"path": path, "reason": reason} for path, reason in self.failed],
            "left_out": [{"path": path, "reason": reason} for path, reason in self.left_out],
            "images": entries,
        }
        with whole_file(self.out) as part:
            table.to_csv(part, index=False)
            write_json(self.twin, content)


def volume_table(entries: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the challenge's table (columns ``PREDICTION_COLUMNS``) of journal entries."""
    tables = [_volume(entry).table() for entry in entries if entry["detections"]]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(PREDICTION_COLUMNS))


def mammogram_table(entries: list[dict[str, Any]]) -> pd.DataFrame:
    """Return one row a box, (x1, y1, x2, y2) in pixels of the image."""
    rows = [
        (entry["image_id"], *found["box_xyxy"], found["score"])
        for entry in entries
        for found in entry["detections"]
    ]
    return pd.DataFrame(rows, columns=list(MAMMOGRAM_COLUMNS))


def _volume(entry: dict[str, Any]) -> VolumeDetections:
    found = entry["detections"]
    return VolumeDetections(
        image_id=entry["image_id"],
        patient_id=entry["patient_id"],
        study_id=entry["study_id"],
        view_key=entry["view_key"],
        boxes_xyxy=np.asarray([one["box_xyxy"] for one in found], dtype=np.float32),
        scores=np.asarray([one["score"] for one in found], dtype=np.float32),
        first_slice=np.asarray([one["first_slice"] for one in found], dtype=np.int64),
        num_spanned=np.asarray([one["num_spanned"] for one in found], dtype=np.int64),
    )


def _journal_path(out: Path) -> Path:
    return out.with_name(out.name + ".journal")
