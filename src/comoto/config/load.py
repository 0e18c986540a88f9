"""Presets, YAML files and ``--set a.b=c`` overrides."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from comoto.components import allow_typed, short, suggest
from comoto.config.explain import explain
from comoto.config.former import former_settings
from comoto.config.models import TrainConfig
from comoto.config.yaml_text import parse_yaml, read_yaml
from comoto.defaults import PRESET, PRESETS
from comoto.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)

_RECIPE = "recipe"
_SECTIONS = ("common", "teacher", "student", _RECIPE)
_DEEPEST_KEY = 20


def load_train_config(
    preset: str | Path = PRESET,
    overrides: Sequence[str] = (),
    role: str = "student",
    values: Mapping[str, Any] | None = None,
    *,
    typed: bool = True,
) -> TrainConfig:
    """Build the configuration of a run.

    A preset has the sections ``common``, ``teacher`` and ``student``; the role's section is laid over
    ``common``, then the overrides are applied in order, and the values. A fourth section, ``recipe``, lies
    between student and overrides where its parts belong together: in a student that starts from a teacher and
    learns volumes and mammograms. With ``joint.size=0``, ``init=scratch`` or ``data.single_images=true`` none
    of it is taken. A user's own file may have the same sections or be one flat configuration, such as the
    ``config.yaml`` of a run folder (whose ``teacher`` is a path).

    Args:
        preset: a name of ``PRESETS`` or the path of a YAML file.
        overrides: ``key.subkey=value`` texts; the value is read as YAML.
        role: ``"teacher"`` or ``"student"``.
        values: dotted key -> value that is taken as it is, such as a path: text would be read as YAML,
            in which ``a #1`` is ``a`` and ``2024`` a number.
        typed: whether the user has typed overrides and values, which then may name code outside this package
            (``comoto.components.allow_code``); what stands in a file may not.

    Raises:
        ConfigError: unknown preset, unreadable YAML, bad value, unknown key (the nearest valid one is named),
            or code outside this package that was not allowed.

    Examples:
        >>> config = load_train_config("demo", ["batch.size=4"], values={"seed": 1})
        >>> config.batch.size, config.seed, config.detector.kind
        (4, 1, 'retinanet')
    """
    content, changes = _read_yaml(preset), _changes(overrides, values, typed)
    recipe: dict[str, Any] = {}
    if any(isinstance(content.get(section), dict) for section in _SECTIONS):
        _only_sections(content, str(preset))
        recipe = (content.get(_RECIPE) or {}) if role == "student" else {}
        content = _merged(content.get("common") or {}, content.get(role) or {})
    config = _validated(TrainConfig, _merged(content, changes))
    if not (recipe and config.init == "teacher" and config.joint.size and not config.data.single_images):
        return config
    return _validated(TrainConfig, _merged(_merged(content, recipe), changes))


def load_run_config(path: Path) -> TrainConfig:
    """Read the ``config.yaml`` that a run wrote, of this version or a former one.

    Raises:
        ConfigError: as ``load_train_config``.
    """
    return _validated(TrainConfig, former_settings(_read_yaml(path)))


def override(
    config: Model,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    *,
    typed: bool = True,
) -> Model:
    """Return a configuration with some settings changed.

    Args:
        config: any configuration.
        overrides: ``key.subkey=value`` texts.
        values: dotted key -> value that is taken as it is.
        typed: as for ``load_train_config``.

    Raises:
        ConfigError: unknown key (the nearest valid one is named), bad value, or another value for the same
            key in ``overrides`` and in ``values``.
    """
    changes = _changes(overrides, values, typed)
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
            flat[f"{prefix}{key}"] = value
    return flat


def _validated(model: type[Model], content: dict[str, Any]) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(model, error, content)) from error


def _meant(preset: str | Path) -> str:
    settings = Path(preset) / "config.yaml"
    if settings.is_file():
        return f"; did you mean '{settings}', the settings of that run?"
    near = difflib.get_close_matches(str(preset).lower(), PRESETS, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _read_yaml(preset: str | Path) -> dict[str, Any]:
    if str(preset) in PRESETS:
        text = resources.files("comoto.config").joinpath(f"presets/{preset}.yaml").read_text(encoding="utf-8")
        content = parse_yaml(text, str(preset))
    elif Path(preset).is_file():
        content = read_yaml(Path(preset))
    else:
        known = ", ".join(PRESETS)
        raise ConfigError(
            f"'{short(preset)}' is neither a file nor one of the presets {known}{_meant(preset)}"
        )
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{preset}: expected 'key: value' lines, found {type(content).__name__}")
    return content or {}


def _changes(overrides: Sequence[str], values: Mapping[str, Any] | None, typed: bool) -> dict[str, Any]:
    """Return what overrides and values say; a component's settings may stand before its kind."""
    together: dict[str, Any] = {}
    for text in overrides:
        together = _merged(together, _override(text))
    _refuse_two_values(flat_settings(together), values or {})
    together = _merged(together, _nested(values))
    if typed:
        allow_typed(together)
    return together


def _refuse_two_values(overrides: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Refuse a setting that an option of its own and ``--set`` give different values."""
    for key in overrides.keys() & values.keys():
        if str(overrides[key]) != str(values[key]):
            raise ConfigError(
                f"--set {key}={short(str(overrides[key]))}: {key} is also given as "
                f"'{short(str(values[key]))}' by an option or argument of its own; give it once"
            )


def _override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or key.count(".") >= _DEEPEST_KEY:
        raise ConfigError(f"--set {short(text)}: expected key.subkey=value")
    nested = parse_yaml(value, f"--set {short(key)}")
    comment = _comment(value)
    if comment:
        raise ConfigError(
            f"--set {short(text)}: YAML takes '{short(comment)}' for a comment and leaves it out; quote the "
            f"value: --set '{short(key)}=\"{short(value.strip())}\"'"
        )
    return _under(key.strip(), nested)


def _comment(value: str) -> str:
    """Return what YAML drops at the end of a value that it can read."""
    ends = (yaml.StreamEndToken, yaml.BlockEndToken)
    last = max(token.end_mark.index for token in yaml.scan(value) if not isinstance(token, ends))
    return value[last:].strip()


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


def _only_sections(content: dict[str, Any], where: str) -> None:
    for key, section in content.items():
        if key not in _SECTIONS:
            raise ConfigError(f"{where}: unknown section '{short(key)}'; {suggest(str(key), _SECTIONS)}")
        if section is not None and not isinstance(section, dict):
            raise ConfigError(f"{where}: expected 'key: value' lines below {key}")
