"""Run times and memory of the demo's stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from comoto.config.models import StrictModel
from comoto.report.wording import mebibytes, seconds


class Stage(StrictModel):
    """What one step of the demo took."""

    name: str
    seconds: Annotated[float, Field(ge=0)]
    peak_mib: Annotated[float, Field(ge=0)] | None
    """Peak memory in MiB; None where it was not measured."""


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
