"""The default configuration of the first or the second exams on a named grid."""

from __future__ import annotations

from typing import Any, Literal, overload

from comoto.components import suggest
from comoto.errors import ConfigError
from comoto.simulation.config import SIZES, SimulateConfig
from comoto.simulation.second.config import SecondConfig

EXAMS = ("first", "second")
_PLANE_MM = {"small": 1.0, "full": 1.0}
"""Planes of the second exams where those of the first are thinner: their edges are exact without."""


@overload
def sized(name: str, exams: Literal["first"] = "first", **changes: Any) -> SimulateConfig: ...
@overload
def sized(name: str, exams: Literal["second"], **changes: Any) -> SecondConfig: ...
@overload
def sized(name: str, exams: str, **changes: Any) -> SimulateConfig | SecondConfig: ...
def sized(name: str, exams: str = "first", **changes: Any) -> SimulateConfig | SecondConfig:
    """Return the default configuration on a named grid.

    Args:
        name: a key of ``SIZES``.
        exams: ``first`` or ``second``.
        changes: other fields of the configuration.

    Raises:
        ConfigError: there is no such size, or there are no such exams.
    """
    if name not in SIZES:
        raise ConfigError(f"unknown size '{name}'; {suggest(name, SIZES)}")
    if exams not in EXAMS:
        raise ConfigError(f"unknown exams '{exams}'; {suggest(exams, EXAMS)}")
    grid = SIZES[name]
    if exams == "first":
        return SimulateConfig(grid=grid, **changes)
    return SecondConfig(
        grid=grid.model_copy(update={"plane_mm": _PLANE_MM.get(name, grid.plane_mm)}), **changes
    )
