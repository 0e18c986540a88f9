"""``comoto study depth`` on detections made by hand: four lesions on slice 10 of 20."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_files import hand_made_study, study_content

from comoto.cli.main import run
from comoto.errors import ConfigError
from comoto.study.depth_table import CHALLENGE, depth_markdown, depth_rules, summarise_depth
from comoto.study.results import read_results

PRETRAINING = {("standard", 0.5, "pretraining", seed, 0): [0, 1] for seed in (0, 1)} | {
    ("standard", 1.0, "pretraining", seed, 0): [0, 1, 2] for seed in (0, 1)
}
SCRATCH = {("standard", 0.5, "scratch", 0, 0): [3]}
SLICES = {1: 14, 2: 19}
"""Lesion 1 is called 4 slices too high, within a quarter of the stack (5); lesion 2 is 9 too high."""


def made(folder: Path) -> Path:
    return hand_made_study(folder, PRETRAINING | SCRATCH, SLICES)


def test_levels_and_differences_by_every_rule(tmp_path: Path) -> None:
    results = read_results(made(tmp_path / "study"))
    table = summarise_depth(results, depth_rules(results.truth, 10, 3.0, 0.4))
    few, scratch, many = table.rows
    assert [row.place[1:] for row in table.rows] == [
        (0.5, "pretraining"),
        (0.5, "scratch"),
        (1.0, "pretraining"),
    ]
    assert {name: level.mean for name, level in few.levels.items()} == {
        CHALLENGE: 0.5,
        "in_plane": 0.5,
        "constant_depth": 0.5,  # slice 8 for all
        "depth_in_mm": 0.25,  # 4 slices are 12 mm
        "constant_depth_in_mm": 0.5,  # 2 slices are 6 mm
    }
    assert {name: level.mean for name, level in many.levels.items()} == {
        CHALLENGE: 0.5,
        "in_plane": 0.75,
        "constant_depth": 0.75,
        "depth_in_mm": 0.25,
        "constant_depth_in_mm": 0.75,
    }
    assert (few.median_error.mean, many.median_error.mean) == (2, 4)  # of 0, 4 and of 0, 4, 9
    assert {name: one.value for name, one in few.more_patients.items()} == {
        CHALLENGE: 0,
        "in_plane": 0.25,
        "constant_depth": 0.25,
        "depth_in_mm": 0,
        "constant_depth_in_mm": 0.25,
    }
    assert (few.constant_error.mean, many.constant_error.mean) == (2, 2)
    assert few.more_patients["in_plane"].runs == 2
    assert (many.more_patients, many.against, few.against) == ({}, {}, {})
    assert {name: one.value for name, one in scratch.against.items()} == {
        CHALLENGE: -0.25,
        "in_plane": -0.25,
        "constant_depth": -0.25,
        "depth_in_mm": 0,
        "constant_depth_in_mm": -0.25,
    }
    assert scratch.against[CHALLENGE].runs == 1  # seed 0 alone
    assert not scratch.more_patients
    assert table.free_share == 1
    # Corners are shared: the box of volume k lies within the radius of k + 1, that of the last, of 40 pixels,
    # not within that of the first, of 10. Two runs find 0 and 1, two find 2 as well, one finds the last.
    by_chance = {
        CHALLENGE: [2, 2, 2, 2, 0],
        "in_plane": [2, 2, 3, 3, 0],
        "constant_depth": [2, 2, 3, 3, 0],
        "depth_in_mm": [1, 1, 1, 1, 0],
        "constant_depth_in_mm": [2, 2, 3, 3, 0],
    }
    assert {name: level.mean for name, level in table.chance.items()} == {
        name: pytest.approx(np.mean(hits) / 4) for name, hits in by_chance.items()
    }


def test_the_ceiling_counts_lesions_over_runs(tmp_path: Path) -> None:
    results = read_results(made(tmp_path / "study"))
    found = summarise_depth(results, depth_rules(results.truth, None, None, 0.4)).ceilings
    assert list(found) == [CHALLENGE, "in_plane", "constant_depth"]
    own = found[CHALLENGE]
    # by the challenge: lesions 0 and 1 in four runs, 3 in one, 2 in none
    assert (own.num_runs, own.one, own.any_run, own.half, own.all_runs) == (5, 9 / 20, 3 / 4, 2 / 4, 0)
    assert (found["in_plane"].any_run, found["in_plane"].half) == (1, 2 / 4)


def test_the_command_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "study")
    words = ["comoto", "study", "depth", str(folder), "--slice-mm", "3", "--depth-tolerance", "13mm"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as leaving:
        run()
    assert leaving.value.code == 0
    text = (folder / "depth.md").read_text(encoding="utf-8")
    assert "| standard | 50 % | pretraining | 2 | 0.500 ± 0.000 | 0.500 ± 0.000 |" in text
    assert "| within 13 mm in depth |" in text
    assert "## 100 % of the patients minus fewer" in text
    assert "## Minus pretraining" in text
    table = pd.read_csv(folder / "depth.csv")
    assert len(table) == 3 * 5
    few = table[(table["variant"] == "pretraining") & (table["fraction"] == 0.5)].set_index("rule")
    assert few.loc["depth_in_mm", "mean"] == 0.5  # 12 mm are within 13
    assert few.loc["in_plane", "more_patients"] == 0.25


def test_without_a_distance_of_slices_there_are_no_millimetres(tmp_path: Path) -> None:
    results = read_results(made(tmp_path / "study"))
    text = depth_markdown(summarise_depth(results, depth_rules(results.truth, None, None, 0.25)))
    assert "mm in depth" not in text
    assert "every depth at 0.25 of the stack" in text


@pytest.mark.parametrize(
    ("tolerance", "slice_mm", "constant", "message"),
    [
        (10, None, 0.4, "add --slice-mm"),
        (None, -1.0, 0.4, "--slice-mm -1: expected a distance above 0"),
        (None, float("nan"), 0.4, "expected a distance above 0"),
        (None, 1.0, 3.0, "--constant-depth 3: expected a share"),
    ],
)
def test_numbers_that_cannot_be(
    tmp_path: Path, tolerance: float | None, slice_mm: float | None, constant: float, message: str
) -> None:
    truth = read_results(made(tmp_path / "study")).truth
    with pytest.raises(ConfigError, match=message):
        depth_rules(truth, tolerance, slice_mm, constant)


def test_single_images_have_no_depth(tmp_path: Path) -> None:
    settings = [*study_content(tmp_path)["settings"], "data.single_images=true"]
    folder = hand_made_study(tmp_path / "study", PRETRAINING, settings=settings)
    results = read_results(folder)
    with pytest.raises(ConfigError, match="a study of single images"):
        summarise_depth(results, depth_rules(results.truth, None, None, 0.4))
