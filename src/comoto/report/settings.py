"""How the result came about: settings in which the students differ, run times and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comoto.config import flat_settings
from comoto.report.demo_folder import Run, Stage
from comoto.report.wording import mebibytes, seconds

_NOT_SET = "not set"


@dataclass(frozen=True)
class Difference:
    """One setting that is not the same in all runs, and its value in each."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class StageRow:
    """One stage; ``percent`` is its share of the longest one, for the bar."""

    name: str
    seconds: str
    percent: float
    peak: str


@dataclass(frozen=True)
class StageTable:
    """All stages and their sum."""

    rows: tuple[StageRow, ...]
    total: str
    peak: str


def differences(runs: Sequence[Run]) -> tuple[Difference, ...]:
    """List the settings in which at least one of the runs differs, by their dotted key."""
    settings = [flat_settings(run.config.model_dump(mode="json")) for run in runs]
    missing = object()
    return tuple(
        Difference(key, tuple(_text(flat, key) for flat in settings))
        for key in dict.fromkeys(key for flat in settings for key in flat)
        if any(flat.get(key, missing) != settings[0].get(key, missing) for flat in settings)
    )


def stage_table(stages: Sequence[Stage]) -> StageTable:
    """Turn the measured stages into a table with bars."""
    longest = max((stage.seconds for stage in stages), default=0.0) or 1.0
    peaks = [stage.peak_mib for stage in stages if stage.peak_mib is not None]
    return StageTable(
        rows=tuple(
            StageRow(
                name=stage.name,
                seconds=seconds(stage.seconds),
                percent=round(100 * stage.seconds / longest, 1),
                peak="" if stage.peak_mib is None else mebibytes(stage.peak_mib),
            )
            for stage in stages
        ),
        total=seconds(sum(stage.seconds for stage in stages)),
        peak=mebibytes(max(peaks)) if peaks else "",
    )


def _text(flat: Mapping[str, Any], key: str) -> str:
    return str(flat[key]) if key in flat else _NOT_SET
