"""``comoto study verdict`` on detections made by hand: four patients, a lesion on slice 10 of 20 each."""

import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_files import hand_made_study, study_of

from comoto.cli.main import run
from comoto.errors import ConfigError
from comoto.study.results import read_results
from comoto.study.verdict import holm, judge

SEEDS = range(4)
FOUND = {
    **{("standard", 0.5, "pretraining", seed, 0): [0] for seed in SEEDS},
    **{("standard", 0.5, "scratch", seed, 0): [0, 1, 2, 3] for seed in SEEDS},
    **{("standard", 1.0, "pretraining", seed, 0): [0, 1] for seed in SEEDS},
    **{("standard", 1.0, "scratch", seed, 0): [0, 1] for seed in SEEDS},
}
FEW = {"variant": "scratch", "fraction": 0.5}
ALL = {"variant": "scratch", "fraction": 1.0}
BACK = {"variant": "pretraining", "fraction": 0.5, "against": "scratch"}


def made(folder: Path, found: dict[Any, list[int]] = FOUND, **changes: Any) -> Path:
    changes = {"seeds": list(SEEDS), "main": [FEW, ALL, BACK], "bootstrap": 200, **changes}
    return hand_made_study(folder, found, {1: 14, 3: 14}, reference="pretraining", **changes)


def test_p_values_are_corrected_in_their_order() -> None:
    # by hand: the smallest times 4, the next times 3, ...; none below one before it, none above 1
    assert holm([0.02, 0.001, 0.6, 0.021]) == pytest.approx([0.06, 0.004, 0.6, 0.06])
    assert holm([0.5, math.nan]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_corrections_lie_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for raw, own in zip(p_values, corrected, strict=True):
        assert raw <= own <= min(1.0, len(p_values) * raw)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [corrected[k] for k in order] == sorted(corrected)


def test_each_comparison_gets_its_word(tmp_path: Path) -> None:
    results = read_results(made(tmp_path / "study"))
    [figure] = judge(results, None).figures.values()
    more, same, less = figure
    assert (more.estimate.value, more.word) == (0.75, "better")
    assert (less.estimate.value, less.word) == (-0.75, "worse")
    assert (same.estimate.value, same.estimate.p_value, same.word) == (0.0, 1.0, "equivalent")
    # nearly every draw holds one of the patients 1 to 3, (1/4)^4 of them do not: twice the share, times three
    assert 2 / 201 <= more.estimate.p_value < 0.05
    assert more.adjusted == pytest.approx(min(1.0, 3 * more.estimate.p_value))


def test_within_a_tolerance_in_depth(tmp_path: Path) -> None:
    from comoto.study.depth_table import depth_rules

    results = read_results(made(tmp_path / "study"))
    figures = judge(results, depth_rules(results.truth, 10, 3.0, 0.4)).figures
    # lesions 1 and 3 are called 4 slices too high, 12 mm; lesion 0 and 2 are left
    assert [one.estimate.value for one in figures["depth_in_mm"]] == [0.25, 0.0, -0.25]
    assert [one.word for one in figures["depth_in_mm"]] == ["not worse", "equivalent", "not decided"]


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    found = {place: lesions for place, lesions in FOUND.items() if place[3] == 0}
    results = read_results(made(tmp_path / "study", found, seeds=[0]))
    [figure] = judge(results, None).figures.values()
    assert [one.word for one in figure] == ["not worse", "equivalent", "not decided"]


def test_no_verdict_before_the_runs_are_complete(tmp_path: Path) -> None:
    found = {
        place: lesions for place, lesions in FOUND.items() if place != ("standard", 1.0, "scratch", 3, 0)
    }
    results = read_results(made(tmp_path / "study", found))
    with pytest.raises(ConfigError, match="3 of 4 runs of 'scratch' at 100 % of the patients are complete"):
        judge(results, None)


def test_a_study_without_main_comparisons_is_told_how(tmp_path: Path) -> None:
    results = read_results(made(tmp_path / "study", main=[]))
    with pytest.raises(ConfigError, match=r"main: \[\{variant: scratch, fraction: 0.5\}\]"):
        judge(results, None)


def test_the_command_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "study")
    monkeypatch.setattr(sys, "argv", ["comoto", "study", "verdict", str(folder), "--slice-mm", "3"])
    with pytest.raises(SystemExit) as leaving:
        run()
    assert leaving.value.code == 0
    text = (folder / "verdict.md").read_text(encoding="utf-8")
    assert "| patients | comparison | pairs | challenge | p, Holm | verdict | within 10 mm in depth |" in text
    assert "| 50 % | scratch minus pretraining | 4 | +0.750 [" in text
    table = pd.read_csv(folder / "verdict.csv")
    assert table["figure"].tolist() == ["challenge"] * 3 + ["depth_in_mm"] * 3
    assert table["verdict"].tolist()[:3] == ["better", "equivalent", "worse"]


@pytest.mark.parametrize(
    ("main", "message"),
    [
        ([{"variant": "scrach", "fraction": 0.5}], "main, comparison 1: 'scrach' is no variant"),
        ([FEW, {"variant": "scratch", "fraction": 0.3}], "comparison 2: fraction of 'scratch': 0.3 is none"),
        ([{"variant": "pretraining", "fraction": 0.5}], "'pretraining' is compared with itself"),
        ([FEW, FEW], "stands twice"),
        ([{**FEW, "regime": "paper"}], "comparison 1: regime: paper is none of the study's"),
    ],
)
def test_wrong_comparisons_are_refused(main: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study_of(main=main, reference="pretraining")
