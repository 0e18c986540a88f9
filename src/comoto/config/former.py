"""Settings as former versions wrote them down: whole, but without what there was not yet.

Where a run, a study or a journal of then lacks a setting, it did what the package did then, which need not be
today's default. Presets and files that people write are not read so: what they leave out is the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER_SPAN = "strong"
"""``inference.aggregation.span`` before there was such a setting."""
FORMER_DEPTH = "auto"
"""``inference.aggregation.depth``: that of the scores, for models of then have no focus head."""

FORMER_CHOICES = {
    "inference.aggregation.span": FORMER_SPAN,
    "average.teacher_shares": "[]",
    "focus.fit": "false",
}
"""What a run did before there were these settings, where a preset names them today; as ``--set`` takes it."""


def former_aggregation(content: Any) -> Any:
    """Return settings of an aggregation rule with what they meant; what is no mapping stays as it is."""
    return (
        {"span": FORMER_SPAN, "depth": FORMER_DEPTH, **content} if isinstance(content, Mapping) else content
    )


def former_inference(content: Any) -> Any:
    """Return settings of ``inference`` likewise."""
    if not (isinstance(content, Mapping) and "aggregation" in content):
        return content
    return {**content, "aggregation": former_aggregation(content["aggregation"])}


def former_settings(content: Any) -> Any:
    """Return the settings of a run likewise."""
    if not (isinstance(content, Mapping) and "inference" in content):
        return content
    return {**content, "inference": former_inference(content["inference"])}
