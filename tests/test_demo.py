"""The demo at its smallest: every stage, every promised file, and what an interruption leaves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from comoto import demo
from comoto.demo import DemoConfig, hit_radius, run_demo
from comoto.errors import OutputExistsError
from comoto.report import demo_folder
from tiny_exams import TINY

SMALLEST = DemoConfig(
    size="tiny",
    mammograms=10,
    train=6,
    validation=3,
    test=4,
    fraction=0.5,
    bootstrap=20,
    workers=1,
    settings=(*TINY, "schedule.epochs=1"),
)


def test_every_stage_leaves_its_files_and_an_interruption_costs_one_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"
    real = demo.api.predict

    def cut(*args, **keys):  # type: ignore[no-untyped-def]
        if "pretraining" in str(args[0]):
            raise KeyboardInterrupt
        return real(*args, **keys)

    monkeypatch.setattr(demo.api, "predict", cut)
    with pytest.raises(KeyboardInterrupt):
        run_demo(out, SMALLEST)
    monkeypatch.setattr(demo.api, "predict", real)
    finished = [stage["name"] for stage in json.loads((out / "demo.json").read_text())["stages"]]
    assert finished[0] == "simulate"
    assert finished[-1] == "train pretraining"

    with pytest.raises(OutputExistsError, match="other settings"):
        run_demo(out, DemoConfig(size="tiny", seed=1))
    monkeypatch.setattr(demo, "simulate", None)  # finished stages are not repeated
    report = run_demo(out, SMALLEST)

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
    assert len(volumes) == 3
    assert all(seen == volumes[0] for seen in volumes)
    assert "mammograms/train" not in patients["pretraining"]
    assert len(patients["mixed-batches"]["mammograms/train"]) > 0


def test_the_report_has_a_title_for_every_student_and_the_reference_first() -> None:
    assert list(demo_folder.STUDENTS) == list(demo.STUDENTS)
    assert next(iter(demo.STUDENTS)) == "pretraining"


def test_a_demo_with_other_students_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_simulate", cut)
    monkeypatch.setattr(demo, "STUDENTS", {"pretraining": ["distill.kind=none"]})
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "demo", SMALLEST)
    monkeypatch.undo()
    with pytest.raises(OutputExistsError, match="other settings or students; choose another --out"):
        run_demo(tmp_path / "demo", SMALLEST)


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="no demo folder"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_hit_radius_is_the_challenges_in_millimetres() -> None:
    assert hit_radius(DemoConfig(size="demo")) == pytest.approx(8.5 / 0.8, abs=0.01)
    assert hit_radius(DemoConfig(size="full")) == pytest.approx(100.0)


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
