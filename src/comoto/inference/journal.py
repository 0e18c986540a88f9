"""Prediction files that survive an interruption.

``predictions.csv.journal`` gets one line per finished image, flushed at once. Every line carries its own
checksum; each entry says which image it was made of, and a continued prediction takes those only that are
asked for again and are the same on the disk. The table and the JSON sidecar are written from it when the work
ends, in whatever way, and replaced as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from types import TracebackType
from typing import Any

from comoto.checksums import Damaged, seal_line, unseal_line
from comoto.config import former_inference
from comoto.errors import OutputExistsError
from comoto.inference.places import Places
from comoto.inference.tables import write_results
from comoto.output_files import naming, no_link, sweep_parts_of, write_text
from comoto.progress import say
from comoto.wording import first_few

_FORMAT = "comoto-journal-2"
_AFRESH = "remove it to start afresh"

Entry = dict[str, Any]
"""Plain values of one finished image; ``input`` says what it was made of."""


class Journal:
    """The finished images of one prediction; a context manager that writes the files on the way out.

    Attributes:
        places: the files.
        failed: (path, reason) of images that could not be read.
        left_out: (path, reason) of what was not looked at.
    """

    def __init__(
        self, places: Places, made_by: dict[str, Any], asked: str, inputs: Mapping[str, Any]
    ) -> None:
        self.places = places
        self.failed: list[tuple[str, str]] = []
        self.left_out: Sequence[tuple[str, str]] = ()
        self._made_by = made_by
        self._asked = asked
        self._inputs = inputs
        self._entries: dict[str, Entry] = {}
        self._file: TextIOWrapper | None = None

    @staticmethod
    def open(places: Places, made_by: dict[str, Any], asked: str, inputs: Mapping[str, Any]) -> Journal:
        """Start a journal, or continue an interrupted one of the same model and settings.

        The caller holds the lock of the table. Images of the journal that were replaced since are left to be
        predicted again.

        Args:
            places: the files.
            made_by: model and settings.
            asked: the inputs in the user's words.
            inputs: image_id -> plain values that say which image it is; in the order of the table.

        Raises:
            OutputExistsError: the files are complete already, or the journal is damaged, of another model or
                other settings, or holds images that are not asked for now.
        """
        journal = Journal(places, made_by, asked, inputs)
        if not places.journal.exists():
            places.refuse_existing()
            return journal
        head, entries = _read(places)
        if head is None:
            return journal
        journal._refuse_other(head, entries)
        same = {key: entry for key, entry in entries.items() if entry["input"] == inputs[key]}
        if len(same) < len(entries):
            say(f"{len(entries) - len(same)} images were replaced since; they are predicted again")
        journal._entries = same
        return journal

    def __enter__(self) -> Journal:
        for path in (*self.places.results, self.places.journal):
            sweep_parts_of(path)
        head = {"format": _FORMAT, "made_by": self._made_by, "asked": self._asked}
        lines = [seal_line(json.dumps(row)) + "\n" for row in (head, *self._in_order())]
        write_text(self.places.journal, "".join(lines))
        self._file = open(self.places.journal, "a", encoding="utf-8", newline="", opener=no_link)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            self._close()
            if kind is not None and self._entries and self.places.journal.exists():
                self._write()
        except OSError:
            if not isinstance(error, OSError):  # else the disk's first error is the one to tell
                raise

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, image_id: str, entry: Entry) -> None:
        """Record a finished image, on disk before this returns.

        Raises:
            OSError: the disk is full; ``filename`` is set.
        """
        if self._file is None:
            raise RuntimeError("a journal is used as a context manager")
        entry = {**entry, "image_id": image_id, "input": self._inputs[image_id]}
        with naming(self.places.journal):
            self._file.write(seal_line(json.dumps(entry)) + "\n")
            self._file.flush()
        self._entries[image_id] = entry

    def fail(self, path: str, reason: str) -> None:
        """Note that an image could not be read; the next call with the same journal tries it again."""
        self.failed.append((path, reason))

    def discard(self) -> None:
        """Leave nothing behind: no image was finished."""
        self._close()
        self.places.journal.unlink()

    def finish(self) -> None:
        """Write the final files and remove the journal."""
        self._close()
        self._write()
        self.places.journal.unlink()

    def _close(self) -> None:
        if self._file is not None:
            with naming(self.places.journal):
                self._file.close()

    def _in_order(self) -> list[Entry]:
        return [self._entries[key] for key in self._inputs if key in self._entries]

    def _write(self) -> None:
        entries = [{key: entry[key] for key in entry if key != "input"} for entry in self._in_order()]
        about = {
            "made_by": self._made_by,
            "failed": [{"path": path, "reason": reason} for path, reason in self.failed],
            "left_out": [{"path": path, "reason": reason} for path, reason in self.left_out],
        }
        write_results(self.places, about, entries)

    def _refuse_other(self, head: dict[str, Any], entries: dict[str, Entry]) -> None:
        path = self.places.journal
        made_by = head["made_by"]
        if "inference" in made_by:
            made_by = {**made_by, "inference": former_inference(made_by["inference"])}
        if made_by != self._made_by:
            raise OutputExistsError(
                f"{path} belongs to an interrupted prediction with another model or other settings; "
                f"repeat that call, choose another --out, or {_AFRESH}"
            )
        strange = [key for key in entries if key not in self._inputs]
        if strange:
            raise OutputExistsError(
                f"{path} belongs to an interrupted prediction on other inputs ({head['asked']}): it holds "
                f"{first_few(strange, most=1)}, not asked for now; repeat that call, choose another --out, "
                f"or {_AFRESH}"
            )


def _read(places: Places) -> tuple[dict[str, Any] | None, dict[str, Entry]]:
    """Return the first line of a journal, None if it was not reached, and its entries by image."""
    path = places.journal
    # what follows the last line end was cut by the end of the process, and is done again
    lines = path.read_bytes().split(b"\n")[:-1]
    if lines and lines[0].startswith(b"{"):
        raise OutputExistsError(
            f"{path}: a former version wrote it and did not note its inputs, so it cannot be continued; "
            f"{_AFRESH}"
        )
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(unseal_line(line.decode("ascii"))))
        except (UnicodeDecodeError, Damaged) as error:
            raise OutputExistsError(
                f"{path}: line {number} is damaged (checksum); {_AFRESH}: its images are predicted again"
            ) from error
    if not rows:
        return None, {}
    if rows[0].get("format") != _FORMAT:
        raise OutputExistsError(f"{path}: was written by another version; {_AFRESH}")
    return rows[0], {row["image_id"]: row for row in rows[1:]}
