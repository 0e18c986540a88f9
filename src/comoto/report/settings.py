"""Settings in which runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comoto.config import TrainConfig, flat_settings

_NOT_SET = "not set"


@dataclass(frozen=True)
class Difference:
    """One setting that is not the same in all runs, and its value in each."""

    key: str
    values: tuple[str, ...]


def differences(configs: Sequence[TrainConfig]) -> tuple[Difference, ...]:
    """List the settings in which at least one of the runs differs, by their dotted key."""
    settings = [flat_settings(config.model_dump(mode="json")) for config in configs]
    missing = object()
    return tuple(
        Difference(key, tuple(_text(flat, key) for flat in settings))
        for key in dict.fromkeys(key for flat in settings for key in flat)
        if any(flat.get(key, missing) != settings[0].get(key, missing) for flat in settings)
    )


def _text(flat: Mapping[str, Any], key: str) -> str:
    return str(flat[key]) if key in flat else _NOT_SET
