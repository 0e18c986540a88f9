"""Every setting of a configuration with its type, its value and what it means, for people to look up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from comoto import components
from comoto.config.models import TrainConfig
from comoto.config.yaml_text import dump_yaml

_TABLES = {
    "detector.kind": "detector",
    "distill.kind": "distiller",
    "inference.aggregation.kind": "aggregator",
}
_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    NoneType: "null",
}
_LIMITS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "below",
    "multiple_of": "a multiple of",
}
"""By the attribute of the class in ``annotated_types``."""
_OWN = ("detector", "distill")
"""Sections whose keys depend on their kind."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: dotted, as ``--set`` takes it.
        values: what it may be, in words.
        value: what it is, as YAML.
        meaning: what the model's documentation says.
    """

    key: str
    values: str
    value: str
    meaning: str


def list_settings(config: BaseModel, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a configuration, sections in their order.

    Args:
        config: whose values are shown.
        prefix: of the keys, such as ``detector.``.
    """
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from list_settings(value, f"{prefix}{name}.")
        else:
            yield _setting(type(config), prefix + name, field, value)
            yield from _optional_section(field, f"{prefix}{name}.")


def settings_page() -> str:
    """Return ``docs/settings.md``: all settings of training with the values that hold without a preset."""
    config = TrainConfig()
    common = [each for each in list_settings(config) if each.key.partition(".")[0] not in _OWN]
    lines = [
        "# Settings",
        "",
        "Every setting of `comoto train`, as `--set key=value`, a preset or a study takes it, with the value "
        "that holds where a preset says nothing. `comoto config show small` prints a preset, `comoto config "
        "keys small` this list with the preset's values. What the method does with them: "
        "[method.md](method.md).",
        "",
        "This page is made by `comoto config keys --markdown`.",
    ]
    heads = list(dict.fromkeys(each.key.partition(".")[0] for each in common if "." in each.key))
    lines += _table("The run as a whole", [each for each in common if "." not in each.key])
    for head in heads:
        lines += _table(f"`{head}`", [each for each in common if each.key.startswith(f"{head}.")])
    for section, table in (("detector", "detector"), ("distill", "distiller")):
        for kind in components.TABLES[table]:
            chosen = components.settings_class(table, kind).model_validate({"kind": kind})
            lines += _table(f"`{section}.kind={kind}`", list(list_settings(chosen, f"{section}.")))
    return "\n".join([*lines, ""])


def _table(title: str, settings: list[Setting]) -> list[str]:
    rows = [
        f"| `{each.key}` | {_cell(each.values)} | `{_cell(each.value)}` | {_cell(each.meaning)} |"
        for each in settings
    ]
    return ["", f"## {title}", "", "| key | may be | is | meaning |", "|---|---|---|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def _setting(model: type[BaseModel], key: str, field: FieldInfo, value: Any) -> Setting:
    if key in _TABLES:
        names = components.TABLES[_TABLES[key]]
        values = f"{', '.join(names)}, or module:Class of your own"
    else:
        values = _in_words(field.annotation, field.metadata)
    return Setting(key, values, _as_yaml(value), _meaning(model, key.rpartition(".")[2]))


def _optional_section(field: FieldInfo, prefix: str) -> Iterator[Setting]:
    """Yield the settings of a section that may be null and is, with the values that it would have."""
    for kind in get_args(field.annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, inner in kind.model_fields.items():
                value = None if inner.default is PydanticUndefined else inner.default
                yield _setting(kind, prefix + name, inner, value)


def _meaning(model: type[BaseModel], name: str) -> str:
    """Return a field's documentation; one that a component defines anew keeps that of its base."""
    for each in model.__mro__:
        found = each.model_fields.get(name) if issubclass(each, BaseModel) else None
        if found is not None and found.description:
            return re.sub(r"\s+", " ", found.description)
    return "Which one." if name == "kind" else ""


def _as_yaml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_yaml, value))}]"
    plain = str(value) if isinstance(value, Path) else value
    return dump_yaml(plain).removesuffix("\n").removesuffix("\n...")


def _in_words(annotation: Any, metadata: Any = ()) -> str:
    """Return a type and its limits in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _in_words(inner[0], [each for more in inner[1:] for each in getattr(more, "metadata", [more])])
    if origin is Literal:
        return " or ".join(
            [", ".join(map(str, inner[:-1])), str(inner[-1])] if inner[1:] else map(str, inner)
        )
    if origin in (Union, UnionType):
        return " or ".join(_in_words(each) for each in inner)
    if origin is not None and issubclass(origin, Mapping):
        return "pairs such as a:b, several with commas"
    if origin is tuple:
        several = len(inner) == 2 and inner[1] is Ellipsis
        return (
            f"list of: {_in_words(inner[0])}" if several else f"list of {len(inner)}: {_in_words(inner[0])}"
        )
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return ", ".join([_NAMES.get(annotation, str(annotation)), *_limits(metadata)])


def _limits(metadata: Any) -> list[str]:
    return [
        f"{words} {getattr(limit, name)}"
        for limit in metadata
        for name, words in _LIMITS.items()
        if hasattr(limit, name)
    ]
