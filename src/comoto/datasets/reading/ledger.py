"""What a reader says beside its tables: notes, and what it left out, gathered while it reads, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from comoto.errors import DatasetError
from comoto.wording import first_few

_Group = Callable[[str, Sequence[str]], str]


def reason_first(reason: str, names: Sequence[str]) -> str:
    """Return a line of a reason with the names that it holds for."""
    return f"{reason}: {first_few(names, most=4)} ({len(names)} in all)"


class Ledger:
    """Lines of ``Manifest.notes`` and ``Manifest.dropped``.

    A line is final (``note``, ``drop``), or belongs to a reason that is said once with the first few of the
    names that it holds for (``note_of``, ``drop_of``); those follow the final lines, in the order in which
    their reasons came up.
    """

    def __init__(self, group: _Group = reason_first) -> None:
        """Begin without a line.

        Args:
            group: makes the line of a reason and its names.
        """
        self._group = group
        self._notes: list[str] = []
        self._dropped: list[str] = []
        self._noted: dict[str, list[str]] = {}
        self._left_out: dict[str, list[str]] = {}

    def note(self, *lines: str) -> None:
        """Remember what was changed or odd."""
        self._notes.extend(lines)

    def drop(self, *lines: str) -> None:
        """Remember what was left out, with the reason."""
        self._dropped.extend(lines)

    def note_of(self, reason: str, name: str) -> None:
        """Remember that something is odd about one of many."""
        self._noted.setdefault(reason, []).append(name)

    def drop_of(self, reason: str, name: str) -> None:
        """Remember why one of many is left out."""
        self._left_out.setdefault(reason, []).append(name)

    def left_out(self, reason: str) -> Sequence[str]:
        """Return what was left out for a reason (``drop_of``)."""
        return self._left_out.get(reason, ())

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines of ``Manifest.notes``."""
        return (*self._notes, *self._grouped(self._noted))

    @property
    def dropped(self) -> tuple[str, ...]:
        """The lines of ``Manifest.dropped``."""
        return (*self._dropped, *self._grouped(self._left_out))

    def _grouped(self, groups: dict[str, list[str]]) -> Iterable[str]:
        return (self._group(reason, names) for reason, names in groups.items())


def refuse_missing(
    where: Path,
    what: str,
    missing: Sequence[str],
    total: int,
    allowed: bool,
    *,
    way_out: str = "download them",
) -> None:
    """Refuse a data set of which images are not on disk.

    Args:
        where: folder or table that the message begins with.
        what: things that are missing, such as ``images of INbreast.csv``.
        missing: names of those that are.
        total: how many there should be.
        allowed: the user knows; then only a data set without any image is refused.
        way_out: what else the user can do.

    Raises:
        DatasetError: something is missing and that was not allowed, or all is.
    """
    if not missing or (allowed and len(missing) < total):
        return
    raise DatasetError(
        f"{where}: {len(missing)} of {total} {what} are not on disk, such as {first_few(missing)}; {way_out}"
        ", or index only those that are there with --allow-missing (Python: allow_missing=True)"
    )
