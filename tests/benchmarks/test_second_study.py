"""The second study's files: the simulator takes the frozen exams, the study builds, costs are counted."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from comoto.config import override, read_yaml
from comoto.simulation import sized
from comoto.simulation.second.cohort import plan_mammograms, plan_volumes
from comoto.study.config import load_study
from comoto.study.grid import build_grid

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = ("second_study", "second_study_cost")


@pytest.fixture
def driver() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("second_study")
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.mark.parametrize("part", ["study", "window", "controls", "paired"])
def test_exams_have_the_frozen_numbers_of_patients(driver: ModuleType, part: str) -> None:
    frozen = read_yaml(driver.FROZEN)
    settings = driver.exam_settings(driver.PARTS[part])
    films, volumes = (
        override(sized("small", "second"), [], settings[name]) for name in ("mammograms", "volumes")
    )
    assert plan_volumes(films) == []
    splits = {case.patient_id: case.split.value for case in plan_volumes(volumes)}
    counts = {name: list(splits.values()).count(name) for name in ("train", "validation", "test")}
    assert counts["train"] == frozen["volumes"]["tomosynthesis.train_patients"]
    assert counts["validation"] == frozen["volumes"]["tomosynthesis.validation_patients"]
    assert (counts["test"] > 0) is (part == "study")
    # the window has every volume as a mammogram too, the study none
    assert len(plan_mammograms(volumes)) == (0 if part == "study" else len(plan_volumes(volumes)))
    assert films.seed != volumes.seed


def test_window_and_study_have_no_seed_in_common(driver: ModuleType) -> None:
    seeds = [
        {values["seed"] for values in driver.exam_settings(driver.PARTS[part]).values()}
        for part in ("study", "window")
    ]
    assert not seeds[0] & seeds[1]


@pytest.mark.parametrize(
    ("part", "split", "students", "teachers"),
    # 9 variants of 8 runs and the two main ones of 16; 6 at 100 %, 2 at 5 and at 50 patients with 4 seeds
    [
        ("study", "test", 9 * 8 + 2 * 16 + 6 * 4 + 2 * 2 * 4, 16),
        ("window", "validation", 12, 2),
        ("controls", "validation", 26, 2),
    ],
)
def test_the_study_builds(
    driver: ModuleType, tmp_path: Path, part: str, split: str, students: int, teachers: int
) -> None:
    study = load_study(driver.study_file(tmp_path, driver.PARTS[part]))
    grid = build_grid(study, tmp_path / "study")
    assert study.data.split == split
    assert (len(grid.students), len(grid.teachers)) == (students, teachers)
    assert {run.steps for run in grid.students if run.config.data.fraction == 1.0} == {3000}
    mixed = ("joint", "recipe", "joint-anchor")
    assert all(run.config.joint.size == (8 if run.label in mixed else 0) for run in grid.students)


def test_the_main_comparisons_are_few(driver: ModuleType, tmp_path: Path) -> None:
    study = load_study(driver.study_file(tmp_path, driver.PARTS["study"]))
    assert len(study.main) == 6
    assert study.margin == 0.03
