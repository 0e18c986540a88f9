"""What the public calls are given, looked at by name: a wrong type is told as a ``TypeError`` at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

AnyPath = str | PathLike[str]


def wrong_type(name: str, value: object, expected: str) -> TypeError:
    """Return the error of an argument that is of no type that is taken.

    Args:
        name: of the argument.
        value: what was given.
        expected: what is taken, for people.
    """
    return TypeError(f"{name}: expected {expected}, got {_described(value)}")


def as_path(name: str, value: object) -> Path:
    """Return a path that was given as text, ``Path``, or as what stands for a place, such as a store.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, str | PathLike) and isinstance(fspath(value), str):
        return Path(fspath(value))
    raise wrong_type(name, value, "a path (text or Path)")


def as_path_or_none(name: str, value: object) -> Path | None:
    """Return ``as_path`` of what is given; None stays None."""
    return None if value is None else as_path(name, value)


def as_paths(name: str, value: object) -> list[Path]:
    """Return paths that were given as one or as several.

    Raises:
        TypeError: one of them is none.
    """
    if isinstance(value, str | PathLike):
        return [as_path(name, value)]
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise wrong_type(name, value, "a path (text or Path) or a list of them")
    return [as_path(f"{name}[{number}]", each) for number, each in enumerate(value)]


def named_path(text: str) -> tuple[str | None, Path]:
    """Return name and path of ``NAME=PATH``; a path alone, which may have a = of its own, has no name."""
    name, mark, path = text.partition("=")
    return (name, Path(path)) if mark and not Path(text).exists() else (None, Path(text))


def as_table(name: str, value: object) -> Path | pd.DataFrame:
    """Return a table that was given as a file or as a data frame.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, str | PathLike):
        return as_path(name, value)
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return value
    raise wrong_type(name, value, "the path of a table or a data frame")


def as_settings(name: str, value: Any) -> Sequence[str]:
    """Return settings that were given as texts.

    Raises:
        TypeError: it is one text, whose letters would be taken for settings, or something else than texts.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise wrong_type(name, value, "a list of texts such as ['batch.size=4']")
    for number, each in enumerate(value):
        if not isinstance(each, str):
            raise wrong_type(f"{name}[{number}]", each, "a text such as 'batch.size=4'")
    return value


def _described(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value)
    shape = getattr(value, "shape", None)
    of = f" of shape {tuple(shape)}" if isinstance(shape, tuple) else ""
    return f"{kind.__module__}.{kind.__qualname__}{of}" if kind.__module__ != "builtins" else kind.__name__
