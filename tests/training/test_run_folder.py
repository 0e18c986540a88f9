"""The folder of a run: damage has a name, a start can be cut off anywhere, one training at a time."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from comoto import api, output_files
from comoto.config import TrainConfig, load_train_config
from comoto.errors import CheckpointError, ComotoError, ConfigError, OutputExistsError
from comoto.locks import hold, lock_of
from comoto.training.log_file import read_log, write_log
from comoto.training.record import (
    RunMade,
    TrainingState,
    read_patients,
    run_record,
    saved_config,
    trained_on,
)
from tiny_exams import Exams

MADE = RunMade("teacher", {"mammograms/train": ["a", "b"], "mammograms/validation": ["c"]}, {"teacher": "0a"})
STATE = {"step": {"weight": torch.arange(6.0)}, "optimizer": {"lr": 0.1}}


@pytest.fixture
def config() -> TrainConfig:
    return load_train_config("demo", ["seed=3", "batch.size=5"], "teacher")


@pytest.fixture
def run(tmp_path: Path, config: TrainConfig) -> Path:
    """Two finished epochs."""
    folder = tmp_path / "run"
    with run_record(folder, resume=False) as record:
        record.start(config, MADE)
        for epoch in (1, 2):
            record.log(epoch, {"detection/box": 0.25 * epoch, "train_seconds": 1.5})
        record.save_state(TrainingState(2, 1, 0.5, 0.25), STATE)
    return folder


def resumed(run: Path, config: TrainConfig) -> tuple[TrainingState, dict]:
    """Take the run up as a training does."""
    with run_record(run, resume=True) as record:
        record.start(saved_config(run), MADE)
        assert record.can_resume
        state, saved = record.load_state(torch.device("cpu"))
        record.log(3, {"detection/box": 0.75})
    assert saved_config(run) == config
    return state, saved


def test_a_healthy_run_goes_on(run: Path, config: TrainConfig) -> None:
    state, saved = resumed(run, config)
    assert (state, saved["optimizer"]) == (TrainingState(2, 1, 0.5, 0.25), {"lr": 0.1})
    assert torch.equal(saved["step"]["weight"], torch.arange(6.0))
    assert [row["epoch"] for row in read_log(run / "log.csv")] == [1, 2, 3]


@pytest.mark.parametrize("name", ["state.pt", "config.yaml", "split.json", "run.json", "log.csv"])
def test_a_flipped_bit_is_one_error_with_the_files_name(run: Path, config: TrainConfig, name: str) -> None:
    """Or changes nothing that counts: blanks and the like in the files for people."""
    whole = (run / name).read_bytes()
    kept = run.with_name("kept")
    shutil.copytree(run, kept)
    generator = np.random.default_rng(0)
    messages = []
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[generator.integers(len(whole))] ^= 1 << generator.integers(8)
        shutil.rmtree(run)
        shutil.copytree(kept, run)
        (run / name).write_bytes(damaged)
        try:
            state, saved = resumed(run, config)
        except ComotoError as error:
            messages.append(str(error))
            continue
        assert name != "state.pt"
        assert (state, saved["optimizer"]) == (TrainingState(2, 1, 0.5, 0.25), {"lr": 0.1})
        assert read_patients(run) == MADE.patients
        assert [row["detection/box"] for row in read_log(run / "log.csv")] == [0.25, 0.5, 0.75]
    assert len(messages) > 40
    assert all(str(run / name) in message for message in messages)


@pytest.mark.parametrize("name", ["state.pt", "config.yaml", "split.json", "run.json", "log.csv"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2]", b"PK\x03\x04", b"{}"])
def test_something_else_under_the_name_is_refused(
    run: Path, config: TrainConfig, name: str, content: bytes
) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(ComotoError, match=name.replace(".", r"\.")):
        resumed(run, config)


@pytest.mark.parametrize("name", ["config.yaml", "split.json"])
def test_what_run_json_knows_can_be_removed_and_comes_back(run: Path, config: TrainConfig, name: str) -> None:
    before = (run / name).read_text()
    (run / name).unlink()
    resumed(run, config)
    assert (run / name).read_text() == before


def test_a_log_that_was_cut_is_noticed_and_can_be_removed(run: Path, config: TrainConfig) -> None:
    lines = (run / "log.csv").read_bytes().splitlines(keepends=True)
    (run / "log.csv").write_bytes(b"".join(lines[:-1]))
    with pytest.raises(
        CheckpointError, match=r"log\.csv: rows are missing, 2 epochs are finished; remove it"
    ):
        resumed(run, config)
    (run / "log.csv").unlink()
    resumed(run, config)
    assert [row["epoch"] for row in read_log(run / "log.csv")] == [3]
    with run_record(run, resume=True) as record:  # and is no damage the next time
        record.save_state(TrainingState(3), STATE)
        record.load_state(torch.device("cpu"))


def test_a_log_keeps_rows_with_other_values(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "a": 0.1}, {"epoch": 2, "a": 1e-9, "b": float("inf")}, {"epoch": 3, "b": 2.0}]
    write_log(tmp_path / "log.csv", rows)
    assert read_log(tmp_path / "log.csv") == rows
    write_log(tmp_path / "again.csv", read_log(tmp_path / "log.csv"))
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "log.csv").read_bytes()


class TestFormerVersions:
    """A folder without run.json, with a state that is a bare file of torch's and a log without checksums."""

    @pytest.fixture
    def former(self, run: Path) -> Path:
        (run / "run.json").unlink()
        torch.save({"state": vars(TrainingState(2, 1, 0.5, 0.25)), **STATE}, run / "state.pt")
        (run / "log.csv").write_text("epoch,detection/box\n1,0.25\n2,0.5\n")
        settings = yaml.safe_load((run / "config.yaml").read_text())
        del settings["init_from"]
        (run / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        return run

    def test_goes_on_and_is_sealed_from_then_on(self, former: Path, config: TrainConfig) -> None:
        state, _ = resumed(former, config)
        assert state == TrainingState(2, 1, 0.5, 0.25)
        assert [row["detection/box"] for row in read_log(former / "log.csv")] == [0.25, 0.5, 0.75]
        assert json.loads((former / "run.json").read_text())["format"] == "comoto-run-1"
        assert trained_on(former) == (["a", "b"], False)

    def test_its_other_settings_are_still_refused(self, former: Path, config: TrainConfig) -> None:
        with run_record(former, resume=True) as record, pytest.raises(ConfigError, match=r"seed 3 \(now 4\)"):
            record.start(config.model_copy(update={"seed": 4}), MADE)

    def test_killed_between_the_patients_and_the_settings(self, former: Path, config: TrainConfig) -> None:
        for name in ("config.yaml", "state.pt", "log.csv"):
            (former / name).unlink()
        shutil.rmtree(former / "tensorboard")
        with run_record(former, resume=False) as record:
            record.start(config, MADE)
        assert saved_config(former) == config


class Killed(BaseException):
    """Stands for SIGKILL: nothing is tidied up."""


def die_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End the writing of the n-th file before, or after, it gets its name, leaving its unfinished file."""
    count = [0]
    replace: Callable[[Path, Path], Path] = Path.replace

    def dying(self: Path, target: Path) -> Path:
        count[0] += 1
        if count[0] == number:
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dying)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    monkeypatch.setattr(output_files, "sweep_parts", lambda folder: None)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_start_can_be_cut_off_before_every_file(
    tmp_path: Path, config: TrainConfig, number: int, resume: bool
) -> None:
    """Before run.json, split.json and config.yaml; other settings may follow, for nothing was learnt."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        die_at(monkeypatch, number)
        with pytest.raises(Killed), run_record(tmp_path / "run", resume=False) as record:
            record.start(config, MADE)
    assert any(path.suffix == ".part" for path in (tmp_path / "run").iterdir())
    other = config.model_copy(update={"seed": 4})
    with run_record(tmp_path / "run", resume=resume) as record:
        record.start(other, MADE)
        assert not record.can_resume
    assert saved_config(tmp_path / "run") == other
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "split.json", "config.yaml"}


