"""The table of a study on detections made by hand, with means worked out by hand."""

import base64
import math
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from study_files import hand_made_study

from comoto.checksums import file_sha256
from comoto.cli.main import run
from comoto.config import override
from comoto.errors import ConfigError, DatasetError
from comoto.evaluation.depth import CAUTION
from comoto.study.config import saved_study
from comoto.study.grid import build_grid
from comoto.study.kept import add_tables
from comoto.study.power_note import independent_pairs, power_lines
from comoto.study.results import read_results
from comoto.study.rules import compare_rules
from comoto.study.table import MEAN, comparisons, frame, markdown, summarise

ONE = {"fractions": [1.0], "seeds": [0, 1]}


def keys(variant: str, lesions: dict[tuple[int, int], list[int]]) -> dict:
    return {
        ("standard", 1.0, variant, seed, repetition): found for (seed, repetition), found in lesions.items()
    }


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    """Run ``comoto study`` and expect success."""
    monkeypatch.setattr(sys, "argv", ["comoto", "study", *map(str, words)])
    with pytest.raises(SystemExit) as leaving:
        run()
    assert leaving.value.code == 0


def test_means_spread_and_differences_worked_out_by_hand(tmp_path: Path) -> None:
    found = keys("pretraining", {(0, 0): [0], (1, 0): [0, 1]}) | keys(
        "scratch", {(0, 0): [0, 1, 2], (1, 0): [0, 1]}
    )
    results = read_results(hand_made_study(tmp_path / "study", found, **ONE))
    reference, scratch = summarise(results)
    assert (reference.variant, reference.runs, reference.planned) == ("pretraining", 2, 2)
    # without false positives the sensitivity is the same at every rate: 1/4 and 2/4, 3/4 and 2/4
    assert reference.mean[MEAN] == pytest.approx(0.375)
    assert reference.sd[MEAN] == pytest.approx(0.25 / math.sqrt(2))
    assert scratch.mean["sensitivity_at_1_fps_positive"] == pytest.approx(0.625)
    assert scratch.mean["sensitivity_at_2_fps_all"] == pytest.approx(0.625)
    assert reference.comparison is None
    assert scratch.comparison is not None
    assert scratch.comparison.value == pytest.approx(0.25)
    assert scratch.comparison.run_values == ((0.5,), (0.0,))
    assert not scratch.comparison.excludes_zero  # drawing seed 1 twice gives 0


def test_a_difference_that_is_the_same_in_every_draw_excludes_zero(tmp_path: Path) -> None:
    found = keys("pretraining", {(0, 0): [], (1, 0): []}) | keys(
        "scratch", {(0, 0): [0, 1, 2, 3], (1, 0): [0, 1, 2, 3]}
    )
    results = read_results(hand_made_study(tmp_path / "study", found, **ONE))
    rows = summarise(results)
    comparison = rows[1].comparison
    assert comparison is not None
    assert (comparison.value, comparison.interval.low, comparison.interval.high) == (1.0, 1.0, 1.0)
    assert comparison.excludes_zero
    text = markdown(results, rows)
    assert (
        "| standard | 100 % | scratch | 2 | 1.000 ± 0.000 | 1.000 ± 0.000 | **+1.000 [+1.000, +1.000]** |"
        in text
    )
    assert "1 comparisons were made, and 1 of their intervals exclude 0 (bold)" in text
    assert "give about 0.1." in text  # 5 % of one comparison, rounded
    assert "4 lesions, 4 test volumes of 4 patients" in text
    assert "With 2 seeds the intervals can be too narrow: draws of them show 1/2 of the variance" in text


def test_only_runs_that_both_arms_have_are_compared(tmp_path: Path) -> None:
    found = keys("pretraining", {(0, 0): [0], (0, 1): [0, 1, 2, 3], (1, 0): [0]})
    found |= keys("scratch", {(0, 0): [0, 1], (1, 0): [0, 1], (1, 1): []})
    study = hand_made_study(tmp_path / "study", found, repetitions=2, **ONE)
    results = read_results(study)
    reference, scratch = summarise(results)
    assert reference.mean[MEAN] == pytest.approx((0.25 + 1 + 0.25) / 3)
    assert scratch.mean[MEAN] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert scratch.comparison is not None
    assert scratch.comparison.runs == 2  # (0, 0) and (1, 0)
    assert scratch.comparison.value == pytest.approx(0.25)  # and not the difference of the two means
    text = markdown(results, (reference, scratch))
    assert "| 3 of 4 |" in text
    assert "2 runs are missing" in text


