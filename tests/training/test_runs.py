"""Training runs through the public calls, on simulated exams."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from comoto import api
from comoto.config import OptimizerConfig
from comoto.detectors.checkpoint import load_checkpoint
from comoto.errors import CheckpointError, ConfigError, DatasetError, OutputExistsError
from comoto.records import Manifest, Split
from comoto.training.log_file import read_log
from comoto.training.optimizer import rate_factor
from comoto.training.record import TrainingState
from comoto.training.steps import total
from saved_states import saved_state
from tiny_exams import Exams


def tensors_of(run: Path) -> dict[str, torch.Tensor]:
    return dict(saved_state(run)["step"])


def test_a_run_leaves_what_it_promises(teacher_run: Path) -> None:
    names = {path.name for path in teacher_run.iterdir()}
    assert names == {
        "checkpoint.json",
        "config.yaml",
        "log.csv",
        "model.safetensors",
        "run.json",
        "split.json",
        "state.pt",
        "tensorboard",
    }
    rows = read_log(teacher_run / "log.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert {"detection/class", "detection/box", "impa/alignment", "validation/mean_sensitivity"} <= set(
        rows[0]
    )
    names = ("validation/mean_sensitivity", "validation/sensitivity_at_0.5_fps")
    best = max(rows, key=lambda row: [row[name] for name in names])
    checkpoint = load_checkpoint(teacher_run)
    assert checkpoint.about.epoch == best["epoch"]
    assert checkpoint.about.metric["mean_sensitivity"] == pytest.approx(best["validation/mean_sensitivity"])
    assert list((teacher_run / "tensorboard").iterdir())


def test_training_and_validation_patients_are_disjoint(student_run: Path) -> None:
    patients = json.loads((student_run / "split.json").read_text())
    for name in ("tomosynthesis", "mammograms"):
        train, validation = set(patients[f"{name}/train"]), set(patients[f"{name}/validation"])
        assert train
        assert validation
        assert not train & validation


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_two_and_two_epochs_equal_four(
    exams: Exams, teacher_run: Path, student_run: Path, tmp_path: Path, role: str
) -> None:
    run = tmp_path / "run"
    if role == "teacher":
        train, whole, overrides = api.train_teacher, teacher_run, exams.teacher_data
    else:
        train, whole = api.train_student, student_run
        overrides = [*exams.student_data, f"teacher={teacher_run}", "distill.kind=lesion_points"]
    assert train(run, preset="demo", overrides=overrides, stop_after=2).epoch == 2
    torch.manual_seed(99)  # nothing may depend on the state of the global generator
    assert train(run, preset="demo", overrides=overrides, resume=True).epoch == 4
    one, other = tensors_of(whole), tensors_of(run)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    drop = {"train_seconds"}
    for a, b in zip(read_log(whole / "log.csv"), read_log(run / "log.csv"), strict=True):
        assert {k: v for k, v in a.items() if k not in drop} == {k: v for k, v in b.items() if k not in drop}
    best, again = load_file(whole / "model.safetensors"), load_file(run / "model.safetensors")
    assert all(torch.equal(value, again[key]) for key, value in best.items())


def test_the_student_starts_from_the_teacher(exams: Exams, teacher_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    still = ["optimizer.learning_rate=1e-12", "optimizer.weight_decay=0"]
    api.train_student(
        run, preset="demo", overrides=[*exams.student_data, f"teacher={teacher_run}", *still], stop_after=1
    )
    teacher = load_file(teacher_run / "model.safetensors")
    student = {key.removeprefix("detector."): value for key, value in tensors_of(run).items()}
    trained = [key for key in teacher if "running_" not in key and "num_batches" not in key]
    assert trained
    assert all(torch.allclose(teacher[key], student[key], atol=1e-9) for key in trained)


def test_the_distillers_own_learning_rate(exams: Exams, teacher_run: Path, tmp_path: Path) -> None:
    """The student hardly moves; the map over the points, which starts as the identity, does if it may."""
    still = ["optimizer.kind=sgd", "optimizer.learning_rate=1e-12", "optimizer.weight_decay=0"]
    still += ["distill.kind=lesion_points", "schedule.epochs=1", "optimizer.gradient_clip=null"]
    moved = {}
    for name, own in (("none", "null"), ("own", "1.0")):
        overrides = [*exams.student_data, f"teacher={teacher_run}", *still, f"distill.learning_rate={own}"]
        api.train_student(tmp_path / name, preset="demo", overrides=overrides)
        weight = tensors_of(tmp_path / name)["distiller.projection.weight"]
        moved[name] = float((weight - torch.eye(9)).abs().max())
    assert moved["none"] < 1e-9
    assert moved["own"] > 1e-6


def test_from_scratch_needs_no_teacher_and_no_mammogram(exams: Exams, tmp_path: Path) -> None:
    overrides = [one for one in exams.student_data if not one.startswith("data.mammograms")]
    result = api.train_student(
        tmp_path / "run", preset="demo", overrides=[*overrides, "init=scratch"], stop_after=1
    )
    assert result.metric == "mean_sensitivity_positive"
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["teacher"] is None


def test_a_fraction_takes_fewer_patients(exams: Exams, teacher_run: Path, tmp_path: Path) -> None:
    overrides = [*exams.student_data, f"teacher={teacher_run}", "data.fraction=0.5"]
    api.train_student(tmp_path / "run", preset="demo", overrides=overrides, stop_after=1)
    patients = json.loads((tmp_path / "run" / "split.json").read_text())
    manifest = Manifest.load(exams.manifests / "bcs-dbt").split(Split.TRAIN)
    positive = set(manifest.images.merge(manifest.lesions, on="image_id")["patient_id"])
    negative = set(manifest.images["patient_id"]) - positive
    chosen = set(patients["tomosynthesis/train"])
    for group in (positive, negative):  # half of each, rounded up from a half
        assert len(chosen & group) == (len(group) + 1) // 2


class TestMistakes:
    """Each gives one clear error and writes no run folder."""

    def refuse(self, tmp_path: Path, overrides: list[str], error: type[Exception], message: str) -> None:
        run = tmp_path / "run"
        with pytest.raises(error, match=message):
            api.train_student(run, preset="demo", overrides=overrides)
        assert not run.exists()

    def test_teacher_of_another_architecture(self, exams: Exams, teacher_run: Path, tmp_path: Path) -> None:
        overrides = [*exams.student_data, f"teacher={teacher_run}", "detector.pyramid_channels=32"]
        self.refuse(
            tmp_path,
            overrides,
            CheckpointError,
            "another architecture.*detector.pyramid_channels 64 instead of 32",
        )

    def test_no_teacher(self, exams: Exams, tmp_path: Path) -> None:
        self.refuse(
            tmp_path, exams.student_data, ConfigError, "teacher is not set, but init=teacher needs one"
        )

    def test_a_student_is_no_teacher(self, exams: Exams, student_run: Path, tmp_path: Path) -> None:
        overrides = [*exams.student_data, f"teacher={student_run}"]
        self.refuse(tmp_path, overrides, CheckpointError, "holds a student")

    def test_store_of_another_grid(self, exams: Exams, tmp_path: Path) -> None:
        overrides = [*exams.student_data, "init=scratch", "preprocess.rows=256"]
        self.refuse(tmp_path, overrides, ConfigError, "was prepared with rows 128 instead of 256")

    def test_store_of_the_other_modality(self, exams: Exams, tmp_path: Path) -> None:
        overrides = [
            *exams.teacher_data,
            "init=scratch",
            f"data.tomosynthesis={exams.stores / 'vindr-mammo'}",
        ]
        self.refuse(tmp_path, overrides, ConfigError, "does not hold tomosynthesis images")

    def test_no_store(self, exams: Exams, tmp_path: Path) -> None:
        overrides = [*exams.teacher_data, "init=scratch", f"data.tomosynthesis={tmp_path / 'nothing'}"]
        self.refuse(tmp_path, overrides, DatasetError, "store.json")


def test_a_run_folder_is_never_overwritten(exams: Exams, teacher_run: Path) -> None:
    with pytest.raises(OutputExistsError, match="add --resume"):
        api.train_teacher(teacher_run, preset="demo", overrides=exams.teacher_data)
    with pytest.raises(ConfigError, match=r"other settings: seed 0 \(now 1\)"):
        api.train_teacher(teacher_run, preset="demo", overrides=[*exams.teacher_data, "seed=1"], resume=True)


def test_a_folder_in_the_way_is_told_before_anything_else(
    exams: Exams, teacher_run: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    overrides = [*exams.student_data, f"teacher={teacher_run}", "init=teacher"]
    with pytest.raises(OutputExistsError, match="add --resume"):
        api.train_student(tmp_path, preset="demo", overrides=overrides)
    assert told.readouterr().err == ""


def test_only_patients_that_judge_are_said_to_choose_the_epoch(
    exams: Exams, teacher_run: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    overrides = [*exams.student_data, f"teacher={teacher_run}", "distill.kind=lesion_points"]
    api.train_student(tmp_path / "run", preset="demo", overrides=overrides, stop_after=1)
    lines = told.readouterr().err.splitlines()
    assert next(line for line in lines if "tomosynthesis:" in line).endswith("images choose the epoch")
    assert next(line for line in lines if "mammograms:" in line).endswith("patients train")


def test_cross_kd_says_which_heads_differ_before_weights_do(
    exams: Exams, teacher_run: Path, tmp_path: Path
) -> None:
    overrides = [*exams.student_data, f"teacher={teacher_run}", "init=teacher", "distill.kind=cross_kd"]
    with pytest.raises(ConfigError, match="need the same kind and depth of head"):
        api.train_student(
            tmp_path / "run", preset="demo", overrides=[*overrides, "detector.tower_convolutions=1"]
        )


def test_a_finished_run_resumes_to_itself(exams: Exams, teacher_run: Path) -> None:
    before = (teacher_run / "log.csv").read_text()
    assert api.train_teacher(teacher_run, preset="demo", overrides=exams.teacher_data, resume=True).epoch == 4
    assert (teacher_run / "log.csv").read_text() == before


def test_a_damaged_state_is_refused(exams: Exams, tmp_path: Path) -> None:
    run = tmp_path / "run"
    api.train_teacher(run, preset="demo", overrides=exams.teacher_data, stop_after=1)
    whole = (run / "state.pt").read_bytes()
    for damaged in (whole[:500], whole[:64] + b"J\x00\x00\x00\x00Q" + whole[70:], b"not torch's", b""):
        (run / "state.pt").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="cannot be resumed from"):
            api.train_teacher(run, preset="demo", overrides=exams.teacher_data, resume=True)


def test_the_best_epoch_is_the_first_of_the_highest_metric_and_tie_break() -> None:
    state, kept = TrainingState(), []
    for epoch, (value, tie_break) in enumerate(
        [(0.0, 0.0), (0.5, 0.2), (0.5, 0.2), (0.5, 0.3), (0.4, 0.9)], 1
    ):
        state.epoch = epoch
        kept.append(state.improves(value, tie_break))
    assert kept == [True, True, False, True, False]
    assert (state.best_epoch, state.best_value) == (4, 0.5)


def test_learning_rate_warms_up_then_falls_to_one_percent() -> None:
    config = OptimizerConfig(warmup_share=0.1)
    factors = [rate_factor(step, 20, 5, config) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert factors[55] == pytest.approx(0.01 + 0.99 * 0.5)  # half way down the cosine
    assert all(a >= b for a, b in pairwise(factors[9:]))
    assert rate_factor(100, 20, 5, config) == pytest.approx(0.01)


def test_a_loss_that_is_no_scalar_is_named() -> None:
    losses = {"detection/box": torch.tensor(1.0), "distill/own": torch.ones(3)}
    with pytest.raises(ValueError, match=r"distill/own has the shape \(3,\); losses must be scalars"):
        total(losses)


def test_a_loss_that_is_not_finite_is_named() -> None:
    with pytest.raises(FloatingPointError, match=r"not finite \(detection/box = nan\)"):
        total({"detection/class": torch.tensor(1.0), "detection/box": torch.tensor(float("nan"))})