@pytest.mark.parametrize("number", [1, 2])
def test_a_longer_schedule_can_be_cut_off_while_it_is_written(
    run: Path, config: TrainConfig, number: int
) -> None:
    longer = config.model_copy(update={"schedule": config.schedule.model_copy(update={"epochs": 30})})
    with pytest.MonkeyPatch.context() as monkeypatch:
        die_at(monkeypatch, number)
        with pytest.raises(Killed), run_record(run, resume=True) as record:
            record.start(longer, MADE)
    assert saved_config(run) == (config if number == 1 else longer)
    with run_record(run, resume=True) as record:
        record.start(longer, MADE)
    assert saved_config(run) == longer == load_train_config(run / "config.yaml")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "seed: 1\n"),
        ("split.json", '{"format": "comoto-split-2", "patients": {}}'),
        ("run.json", '{"mine": 1}'),
        ("notes.txt", "precious"),
    ],
)
def test_a_persons_own_file_is_never_taken_for_a_start(
    tmp_path: Path, config: TrainConfig, name: str, content: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(OutputExistsError, match="is not empty"), run_record(tmp_path / "run", resume=False):
        pass
    assert (tmp_path / "run" / name).read_text() == content


def test_finished_epochs_without_their_state_are_not_trained_again(run: Path, config: TrainConfig) -> None:
    (run / "state.pt").unlink()
    with (
        run_record(run, resume=True) as record,
        pytest.raises(CheckpointError, match=r"2 epochs .*state\.pt is gone"),
    ):
        record.start(config, MADE)


def test_one_training_at_a_time(run: Path, exams: Exams) -> None:
    with hold(lock_of(run.resolve()), "busy"):
        for path in (run, run.parent / "." / "run", run / ".." / "run"):
            with pytest.raises(OutputExistsError, match="another training is writing there"):
                api.train_teacher(path, preset="demo", overrides=exams.teacher_data, resume=True)


def test_a_run_is_resumed_as_what_it_is(run: Path, config: TrainConfig) -> None:
    student = RunMade("student", MADE.patients, MADE.inputs)
    with (
        run_record(run, resume=True) as record,
        pytest.raises(ConfigError, match="is a run of 'comoto train teacher'"),
    ):
        record.start(config, student)


def test_other_content_under_the_same_names_is_refused(run: Path, config: TrainConfig) -> None:
    other = RunMade("teacher", MADE.patients, {"teacher": "0b"})
    with (
        run_record(run, resume=True) as record,
        pytest.raises(ConfigError, match="other content under teacher"),
    ):
        record.start(config, other)