def test_the_csv_holds_unrounded_numbers_of_every_row(tmp_path: Path) -> None:
    found = keys("pretraining", {(0, 0): [0, 1, 2]})
    rows = summarise(read_results(hand_made_study(tmp_path / "study", found, **ONE)))
    table = frame(rows)
    assert list(table["variant"]) == ["pretraining", "scratch"]
    assert list(table["runs"]) == [1, 0]
    assert table[MEAN][0] == pytest.approx(0.75)
    flags = ["excludes_zero", "regime_excludes_zero"]
    assert table.drop(columns=flags).iloc[1].isna().sum() == 20  # nothing is known of scratch
    assert pd.isna(table[f"{MEAN}_sd"][0])  # one run has no spread


def test_a_row_of_the_table_may_share_its_run_with_another(tmp_path: Path) -> None:
    regimes = {"one": [], "other": []}
    found = {
        ("one", 1.0, variant, seed, 0): [seed] for variant in ("pretraining", "scratch") for seed in (0, 1)
    }
    rows = summarise(read_results(hand_made_study(tmp_path / "study", found, regimes=regimes, **ONE)))
    assert [(row.regime, row.runs) for row in rows] == [("one", 2), ("one", 2), ("other", 2), ("other", 2)]
    # scratch minus pretraining in each regime; a run minus itself is no comparison
    assert [row.between for row in rows] == [None] * 4
    assert len(comparisons(rows)) == 2


def test_a_regime_is_compared_with_the_first_on_the_same_variant(tmp_path: Path) -> None:
    regimes = {"paper": [], "strong": ["batch.size=2"]}
    found = {
        ("paper", 1.0, variant, seed, 0): [0] for variant in ("pretraining", "scratch") for seed in (0, 1)
    }
    found |= {("strong", 1.0, "pretraining", seed, 0): [0, 1, 2] for seed in (0, 1)}
    found |= {("strong", 1.0, "scratch", seed, 0): [0, 1] for seed in (0, 1)}
    results = read_results(hand_made_study(tmp_path / "study", found, regimes=regimes, **ONE))
    rows = summarise(results)
    assert [row.between is None for row in rows] == [True, True, False, False]
    assert [row.between.value for row in rows if row.between] == [pytest.approx(0.5), pytest.approx(0.25)]
    assert rows[3].comparison is not None
    assert rows[3].comparison.value == pytest.approx(-0.25)  # within its own regime
    assert markdown(results, rows).count("| minus paper |") == 1
    assert markdown(results, rows).count(CAUTION) == 1


def test_another_reference_and_another_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = keys("pretraining", {(0, 0): [0], (1, 0): [0]}) | keys("scratch", {(0, 0): [], (1, 0): []})
    changes = {**ONE, "rules": {"tracks": ["inference.aggregation.kind=tracks"]}}
    folder = hand_made_study(tmp_path / "study", found, **changes)
    for path in folder.rglob("predictions.csv"):
        both = pd.concat([pd.read_csv(other) for other in folder.rglob("predictions.csv")])
        tracks = path.with_name("predictions-tracks.csv")
        both.to_csv(tracks, index=False)
        add_tables(path.parent, {tracks.name: file_sha256(tracks)})
    turned = summarise(read_results(folder, reference="scratch"))
    assert turned[0].comparison is not None
    assert turned[0].comparison.value == pytest.approx(0.25)
    under_tracks = read_results(folder, rule="tracks")
    assert [row.mean[MEAN] for row in summarise(under_tracks)] == [pytest.approx(0.25)] * 2
    rows, against = compare_rules(folder)
    assert rows[1].means == {"own": 0.0, "tracks": pytest.approx(0.25)}
    assert against["tracks"].value == pytest.approx(0.0)  # of the reference variant
    call(monkeypatch, "rules", folder)
    assert (
        "| standard | 100 % | scratch | 0.000 ± 0.000 | 0.250 ± 0.000 |" in (folder / "rules.md").read_text()
    )
    said = (folder / "rules.md").read_text(encoding="utf-8")
    assert "own: the students' own (box_fusion). Further rules: tracks (kind=tracks)." in said
    assert said.count(CAUTION) == 1
    assert (
        "tracks minus own, variant pretraining, regime standard, 100 % of the patients, 2 runs: 0.000 ["
        in said
    )
    call(monkeypatch, "table", folder, "--rule", "tracks")
    assert "Slice-to-volume aggregation: tracks (kind=tracks)." in (folder / "table-tracks.md").read_text()
    assert "tracks (kind=tracks)" in (folder / "report-tracks.html").read_text(encoding="utf-8")
    next(folder.rglob("predictions-tracks.csv")).unlink()
    with pytest.raises(DatasetError, match=r"no predictions under the rule tracks.*'comoto study run' with"):
        read_results(folder, rule="tracks")
    with pytest.raises(ConfigError, match=r"--rule track: .*did you mean 'tracks'"):
        read_results(folder, rule="track")
    with pytest.raises(ConfigError, match=r"--reference scrtch: .*did you mean 'scratch'"):
        read_results(folder, reference="scrtch")


