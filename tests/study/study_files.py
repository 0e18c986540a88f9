"""Study files for the tests, and what a run leaves, made by hand."""

from pathlib import Path
from typing import Any

import yaml

from comoto.study.config import StudyConfig
from tiny_exams import TINY

SHORT = [
    *(one for one in TINY if not one.startswith(("schedule.", "selection.", "threads"))),
    "schedule.epochs=1",
]
"""The tiny exams' settings with a schedule of one epoch; the study sets the rest itself."""


def study_content(stores: Path, **changes: Any) -> dict[str, Any]:
    """Two arms x two fractions x two seeds on the tiny exams, as a study file holds them."""
    content: dict[str, Any] = {
        "name": "tiny",
        "preset": "demo",
        "settings": [*SHORT, "schedule.steps_per_epoch=2"],
        "data": {"mammograms": str(stores / "vindr-mammo"), "tomosynthesis": str(stores / "bcs-dbt")},
        "fractions": [0.5, 1.0],
        "seeds": [0, 1],
        "min_hit_radius": 5.3,
        "bootstrap": 50,
        "arms": {"pretraining": {"impa": False}, "scratch": {"impa": "none", "settings": ["init=scratch"]}},
    }
    return content | changes


def study_of(stores: Path = Path("/stores"), **changes: Any) -> StudyConfig:
    """The same as a checked configuration; the stores need not exist."""
    return StudyConfig.model_validate(study_content(stores, **changes))


def write_study(path: Path, content: dict[str, Any]) -> Path:
    """Write a study file."""
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
