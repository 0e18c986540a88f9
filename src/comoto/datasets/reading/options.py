"""Options of readers: a typed class per data set, the one home of their values, defaults and explanation.

The class says in words, too, what the data set is.

The user gives them as text (``comoto index NAME ROOT --set option=value``) or as values (``comoto.index``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import get_annotations, signature, unwrap
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError

from comoto.components import short, suggest
from comoto.config.explain import own_words
from comoto.config.listing import Setting, list_settings
from comoto.config.models import Count, StrictModel
from comoto.errors import ConfigError

_OF_MANY = ("tables", "categories", "allow_missing")
"""Options with a switch of their own, which readers without them take off; nothing is near to them."""

_WORD_OF_CHOICE = re.compile(r"'([^']*)'")

CommercialUse = Literal["yes", "no", "by agreement", "unknown"]


@dataclass(frozen=True)
class DatasetAbout:
    """One data set in words.

    Attributes:
        name: as in ``comoto index NAME``.
        title: its full name and who made it.
        modalities: short words, such as ``DBT``, ``FFDM``, ``film`` or ``synthetic DM``.
        boxes: what marks the lesions and how many there are, in a few words: it is a column of a table.
        access: who gets it, in a few words: ``open``, ``account and agreement``, ``on request``.
        licence: as its publisher states it; ``not stated`` where none was found.
        commercial_use: what that licence says of it.
        citation: one paragraph, as the publisher asks for it.
        url: the publisher's page.
        notes: size, splits, and whatever a user should know before the download, such as a limit on
            publishing models.
        not_read: why there is no reader, and what to do instead; empty if there is one.
    """

    name: str
    title: str
    modalities: tuple[str, ...]
    boxes: str
    access: str
    licence: str
    commercial_use: CommercialUse
    citation: str
    url: str
    notes: str = ""
    not_read: str = ""


class ReaderOptions(StrictModel):
    """Base of the options of a reader; a field's documentation is what ``comoto datasets NAME`` prints.

    Attributes:
        about: what the data set is.
    """

    about: ClassVar[DatasetAbout]


class AllowMissing(ReaderOptions):
    """Options of a reader whose tables say which images there should be."""

    allow_missing: bool = False
    """Leave out images that are not on disk, and list them, instead of refusing."""


def words(value: Any) -> Any:
    """Return text with commas as its parts, each once; values that are no text as they are.

    Raises:
        PydanticCustomError: there is no part.
    """
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence | set | frozenset):
        return value
    found = tuple(dict.fromkeys(part.strip() if isinstance(part, str) else part for part in parts))
    if not any(found):
        raise PydanticCustomError("no_words", "names none")
    return tuple(part for part in found if part != "")


def lower_words(value: Any) -> Any:
    """Return ``words`` in small letters."""
    parts = words(value)
    if not isinstance(parts, tuple):
        return parts
    return tuple(part.lower() if isinstance(part, str) else part for part in parts)


Word = TypeVar("Word")
Several = Annotated[tuple[Word, ...], BeforeValidator(words)]
"""Several words, such as ``Several[Literal["mass", "calc"]]``: text with commas, or a sequence."""

LowerSeveral = Annotated[tuple[Word, ...], BeforeValidator(lower_words)]
"""The same, in small letters."""

Words = Several[str]

Processes = Count | None
"""Number of processes; None for as many as processors are usable."""

Options = TypeVar("Options", bound=ReaderOptions)


@dataclass(frozen=True)
class Option:
    """One option in words.

    Attributes:
        name: as the user writes it, with hyphens.
        values: what it may be.
        default: what it is where it is not given; empty if nothing.
        meaning: its documentation.
    """

    name: str
    values: str
    default: str
    meaning: str


def options_of(reader: Any) -> type[ReaderOptions] | None:
    """Return the class of a reader's options; None for a reader that takes them as plain arguments.

    Raises:
        ConfigError: the reader's parameter ``options`` has no such class.
    """
    if "options" not in signature(reader).parameters:
        return None
    try:
        found: Any = get_annotations(unwrap(reader), eval_str=True)["options"]
    except (KeyError, NameError) as error:
        raise ConfigError(f"{reader.__module__}: the type of 'options' is not known ({error})") from error
    if not (isinstance(found, type) and issubclass(found, ReaderOptions)):
        raise ConfigError(f"{reader.__module__}: the type of 'options' is no ReaderOptions")
    return found


def parse_options(dataset: str, kind: type[Options], given: Mapping[str, Any]) -> Options:
    """Check what the user gave.

    Args:
        dataset: for messages.
        kind: of the options.
        given: by name; text or values.

    Raises:
        ConfigError: there is no such option (the nearest one is named), or it has no such value.
    """
    require_options(dataset, given, list(kind.model_fields))
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        known = {setting.key: setting for setting in list_settings(kind.model_construct())}
        raise ConfigError(
            f"{dataset}: {'; '.join(_problem(dict(problem), known) for problem in error.errors())}"
        ) from error


def require_options(dataset: str, given: Collection[str], known: Collection[str]) -> None:
    """Check that a reader has the options that are given.

    Raises:
        ConfigError: it does not; names the nearest one.
    """
    for name in given:
        if name in known:
            continue
        word = name.replace("_", "-")
        way_out = (
            "leave it out" if name in _OF_MANY else suggest(word, [one.replace("_", "-") for one in known])
        )
        raise ConfigError(f"data set '{dataset}' takes no '{word}'; {way_out}")


def describe_options(kind: type[ReaderOptions]) -> Iterator[Option]:
    """Yield the options in the order of their class."""
    for setting in list_settings(kind.model_construct()):
        value = kind.model_fields[setting.key].default
        says_nothing = value is None or value is False or value in ((), {})
        default = "" if says_nothing else _plain(value)
        yield Option(setting.key.replace("_", "-"), _values(setting), default, setting.meaning)


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


def _values(setting: Setting) -> str:
    text = setting.values.removesuffix(" or null")
    several = text.startswith("list of: ")
    return f"{text.removeprefix('list of: ')}; several with commas" if several else text


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _problem(problem: dict[str, Any], known: Mapping[str, Setting]) -> str:
    """Say what is wrong with one option."""
    message = own_words(problem)
    if not problem["loc"]:
        return message
    key = str(problem["loc"][0])
    value = problem["input"]
    shown = short(value if isinstance(value, str | int | Path) else repr(value))
    where = f"{key.replace('_', '-')}={shown}"
    if problem["type"] == "literal_error":
        choices = _WORD_OF_CHOICE.findall(problem["ctx"]["expected"])
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"{where}: accepted are {', '.join(choices)}{hint}"
    if problem["type"] == "value_error":
        return f"{where}: {message}"
    return f"{where}: expected {_values(known[key])}"