def test_what_is_no_study_or_has_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no study\.yaml; give the --out of 'comoto study run'"):
        read_results(tmp_path)
    with pytest.raises(DatasetError, match="no student is complete yet"):
        read_results(hand_made_study(tmp_path / "study", {}, **ONE))


def test_runs_of_other_settings_are_not_taken_for_those_of_the_study(tmp_path: Path) -> None:
    """As after an update of the package whose presets have changed."""
    folder = hand_made_study(tmp_path / "study", keys("scratch", {(0, 0): [0]}), **ONE)
    run = next(each for each in build_grid(saved_study(folder), folder).students if "scratch" in each.name)
    (folder / run.name / "run").mkdir()
    config = folder / run.name / "run" / "config.yaml"
    config.write_text(yaml.safe_dump(run.config.model_dump(mode="json")), encoding="utf-8")
    assert read_results(folder).runs["standard", 1.0, "scratch"]
    earlier = override(run.config, ["optimizer.learning_rate=0.5"])
    config.write_text(yaml.safe_dump(earlier.model_dump(mode="json")), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"optimizer.learning_rate 0.5 \(now .* student_settings of that"):
        read_results(folder)


class Page(HTMLParser):
    """Collects what a page refers to and shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.pictures += [found["src"] or ""] if tag == "img" else []
        self.links += [found["href"] or ""] if tag == "a" else []
        self.anchors.add(found.get("id") or "")
        self._in_cell = tag in ("td", "th", "strong")
        assert tag not in ("script", "link")

    def handle_data(self, data: str) -> None:
        if self._in_cell and data.strip():
            self.cells.append(data.strip())


def test_the_command_writes_tables_and_a_page_that_needs_nothing_else(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    variants = {"pretraining": {"impa": False}, "scratch": {"impa": "none", "settings": ["init=scratch"]}}
    places = [(regime, fraction) for regime in ("paper", "strong") for fraction in (0.5, 1.0)]
    found = {
        (regime, fraction, variant, seed, 0): [0, 1, 2][
            : 1 + seed + (variant == "scratch") + (fraction == 1.0)
        ]
        for regime, fraction in places
        for variant in variants
        for seed in (0, 1)
    }
    regimes = {"paper": ["batch.negative_share=0"], "strong": []}
    folder = hand_made_study(tmp_path / "study", found, regimes=regimes, variants=variants)
    monkeypatch.setattr(sys, "argv", ["comoto", "study", "table", str(folder), "--bootstrap", "40"])
    with pytest.raises(SystemExit) as leaving:
        run()
    said = capsys.readouterr().out
    assert leaving.value.code == 0
    assert "then patients, 40 times." in said
    assert "| paper | 50 % | scratch | 2 | 0.625 ± 0.177 |" in said  # 2/4 and 3/4
    assert (folder / "table.md").read_text(encoding="utf-8") in said
    assert len(pd.read_csv(folder / "table.csv")) == 8
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "no evidence that the depth of a lesion is found" in text
    page = Page(text)
    assert len(page.pictures) == 4
    for uri in page.pictures:
        kind, content = uri.split(",", 1)
        assert kind == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(base64.b64decode(content)).tag.endswith("svg")
    assert {link.removeprefix("#") for link in page.links} <= page.anchors
    assert page.cells.count("0.625 ± 0.177") == 2 * 2  # pretraining at 100 % and scratch at 50 %, two regimes


def test_the_power_of_runs_that_always_differ_alike_is_full(tmp_path: Path) -> None:
    found = keys("pretraining", {(0, 0): [], (1, 0): []}) | keys(
        "scratch", {(0, 0): [0, 1, 2, 3], (1, 0): [0, 1, 2, 3]}
    )
    results = read_results(hand_made_study(tmp_path / "study", found, **ONE))
    (line,) = power_lines(results)
    assert (line.power, line.half_width, line.runs_needed, line.volumes_needed) == (1.0, 0.0, 1, (1, 1, 1))
    assert line.cells()[:6] == ("standard", "100 %", "scratch", "2", "0.000", "± 0.000")


def test_pairs_of_one_teacher_are_not_counted_as_independent() -> None:
    assert independent_pairs([(0, 0), (0, 1), (2, 1), (2, 2)]) == [(0, 0), (2, 1)]
    assert independent_pairs([(1, 0), (1, 1)]) == [(1, 0), (1, 1)]
