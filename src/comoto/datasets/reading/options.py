"""Options of a reader as the command line gives them: text, checked against what is accepted."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from comoto.errors import ConfigError


def one_of(dataset: str, name: str, value: str, known: Sequence[str]) -> str:
    """Return the value of an option that may only be one of the known words.

    Raises:
        ConfigError: it is another one; names the accepted words.
    """
    if value not in known:
        raise ConfigError(f"{dataset}: {name}={value}: accepted are {', '.join(known)}")
    return value


def some_of(dataset: str, name: str, value: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the values of an option that is a list, as text separated by commas or as a sequence.

    Returns:
        Each value once, in the order of ``known``.

    Raises:
        ConfigError: the list is empty or a value is none of ``known``.
    """
    parts = value.split(",") if isinstance(value, str) else value
    words = [part.strip() for part in parts]
    if not words:
        raise ConfigError(f"{dataset}: {name} is empty: accepted are {', '.join(known)}")
    for word in words:
        one_of(dataset, name, word, known)
    return tuple(word for word in known if word in words)


def excluded_images(dataset: str, value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the images that the user leaves out wholly, as text separated by commas or as a sequence.

    Raises:
        ConfigError: the list is given and names none.
    """
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    words = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not words:
        raise ConfigError(f"{dataset}: exclude names no image; name them as the manifest does, with commas")
    return words


def require_known(dataset: str, excluded: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Check that every excluded image is one, and return a note about them.

    Raises:
        ConfigError: one is not; names the nearest.
    """
    names = set(known) if excluded else set()
    for word in excluded:
        if word not in names:
            near = difflib.get_close_matches(word, names, n=1, cutoff=0.8)
            hint = f" (there is a '{near[0]}')" if near else ""
            raise ConfigError(f"{dataset}: exclude={word}: no image of that name is in the tables{hint}")
    return (f"left out wholly, as asked for: {', '.join(excluded)}",) if excluded else ()


def whole_number(dataset: str, name: str, value: str | int, lowest: int) -> int:
    """Return the value of an option that is a whole number.

    Raises:
        ConfigError: it is none, or smaller than ``lowest``.
    """
    try:
        number = int(value)
    except ValueError:
        number = lowest - 1
    if number < lowest:
        raise ConfigError(f"{dataset}: {name}={value}: a whole number from {lowest} on is accepted")
    return number
