"""What a reader says beside its tables: notes, and what it left out, gathered while it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
