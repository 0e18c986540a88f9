"""The file of an operating point: the score from which on a detection is shown, for predictions to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comoto.checksums import read_json_object
from comoto.errors import ConfigError

FORMAT = "comoto-operating-point-1"
_AGAIN = "make it again with 'comoto evaluate --operating-point-out'"


@dataclass(frozen=True)
class KnownPoint:
    """What a prediction has to know of an operating point's file.

    Attributes:
        threshold: least score.
        wanted: for what it was chosen.
        made_by: model and settings of the predictions on which it was chosen; empty where they are unknown.
        content: of the file, without its checksum.
    """

    threshold: float
    wanted: str
    made_by: Mapping[str, Any]
    content: Mapping[str, Any]


def read_operating_point(path: Path) -> KnownPoint:
    """Read what ``OperatingPoint.to_json`` wrote.

    Raises:
        ConfigError: it is damaged, changed, or another kind of file.
        OSError: it cannot be read.
    """
    content = read_json_object(path, ConfigError, _AGAIN)
    threshold = content.get("threshold")
    value = threshold.get("value") if isinstance(threshold, dict) else None
    made_by = content.get("made_by") or {}
    if content.get("format") != FORMAT or not isinstance(value, int | float) or not isinstance(made_by, dict):
        raise ConfigError(f"{path}: is no operating point; {_AGAIN}")
    return KnownPoint(float(value), str(content.get("wanted", "")), made_by, content)
