"""The table of docs/published.md says what the preset does: every setting in it is tried."""

import re
from pathlib import Path

import pytest
import yaml

from comoto.config import flat_settings, load_train_config

PAGE = Path(__file__).parents[2] / "docs" / "published.md"
SETTING = re.compile(r"`([a-z_.]+)=([^`]+)`( \(([ts])\))?")


def rows() -> list[tuple[str, str]]:
    """Return the cells ``paper`` and ``repaired`` of the page's table."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]
    return [(row[1], row[2]) for row in cells]


def published() -> list[tuple[str, str, str]]:
    """Return (setting, value, role) of every published habit; a mark counts for the settings before it."""
    found = []
    for cell, _ in rows():
        settings = SETTING.findall(cell)
        marks = {mark for *_, mark in settings if mark}
        roles = marks if len(marks) == 1 else {"t", "s"}
        for key, value, _, mark in settings:
            for role in sorted({mark} if mark else roles):
                found.append((key, value, {"t": "teacher", "s": "student"}[role]))
    return found


def test_the_table_is_read() -> None:
    assert len(rows()) == 21
    assert len(published()) > 30


@pytest.mark.parametrize(("key", "value", "role"), published())
def test_the_preset_is_what_the_page_says(key: str, value: str, role: str) -> None:
    settings = flat_settings(load_train_config("paper", role=role).model_dump(mode="json"))
    wanted = yaml.safe_load(value)
    if isinstance(wanted, dict):
        assert {name: settings[f"{key}.{name}"] for name in wanted} == wanted
    else:
        assert settings[key] == wanted


@pytest.mark.parametrize(("key", "value", "role"), published())
def test_each_habit_can_be_switched_alone(key: str, value: str, role: str) -> None:
    """Laid over the default, the published value is accepted and is the only thing that changes."""
    base = ["distill.kind=lesion_points"] if key.startswith("distill.") else []
    before = flat_settings(load_train_config("small", base, role).model_dump(mode="json"))
    after = flat_settings(load_train_config("small", [*base, f"{key}={value}"], role).model_dump(mode="json"))
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert all(name == key or name.startswith(f"{key}.") for name in changed), changed
