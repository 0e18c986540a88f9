"""A tiny study through the real command line: crashes, kills, Ctrl-C, and that the same command continues."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from study_files import study_content, write_study

from comoto import api
from comoto.checksums import file_sha256
from comoto.cli.main import _run
from comoto.components import allow_code, own_permissions
from comoto.config import load_train_config
from comoto.errors import ConfigError, DatasetError, OutputExistsError
from comoto.preprocessing.store import PreparedStore
from comoto.records import PREDICTION_COLUMNS, Split
from comoto.study.config import load_study
from comoto.study.grid import build_grid
from comoto.study.run import StudyOptions, run_study
from comoto.study.spec import load_spec, run_state
from comoto.study.worker import predict_test
from tiny_exams import Exams

OUTSIDE_CODE = """
from comoto.distill.base import Distiller, DistillerConfig


class CrashingConfig(DistillerConfig):
    kind: str


class Crashing(Distiller):
    Config = CrashingConfig

    def __init__(self, config, specs, grid_shape):
        super().__init__()

    def forward(self, student, teacher):
        raise RuntimeError("this distiller always fails")
"""


def study_command(*words: object, folder: Path) -> subprocess.Popen[str]:
    """Start ``comoto study`` in a process of its own, with outside code on the path."""
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "comoto", "study", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> str:
    """Return the text of a file that the process writes soon."""
    while process.poll() is None:
        if path.is_file() and (text := path.read_text(encoding="utf-8")).endswith("\n"):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written: {process.communicate()}")


@pytest.fixture
def _allowed() -> Iterator[None]:
    with own_permissions():
        allow_code("outside_code")
        yield


@pytest.fixture(scope="module")
def crashed(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A study after its first call, in which one worker was killed and one variant always fails."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "outside_code.py").write_text(OUTSIDE_CODE, encoding="utf-8")
    content = study_content(exams.stores, seeds=[1])
    content["rules"] = {
        "again": ["inference.aggregation.kind=box_fusion"],
        "published": ["inference.aggregation.kind=local_maximum"],
    }
    content["variants"]["pretraining"]["fractions"] = [1.0]
    content["variants"]["crashing"] = {
        "impa": False,
        "settings": ["distill.kind=outside_code:Crashing"],
        "fractions": [0.5],
    }
    path = write_study(folder / "study.yaml", content)
    out = folder / "out"
    words = ("run", path, "--out", out, "--workers", 2, "--allow-code", "outside_code")
    process = study_command(*words, folder=folder)
    victim = out / "students/standard/50/scratch/seed1-rep0"
    wait_for(victim / "run" / "config.yaml", process)
    os.kill(int(wait_for(victim / "alive", process).split()[0]), signal.SIGKILL)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    return path, out, said + errors


@pytest.mark.slow
@pytest.mark.usefixtures("_allowed")
def test_a_killed_worker_and_a_crashing_arm_do_not_stop_the_others(
    crashed: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out, said = crashed
    monkeypatch.syspath_prepend(str(path.parent))
    grid = build_grid(load_study(path), out)
    status = {run.name: run_state(run, out).status for run in (*grid.teachers, *grid.students)}
    failed = {name for name, each in status.items() if each == "failed"}
    assert failed == {
        "students/standard/50/scratch/seed1-rep0",
        "students/standard/50/crashing/seed1-rep0",
    }
    assert sum(each == "done" for each in status.values()) == 1 + 3 - 1
    assert "3 of 5 runs are complete, 2 failed" in said
    assert "killed by SIGKILL" in said
    assert said.count("RuntimeError: this distiller always fails") == 1
    about = json.loads((out / "students/standard/50/crashing/seed1-rep0/failed.json").read_text())
    assert about["exit_code"] == 1
    assert any("in forward" in line for line in about["last_lines"])
    assert not (out / "students/standard/50/crashing/seed1-rep0/predictions.csv").exists()


@pytest.mark.slow
def test_code_of_others_is_not_run_unasked(
    crashed: tuple[Path, Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _, _ = crashed
    assert _run(["study", "run", str(path), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "variants.crashing.settings: distiller 'outside_code:Crashing' is code outside comoto" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_same_command_finishes_what_was_killed_and_repeats_nothing(
    crashed: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, out, _ = crashed
    kept = out / "students/standard/100/scratch/seed1-rep0"
    before = {name: (kept / name).read_bytes() for name in ("done.json", "predictions.csv", "spec.json")}
    words = [
        "run",
        path,
        "--out",
        out,
        "--only",
        "scratch",
        "--only",
        "pretraining",
        "--backend",
        "threading",
        "--allow-code",
        "outside_code",
    ]
    process = study_command(*words, folder=path.parent)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "4 of 4 runs are complete, 0 failed" in said
    assert {name: (kept / name).read_bytes() for name in before} == before
    mended = out / "students/standard/50/scratch/seed1-rep0"
    assert not (mended / "failed.json").exists()
    assert not (mended / "run" / "state.pt").exists()
    table = pd.read_csv(mended / "predictions.csv")
    assert tuple(table.columns) == PREDICTION_COLUMNS
    labels = pd.read_csv(out / "labels.csv")
    assert set(table["StudyUID"]) <= set(labels["StudyUID"])


@pytest.mark.slow
def test_every_rule_has_its_predictions(crashed: tuple[Path, Path, str]) -> None:
    _, out, _ = crashed
    run = out / "students/standard/100/pretraining/seed1-rep0"
    own, again, published = (
        (run / f"predictions{name}.csv").read_bytes() for name in ("", "-again", "-published")
    )
    assert own == again
    assert own != published


@pytest.mark.slow
def test_validation_volumes_can_stand_in_for_the_test_volumes(
    crashed: tuple[Path, Path, str], tmp_path: Path, exams: Exams
) -> None:
    """The worker of a complete run predicts the split that its spec names."""
    _, out, _ = crashed
    spec = load_spec(out / "students/standard/100/pretraining/seed1-rep0" / "spec.json")
    (tmp_path / "run").symlink_to(spec.trained)
    predict_test(spec.model_copy(update={"folder": tmp_path, "split": Split.VALIDATION}))
    images = PreparedStore(exams.stores / "bcs-dbt").manifest.split(Split.VALIDATION).images
    found = pd.read_csv(tmp_path / "predictions.csv")
    assert len(found)
    assert set(found["StudyUID"]) <= set(images["study_id"])
    study = study_content(exams.stores)
    study["data"]["split"] = "validation"
    assert load_study(write_study(tmp_path / "study.yaml", study)).data.split == "validation"
    study["data"]["test"] = "elsewhere"
    with pytest.raises(ConfigError, match="another store is for the test split"):
        load_study(write_study(tmp_path / "study.yaml", study))


@pytest.mark.slow
def test_a_run_is_what_the_single_commands_make(crashed: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, out, _ = crashed
    run = out / "students/standard/100/scratch/seed1-rep0"
    config = load_train_config(run / "run" / "config.yaml")
    assert config.seed == 1000
    api.train_student(tmp_path / "run", preset=str(run / "run" / "config.yaml"))
    ours, theirs = (folder / "model.safetensors" for folder in (run / "run", tmp_path / "run"))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("_allowed")
def test_changed_settings_are_refused_before_anything_starts(crashed: tuple[Path, Path, str]) -> None:
    path, out, _ = crashed
    content = study_content(Path("/unused"), seeds=[1])
    content["data"] = {key: str(value) for key, value in _stores(path).items()}
    content["variants"]["scratch"]["settings"] = ["init=scratch", "batch.size=2"]
    other = write_study(path.parent / "other.yaml", content)
    with pytest.raises(OutputExistsError, match=r"rep0: was run with other settings: batch.size 4 \(now 2\)"):
        run_study(load_study(other), out)
    assert load_study(out / "study.yaml") == load_study(path)  # the kept study is the former one


@pytest.mark.slow
@pytest.mark.usefixtures("_allowed")
def test_a_new_rule_is_predicted_without_training_and_a_changed_one_refused(
    crashed: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out, _ = crashed
    monkeypatch.syspath_prepend(str(path.parent))
    run = out / "students/standard/100/pretraining/seed1-rep0"
    kept = ("predictions.csv", "predictions-published.csv", "run/model.safetensors")
    former = json.loads((run / "done.json").read_text())
    before = {name: (run / name).stat().st_mtime_ns for name in kept}
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["rules"]["few"] = ["inference.aggregation.kind=nms_3d", "inference.aggregation.min_score=0.9999"]
    longer = write_study(tmp_path / "longer.yaml", content)
    words = ["run", longer, "--out", out, "--only", "pretraining", "--backend", "threading"]
    words += ["--allow-code", "outside_code"]
    process = study_command(*words, folder=path.parent)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "complete runs without predictions under a rule of the study, which are made now: 1" in errors
    assert "2 of 2 runs are complete, 0 failed" in said
    assert len(pd.read_csv(run / "predictions-few.csv")) < len(pd.read_csv(run / "predictions.csv"))
    assert {name: (run / name).stat().st_mtime_ns for name in kept} == before
    done = json.loads((run / "done.json").read_text())
    assert done["tables"].pop("predictions-few.csv") == file_sha256(run / "predictions-few.csv")
    assert {**done, "checksum": ""} == {**former, "checksum": "", "unchecked": []}
    assert not list(run.parent.rglob("alive"))

    content["rules"]["published"] = ["inference.aggregation.kind=tracks"]
    changed = load_study(write_study(tmp_path / "changed.yaml", content))
    with pytest.raises(
        OutputExistsError, match=r"under rules\.published; give the changed rule another name"
    ):
        run_study(changed, out)
    content["rules"].pop("published")
    content["data"]["split"] = "validation"
    elsewhere = load_study(write_study(tmp_path / "elsewhere.yaml", content))
    with pytest.raises(OutputExistsError, match=r"predicted the test split of .*, now it is the validation"):
        run_study(elsewhere, out)


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_the_same_command_continues(exams: Exams, tmp_path: Path) -> None:
    content = study_content(exams.stores, seeds=[0], fractions=[1.0])
    content["settings"] = [*content["settings"][:-2], "schedule.epochs=500", "schedule.steps_per_epoch=1"]
    content["variants"] = {"pretraining": {"impa": "none", "settings": ["init=scratch"]}}
    path, out = write_study(tmp_path / "study.yaml", content), tmp_path / "out"
    process = study_command("run", path, "--out", out, "--workers", 1, folder=tmp_path)
    run = out / "students/standard/100/pretraining/seed0-rep0"
    wait_for(run / "run" / "log.csv", process)
    worker = int(wait_for(run / "alive", process).split()[0])
    with pytest.raises(OutputExistsError, match="is working there already"):
        run_study(load_study(path), out)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "0 of 1 runs are complete, 0 failed, 1 left" in said
    assert "interrupted; run the same command again" in errors
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert not (out / "stop").exists()
    assert not (run / "failed.json").exists()
    (planned,) = build_grid(load_study(path), out).students
    state = run_state(planned, out)
    assert state.status == "left"
    assert 1 <= state.epochs < 500


def test_a_study_of_one_run_is_not_repeated(exams: Exams, tmp_path: Path) -> None:
    """The shortest way from a study file to a table; what killing and crashing do is tested with more."""
    content = study_content(exams.stores, seeds=[0], fractions=[1.0], reference="scratch")
    content["variants"] = {"scratch": {"impa": "none", "settings": ["init=scratch"]}}
    path, out = write_study(tmp_path / "study.yaml", content), tmp_path / "out"
    outcome = run_study(load_study(path), out, StudyOptions(workers=1))
    (name,) = outcome.states
    assert outcome.states[name].status == "done"
    kept = {each: (out / name / each).stat().st_mtime_ns for each in ("done.json", "predictions.csv")}
    run_study(load_study(path), out, StudyOptions(workers=1))
    assert {each: (out / name / each).stat().st_mtime_ns for each in kept} == kept
    (row,) = api.study_table(out).to_dict("records")
    assert (row["variant"], row["runs"]) == ("scratch", 1)


@pytest.mark.slow
def test_a_whole_study_gives_a_whole_table(exams: Exams, tmp_path: Path) -> None:
    path, out = write_study(tmp_path / "study.yaml", study_content(exams.stores)), tmp_path / "out"
    process = study_command("run", path, "--out", out, "--workers", 2, folder=tmp_path)
    said, errors = process.communicate(timeout=1200)
    assert process.returncode == 0, errors
    assert "10 of 10 runs are complete, 0 failed" in said
    process = study_command("table", out, folder=tmp_path)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    table = pd.read_csv(out / "table.csv")
    assert list(table["runs"]) == [2, 2, 2, 2]
    assert list(table["paired_runs"]) == [0, 2, 0, 2]
    assert "runs are missing" not in said


def test_no_run_is_started_after_the_hours_are_over(exams: Exams, tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path / "study.yaml", study_content(exams.stores)))
    outcome = run_study(study, tmp_path / "out", StudyOptions(max_hours=0.0, backend="threading"))
    assert outcome.count("left") == len(outcome.states) == 10
    assert not list((tmp_path / "out").rglob("worker.log"))
    assert not outcome.interrupted


def test_a_line_of_progress_is_not_said_twice(exams: Exams, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("comoto.progress._enabled", True)
    study = load_study(write_study(tmp_path / "study.yaml", study_content(exams.stores)))
    run_study(study, tmp_path / "out", StudyOptions(max_hours=0.0, backend="threading"))
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("study: ")] == [
        "study: 0 done, 0 running, 10 left, 0 failed"
    ]


def test_stores_are_checked_before_anything_starts(exams: Exams, tmp_path: Path) -> None:
    content = study_content(exams.stores)
    for changes, error, message in (
        ({"tomosynthesis": str(exams.stores / "nothing")}, DatasetError, r"nothing: no store\.json"),
        (
            {"test": str(exams.stores / "vindr-mammo")},
            ConfigError,
            r"data\.test: .* does not hold tomosynthesis",
        ),
    ):
        wrong = content | {"data": content["data"] | changes}
        study = load_study(write_study(tmp_path / "study.yaml", wrong))
        with pytest.raises(error, match=message):
            run_study(study, tmp_path / "out")
    wrong = content | {"settings": [*content["settings"], "preprocess.rows=256"]}
    with pytest.raises(ConfigError, match="was prepared with rows 128 instead of 256"):
        run_study(load_study(write_study(tmp_path / "study.yaml", wrong)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(exams: Exams, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    study = load_study(write_study(tmp_path / "study.yaml", study_content(exams.stores)))
    with pytest.raises(OutputExistsError, match="exists and is no study"):
        run_study(study, tmp_path / "out")


def _stores(path: Path) -> dict[str, Path]:
    data = load_study(path).data
    return {"mammograms": data.mammograms[0], "tomosynthesis": data.tomosynthesis}
