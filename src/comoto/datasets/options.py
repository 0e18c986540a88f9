"""Options of a reader as the command line gives them: text, checked against what is accepted."""

from __future__ import annotations

from collections.abc import Sequence

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
