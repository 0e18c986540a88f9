"""Presets, YAML files, ``--set a.b=c`` overrides, and errors that name the nearest valid key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from comoto.components import suggest
from comoto.config.models import TrainConfig
from comoto.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)

PRESETS = ("demo", "small", "full", "paper")
_SECTIONS = ("common", "teacher", "student")


def load_train_config(
    preset: str | Path = "small",
    overrides: Sequence[str] = (),
    role: str = "student",
    values: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Build the configuration of a run.

    A preset has the sections ``common``, ``teacher`` and ``student``; the role's section is laid over
    ``common``, then the overrides are applied in order, then the values. A user's own file may have the same
    sections or be one flat configuration, such as the ``config.yaml`` of a run folder (whose ``teacher`` is a
    path).

    Args:
        preset: a name of ``PRESETS`` or the path of a YAML file.
        overrides: ``key.subkey=value`` texts; the value is read as YAML.
        role: ``"teacher"`` or ``"student"``.
        values: dotted key -> value that is taken as it is, such as a path: text would be read as YAML,
            in which ``a #1`` is ``a`` and ``2024-11-23`` a date.

    Raises:
        ConfigError: unknown preset, unreadable YAML, bad value, or unknown key (the nearest valid one
            is named).
    """
    content = _read_yaml(preset)
    if any(isinstance(content.get(section), dict) for section in _SECTIONS):
        _only_known(content, _SECTIONS, str(preset))
        content = _merged(content.get("common") or {}, content.get(role) or {})
    return _validated(TrainConfig, _merged(content, _merged(_together(overrides), _nested(values))))


def override(config: Model, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None) -> Model:
    """Return a configuration with some settings changed.

    Args:
        config: any configuration.
        overrides: ``key.subkey=value`` texts.
        values: dotted key -> value that is taken as it is; laid over the overrides.

    Raises:
        ConfigError: unknown key (the nearest valid one is named) or bad value.
    """
    changes = _merged(_together(overrides), _nested(values))
    return _validated(type(config), _merged(config.model_dump(mode="json"), changes))


def config_hash(config: BaseModel) -> str:
    """Return 12 hexadecimal digits that change with any setting."""
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flat_settings(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings with dotted keys, as ``--set`` takes them."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _validated(model: type[Model], content: dict[str, Any]) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(model, error, content)) from error


def _read_yaml(preset: str | Path) -> dict[str, Any]:
    if str(preset) in PRESETS:
        text = resources.files("comoto.config").joinpath(f"presets/{preset}.yaml").read_text(encoding="utf-8")
    elif Path(preset).is_file():
        text = Path(preset).read_text(encoding="utf-8")
    else:
        raise ConfigError(f"'{preset}' is neither a file nor one of the presets {', '.join(PRESETS)}")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{preset}: not readable as YAML: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{preset}: expected 'key: value' lines, found {type(content).__name__}")
    return content or {}


def _together(overrides: Sequence[str]) -> dict[str, Any]:
    """Return what all overrides say; a component's settings may stand before its kind."""
    together: dict[str, Any] = {}
    for text in overrides:
        together = _merged(together, _override(text))
    return together


def _override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: expected key.subkey=value")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value is not readable as YAML") from error
    return _under(key.strip(), nested)


def _nested(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return values with dotted keys as sections."""
    nested: dict[str, Any] = {}
    for key, value in (values or {}).items():
        nested = _merged(nested, _under(key, value))
    return nested


def _under(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay ``above`` over ``below``; a component of another kind drops the settings of the former one."""
    if "kind" in above and "kind" in below and above["kind"] != below["kind"]:
        return dict(above)
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _only_known(content: dict[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise ConfigError(f"{where}: unknown section '{key}'; {suggest(key, known)}")


def _explain(model: type[BaseModel], error: ValidationError, content: dict[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        name = ".".join(path)
        if problem["type"] == "extra_forbidden":
            lines.append(
                f"unknown configuration key '{name}'; {suggest(path[-1], _keys_beside(model, path, content))}"
            )
        else:
            lines.append(f"configuration key '{name}': {plain_problem(problem)}")
    return "; ".join(lines)


def plain_problem(problem: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, without pydantic's names of Python types.

    Args:
        problem: an entry of ``ValidationError.errors()``.
    """
    value, key = problem["input"], str(problem["loc"][-1])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("tuple_type", "list_type"):
        message = f"Input should be a list, such as [{value}]"
    elif problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        message = f"Input should be a section with keys of its own, such as {key}.KEY=VALUE"
        if key in ("distill", "detector"):
            message += f"; did you mean {key}.kind={value}?"
    return f"{message} (got {value!r})"


def _keys_beside(section: type[BaseModel], path: list[str], content: dict[str, Any]) -> list[str]:
    """Return the valid keys of the section in which ``path`` lies."""
    for part in path[:-1]:
        content = content.get(part) or {}
        chosen = {part: {"kind": content["kind"]}} if "kind" in content else {}
        value = getattr(section.model_validate(chosen), part)
        section = type(value) if value is not None else _optional(section.model_fields[part].annotation)
    return list(section.model_fields)


def _optional(annotation: Any) -> type[BaseModel]:
    """Return the model of a section that may be null, from its annotation ``Model | None``."""
    models: list[type[BaseModel]] = [each for each in get_args(annotation) if each is not type(None)]
    return models[0]
