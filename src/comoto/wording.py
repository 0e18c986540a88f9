"""Phrases that many messages need."""

from __future__ import annotations

from collections.abc import Iterable


def first_few(names: Iterable[object], most: int = 3, separator: str = ", ") -> str:
    """Return the first names and how many more there are.

    Args:
        names: what is listed.
        most: as many are named.
        separator: between two names.

    Example:
        >>> first_few(["a.dcm", "b.dcm", "c.dcm", "d.dcm"], most=2)
        'a.dcm, b.dcm and 2 more'
    """
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more
