"""What is wrong with settings, in words: the nearest valid key, the values that are allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from comoto.components import short, suggest

_CUTOFF, _SURE = 0.6, 0.8
_MOST_NAMED = 4


def explain(model: type[BaseModel], error: ValidationError, content: Mapping[str, Any]) -> str:
    """Say what is wrong with the settings of a model.

    Args:
        model: what was validated.
        error: what it raised.
        content: what it was given.
    """
    lines = []
    for problem in error.errors():
        path = _path(problem)
        name = short(".".join(path))
        if problem["type"] == "extra_forbidden":
            hint = _nearest(model, path, problem["input"], content)
            lines.append(f"unknown configuration key '{name}'; {hint}")
        elif name:
            lines.append(f"configuration key '{name}': {plain_problem(problem)}")
        else:
            lines.append(own_words(problem))
    return "; ".join(dict.fromkeys(lines))


def plain_problem(problem: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, without pydantic's names of Python types.

    Args:
        problem: an entry of ``ValidationError.errors()``.
    """
    value, key = problem["input"], str(problem["loc"][-1])
    path = ".".join(str(part) for part in problem["loc"])
    message = own_words(problem)
    if problem["type"] in ("tuple_type", "list_type"):
        message = f"Input should be a list, such as [{short(value)}]"
    elif problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        message = f"Input should be a section with keys of its own, such as {path}.KEY=VALUE"
        if key in ("distill", "detector"):
            message += f"; did you mean {key}.kind={short(value)}?"
    elif problem["type"] in ("bool_parsing", "bool_type"):
        message = "Input should be true or false"
    elif problem["type"] == "path_type":
        message = "Input should be a path, a number in quotes"
    return f"{message} (got {short(repr(value))})"


def first_problem(error: ValidationError, whole: str = "") -> str:
    """Say what is wrong first, after the place where it is.

    Args:
        error: of a file or a call that no user writes key by key.
        whole: what the place is called if it is no single one.
    """
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or whole
    return f"{where}: {own_words(problem)}" if where else own_words(problem)


def own_words(problem: Mapping[str, Any]) -> str:
    """Return what a validator said, without what pydantic puts before it."""
    return str(problem["msg"]).removeprefix("Value error, ")


def all_keys(model: type[BaseModel], content: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys of all settings, with those of the components that ``content`` chooses."""
    chosen = {
        part: {"kind": value["kind"]}
        for part, value in content.items()
        if isinstance(value, Mapping) and part in model.model_fields and "kind" in value
    }
    return _dotted(model.model_validate(chosen))


def _dotted(section: BaseModel, prefix: str = "") -> list[str]:
    keys = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            keys += _dotted(value, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def _path(problem: Mapping[str, Any]) -> list[str]:
    """Return where a problem is; pydantic names the branch of a choice of types as if it were a key."""
    parts = [str(part) for part in problem["loc"]]
    branch = len(parts) > 1 and not parts[-1].isidentifier() and not parts[-1].isdigit()
    return parts[:-1] if branch and problem["type"] != "extra_forbidden" else parts


def _nearest(model: type[BaseModel], path: list[str], value: Any, content: Mapping[str, Any]) -> str:
    """Return the settings that were probably meant, wherever they stand, else what could stand here."""
    beside, keys = _keys_beside(model, path, content), all_keys(model, content)
    prefix = "".join(f"{part}." for part in path[:-1])
    section = isinstance(value, Mapping)  # one that there is none of, such as training.epochs
    cutoff = _SURE if section else _CUTOFF
    here = [prefix + name for name in difflib.get_close_matches(path[-1], beside, n=1, cutoff=cutoff)]
    same = _of_name(keys, _last_name(value) if section else path[-1])
    found = (here or same) if prefix or section else (same or here or _like(keys, path[-1]))
    if not found:
        return suggest(path[-1], beside)
    return f"did you mean {' or '.join(repr(key) for key in found[:_MOST_NAMED])}?"


def _of_name(keys: list[str], name: str) -> list[str]:
    return [key for key in keys if key.rpartition(".")[2] == name or key.replace(".", "_") == name]


def _like(keys: list[str], name: str) -> list[str]:
    names = {key.rpartition(".")[2] for key in keys}
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=_CUTOFF)
    return _of_name(keys, near[0]) if near else []


def _last_name(section: Mapping[str, Any]) -> str:
    name = ""
    while isinstance(section, Mapping) and section:
        name, section = next(iter(section.items()))
    return name


def _keys_beside(section: type[BaseModel], path: list[str], content: Mapping[str, Any]) -> list[str]:
    """Return the valid keys of the section in which ``path`` lies."""
    for part in path[:-1]:
        content = content.get(part) or {}
        chosen = {part: {"kind": content["kind"]}} if "kind" in content else {}
        value = getattr(section.model_validate(chosen), part)
        # a section that may be null and is has the annotation Model | None
        section = type(value) if value is not None else get_args(section.model_fields[part].annotation)[0]
    return list(section.model_fields)
