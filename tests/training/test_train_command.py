"""``comoto train`` hands its options over as settings."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from comoto import api
from comoto.cli.train import app
from comoto.config import TrainConfig

ODD = ["runs/a #1", "2024-11-23", "null", "[a, b]", "one: two", "~", "12"]
"""Names of folders that YAML reads as something else."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the public call was given."""
    kept: dict[str, Any] = {}

    def train(out: Path, **arguments: Any) -> SimpleNamespace:
        kept.update(arguments)
        return SimpleNamespace(run=out, epoch=1, best_epoch=1, metric="m", value=0.5)

    monkeypatch.setattr(api, "train_teacher", train)
    monkeypatch.setattr(api, "train_student", train)
    return kept


@pytest.mark.parametrize("folders", [["one"], ["one", "two: of three, [odd]"]])
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_mammograms_can_be_given_several_times(told: dict[str, Any], role: str, folders: list[str]) -> None:
    options = ["--out", "run", *(part for folder in folders for part in ("--mammograms", folder))]
    more = ["--tomosynthesis", "dbt"] if role == "student" else []
    result = CliRunner().invoke(app, [role, *options, *more])
    assert result.exit_code == 0, result.output
    assert told["mammograms"] == [Path(folder) for folder in folders]
    assert told["overrides"] == ()


@pytest.mark.parametrize("name", ODD)
def test_paths_reach_the_run_as_they_were_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[TrainConfig] = []

    def run(config: TrainConfig, out: Path, **_: Any) -> SimpleNamespace:
        kept.append(config)
        return SimpleNamespace(run=out, epoch=1, best_epoch=1, metric="m", value=0.5)

    monkeypatch.setattr("comoto.training.run.train_student", run)
    monkeypatch.setattr("comoto.training.run.train_teacher", run)
    paths = ["--tomosynthesis", name, "--teacher", name, "--mammograms", name]
    for call in (["student", *paths], ["teacher", "--mammograms", name]):
        result = CliRunner().invoke(app, [*call, "--out", "run"])
        assert result.exit_code == 0, result.output
    student, teacher = kept
    assert (student.data.tomosynthesis, student.teacher) == (Path(name), Path(name))
    assert student.data.mammograms == teacher.data.mammograms == (Path(name),)


def test_a_student_without_mammograms_names_none(told: dict[str, Any]) -> None:
    result = CliRunner().invoke(app, ["student", "--tomosynthesis", "dbt", "--out", "run"])
    assert result.exit_code == 0, result.output
    assert told["mammograms"] == ()
    assert told["tomosynthesis"] == Path("dbt")
