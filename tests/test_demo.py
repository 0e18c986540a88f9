"""The demo at its smallest: every stage, every promised file, and what an interruption leaves."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from comoto import demo
from comoto.demo import DemoConfig, hit_radius, run_demo, seconds_left
from comoto.errors import OutputExistsError
from comoto.locks import hold, lock_of
from comoto.report import demo_folder
from comoto.report.demo_summary import demo_summary
from tiny_exams import TINY

ROOT = Path(__file__).parents[1]
SMALLEST = DemoConfig(
    size="tiny",
    mammograms=10,
    train=6,
    validation=3,
    test=4,
    fraction=0.5,
    bootstrap=20,
    workers=1,
    settings=(*(each for each in TINY if "min_hit_radius" not in each), "schedule.epochs=1"),
)


@pytest.mark.slow
def test_every_stage_leaves_its_files_and_an_interruption_costs_one_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    real = demo.api.predict

    def cut(*args, **keys):  # type: ignore[no-untyped-def]
        if "fine-tuned" in str(args[0]):
            raise KeyboardInterrupt
        return real(*args, **keys)

    monkeypatch.setattr(demo.api, "predict", cut)
    with pytest.raises(KeyboardInterrupt):
        run_demo(out, SMALLEST)
    monkeypatch.setattr(demo.api, "predict", real)
    finished = [stage["name"] for stage in json.loads((out / "demo.json").read_text())["stages"]]
    assert finished[0] == "simulate"
    assert finished[-1] == "train fine-tuned"

    with pytest.raises(OutputExistsError, match="other settings"):
        run_demo(out, DemoConfig(size="tiny", seed=1))
    monkeypatch.setattr(demo, "simulate", None)  # finished stages are not repeated
    told.readouterr()
    report = run_demo(out, SMALLEST, "comoto demo")
    said = told.readouterr().err.splitlines()
    assert said[0] == "== stage 1 of 20: simulate: finished earlier"
    headings = [line for line in said if line.startswith("== ") and "earlier" not in line]
    assert len(headings) == 20 - len(finished)
    for number, line in enumerate(headings, start=len(finished) + 1):
        assert re.fullmatch(rf"== stage {number} of 20, about [0-9a-z ]+ left: [a-z -]+", line)
    check_summary(demo_summary(out, report), out)

    page = report.read_text(encoding="utf-8")
    assert "not a medical device" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script src" not in page
    content = json.loads((out / "demo.json").read_text())
    stages = {stage["name"]: stage for stage in content["stages"]}
    each = {f"{verb} {name}" for verb in ("train", "predict", "evaluate") for name in demo.STUDENTS}
    assert {"simulate", "train teacher", "report"} | each <= set(stages)
    assert all(stage["peak_mib"] > 50 for stage in stages.values())
    for name in demo.STUDENTS:
        result = json.loads((out / "evaluation" / f"{name}.json").read_text())
        assert 0 <= result["mean_sensitivity_positive"] <= 1
        assert result["min_radius"] == hit_radius(SMALLEST)
        assert result["bootstrap"]["replicates"] == 20
    patients = {name: json.loads((out / "runs" / name / "split.json").read_text()) for name in demo.STUDENTS}
    volumes = [seen["tomosynthesis/train"] for seen in patients.values()]
    assert len(volumes) == 4
    assert all(seen == volumes[0] for seen in volumes)
    assert "mammograms/train" not in patients["fine-tuned"]
    assert "mammograms/train" not in patients["scratch"]
    assert len(patients["joint-training"]["mammograms/train"]) > 0


def check_summary(said: str, out: Path) -> None:
    """A row for each student with its figure; the report, the depth, and the next step."""
    for name, title in demo_folder.STUDENTS.items():
        mean = json.loads((out / "evaluation" / f"{name}.json").read_text())["mean_sensitivity_positive"]
        assert re.search(rf"^  {re.escape(title)} +{mean:.2f} ", said, flags=re.MULTILINE)
    assert str(out / "report.html") in said
    assert "say nothing about depth" in said
    assert f"comoto predict --model {out / 'runs' / 'joint-training'} --out boxes.csv FOLDER" in said
    assert (ROOT / "docs/first-day.md").is_file()
    assert "docs/first-day.md" in said


def test_nothing_is_estimated_before_the_first_stage_is_done() -> None:
    names = ["simulate", "train teacher", "predict comoto"]
    assert seconds_left({}, names) is None
    # twice the usual 90 s: twice the usual 47 + 9 s are left
    assert seconds_left({"simulate": 180.0}, names) == pytest.approx(112.0)
    assert seconds_left(dict.fromkeys(names, 1.0), names) == 0.0


def test_make_says_what_an_installation_costs_before_it_starts(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python").write_text('#!/bin/sh\ncase "$*" in *venv*) echo "installs now"; exit 1;; esac\n')
    (tmp_path / "python").chmod(0o755)
    for goal, demo_told in (("demo", True), ("test", False)):
        done = subprocess.run(
            ["make", "-C", tmp_path, goal, f"PYTHON={tmp_path / 'python'}"], capture_output=True, text=True
        )
        before, ran, _ = done.stdout.partition("installs now")
        assert ran
        assert "3.3 GB to download" in before
        assert ("5 to 9 minutes" in before) is demo_told


def test_the_report_has_a_title_for_every_student_and_the_reference_first() -> None:
    assert list(demo_folder.STUDENTS) == list(demo.STUDENTS)
    assert next(iter(demo.STUDENTS)) == "fine-tuned"


def test_a_demo_with_other_students_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_simulate", cut)
    monkeypatch.setattr(demo, "STUDENTS", {"fine-tuned": ["distill.kind=none"]})
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "demo", SMALLEST)
    monkeypatch.undo()
    with pytest.raises(OutputExistsError, match="other settings or students; choose another --out"):
        run_demo(tmp_path / "demo", SMALLEST)


def test_two_demos_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    with (
        hold(lock_of(tmp_path / "demo"), "busy"),
        pytest.raises(OutputExistsError, match="another 'comoto demo' is at work here"),
    ):
        run_demo(tmp_path / "demo", SMALLEST)


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="no demo folder"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_hit_radius_is_the_challenges_in_millimetres() -> None:
    assert hit_radius(DemoConfig(size="demo")) == pytest.approx(8.5 / 0.8, abs=0.01)
    assert hit_radius(DemoConfig(size="full")) == pytest.approx(100.0)


@pytest.mark.slow
def test_peak_memory_sees_what_is_gone_again() -> None:
    """In a process of its own: children of other tests count too, and end when they like."""
    code = """
import time
import numpy as np
from comoto.demo import peak_memory
with peak_memory() as before:
    pass
with peak_memory() as peak:
    block = np.ones(200 * 2**20, dtype=np.uint8)
    time.sleep(0.5)
    del block
print(peak[0] - before[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 150 < float(done.stdout) < 300
