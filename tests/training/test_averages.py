"""Averages of weights: along a training, with the first weights, and what becomes of batch norm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from comoto import api
from comoto.config import AverageConfig, JointConfig, load_train_config
from comoto.detectors.checkpoint import build_detector
from comoto.distill.none import NoDistiller, NoDistillerConfig
from comoto.errors import ConfigError
from comoto.training.average import WeightAverages, between, estimate_batch_norm, lent
from comoto.training.batch import StudentBatch
from comoto.training.log_file import read_log
from comoto.training.steps import StudentStep
from comoto.training.validate import Validator
from saved_states import saved_state
from tiny_exams import Exams

BOX, GRID = torch.tensor([[4.0, 6.0, 18.0, 24.0]]), (64, 32)


def no_passes(count: int) -> None:
    raise AssertionError("nothing is to be estimated")


class Scored:
    """Judges a network by what its weight is."""

    def __init__(self, module: nn.Linear, score: Callable[[float], tuple[float, float]]) -> None:
        self._module, self._score = module, score

    def validator(self) -> Validator:
        return Validator(self._validate, "metric", "tie")

    def _validate(self) -> dict[str, float]:
        value, tie = self._score(float(self._module.weight.detach()))
        return {"metric": value, "tie": tie}


def single(weight: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    set_weight(module, weight)
    return module


def set_weight(module: nn.Linear, weight: float) -> None:
    with torch.no_grad():
        module.weight.fill_(weight)


class TestBetween:
    """Points on the way from one network to another."""

    def test_weights_and_statistics_are_interpolated_and_counters_kept(self) -> None:
        own = {"w": torch.tensor([2.0, -4.0]), "running_var": torch.tensor([1.0]), "count": torch.tensor(7)}
        first = {"w": torch.tensor([6.0, 0.0]), "running_var": torch.tensor([3.0]), "count": torch.tensor(1)}
        quarter = between(own, first, 0.25)
        assert quarter["w"].tolist() == [3.0, -3.0]
        assert quarter["running_var"].tolist() == [1.5]
        assert quarter["count"].item() == 7
        assert torch.equal(between(own, first, 0.0)["w"], own["w"])
        assert torch.equal(between(own, first, 1.0)["w"], first["w"])

    def test_lent_weights_are_given_back_whatever_happens(self) -> None:
        module = single(0.1)
        before = module.weight.detach().clone()

        def broken() -> None:
            with lent(module, {"weight": torch.tensor([[5.0]])}):
                raise ArithmeticError(float(module.weight.detach()))

        with pytest.raises(ArithmeticError, match=r"^5\.0$"):
            broken()
        assert torch.equal(module.weight.detach(), before)


class TestBatchNorm:
    """Running statistics taken anew."""

    def test_statistics_are_the_means_over_the_passes(self) -> None:
        module = nn.Sequential(nn.BatchNorm1d(1)).eval()
        layer = module[0]
        layer.running_mean.fill_(100.0)
        # Means 2 and 5; variances (with n - 1) 2 and 18.
        batches = [torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [8.0]])]
        estimate_batch_norm(module, lambda: [module(one) for one in batches])
        assert layer.running_mean.tolist() == pytest.approx([3.5])
        assert layer.running_var.tolist() == pytest.approx([10.0])
        assert layer.momentum == 0.1
        assert not module.training

    def test_a_mixed_pass_estimates_from_slices_and_mammograms(self) -> None:
        """And learns nothing: only statistics differ from those of the weights that were averaged."""
        torch.manual_seed(0)
        config = load_train_config("demo", ["preprocess.rows=64", "preprocess.columns=32", "init=scratch"])
        detector = build_detector(config)
        averages = WeightAverages(
            detector, AverageConfig(teacher_shares=[1.0], batch_norm="estimated", batches=2)
        )
        step = StudentStep(
            detector,
            NoDistiller(NoDistillerConfig(), {}, GRID),
            None,
            joint=JointConfig(size=2, batch_norm="mixed"),
        )
        draws = torch.Generator().manual_seed(1)
        slices, mammograms = (torch.rand(2, 2, 1, *GRID, generator=draws) for _ in range(2))

        def passes(count: int) -> None:
            for k in range(count):
                step(StudentBatch(slices[k], [BOX] * 2, joint=mammograms[k], joint_boxes=[BOX] * 2))

        before = {key: value.clone() for key, value in detector.state_dict().items()}
        shown = Validator(lambda: {"metric": 0.0, "tie": 0.0}, "metric", "tie")
        with averages.best(shown, passes):
            kept = {key: value.clone() for key, value in detector.state_dict().items()}
        stem = detector.net.backbone.backbone
        convolution, norm = next(
            (one, next_one)
            for one, next_one in zip(stem.modules(), list(stem.modules())[1:], strict=False)
            if isinstance(one, nn.Conv2d) and isinstance(next_one, nn.BatchNorm2d)
        )
        name = next(key for key, module in detector.named_modules() if module is norm)
        with torch.no_grad():
            maps = [convolution(detector.intake(torch.cat([slices[k], mammograms[k]]))) for k in range(2)]
        wanted = torch.stack([each.mean(dim=(0, 2, 3)) for each in maps]).mean(dim=0)
        torch.testing.assert_close(kept[f"{name}.running_mean"], wanted)
        for key, value in kept.items():
            assert torch.equal(value, before[key]) == (
                not key.endswith(("running_mean", "running_var", "num_batches_tracked"))
            )
        after = detector.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in before.items())


class TestChoice:
    """Which of the averages is kept."""

    def test_without_averages_the_last_weights_are_judged_as_they_are(self) -> None:
        module = single(3.0)
        averages = WeightAverages(module, AverageConfig(teacher_shares=[0.0]))
        set_weight(module, 4.0)
        averages.follow(0)
        with averages.best(Scored(module, lambda w: (w, 0.0)).validator(), no_passes) as metrics:
            assert metrics == {"metric": 4.0, "tie": 0.0}
            assert float(module.weight.detach()) == 4.0
        assert averages.state() == {}

    def test_the_best_share_is_kept_and_all_are_told(self) -> None:
        module = single(0.0)
        averages = WeightAverages(module, AverageConfig(teacher_shares=[0.5, 0.0, 0.25, 0.75]))
        set_weight(module, 8.0)  # so the shares are 8, 6, 4 and 2
        with averages.best(Scored(module, lambda w: (-abs(w - 5.5), w)).validator(), no_passes) as metrics:
            assert float(module.weight.detach()) == 6.0
        assert float(module.weight.detach()) == 8.0
        assert metrics["metric"] == -0.5
        assert metrics["teacher_share"] == 0.25
        assert [metrics[f"teacher_share_{share}/metric"] for share in ("0", "0.25", "0.5", "0.75")] == [
            -2.5,
            -0.5,
            -1.5,
            -3.5,
        ]

    @pytest.mark.parametrize(
        ("ties", "share"), [({8.0: 1.0, 4.0: 1.0}, 0.0), ({8.0: 0.2, 4.0: 0.3, 2.0: 0.3}, 0.5)]
    )
    def test_of_equal_metrics_the_tie_break_decides_then_the_smaller_share(
        self, ties: dict[float, float], share: float
    ) -> None:
        module = single(0.0)
        averages = WeightAverages(module, AverageConfig(teacher_shares=[0.0, 0.25, 0.5, 0.75]))
        set_weight(module, 8.0)
        with averages.best(Scored(module, lambda w: (0.4, ties.get(w, 0.0))).validator(), no_passes) as told:
            assert told["teacher_share"] == share

    def test_the_moving_average_weighs_every_step_and_comes_before_the_share(self) -> None:
        module = single(100.0)
        averages = WeightAverages(module, AverageConfig(decay=0.5, teacher_shares=[0.2]))
        for step, weight in enumerate([1.0, 3.0, 7.0]):
            set_weight(module, weight)
            averages.follow(step)
        average = (0.25 * 1 + 0.5 * 3 + 1 * 7) / 1.75
        assert float(averages.state()["moving_average"]["weight"]) == pytest.approx(average)
        with averages.best(Scored(module, lambda w: (w, 0.0)).validator(), no_passes) as metrics:
            assert metrics["metric"] == pytest.approx(0.8 * average + 0.2 * 100)


def everything(exams: Exams, teacher: Path) -> list[str]:
    """Settings of a student with mixed batches and all averages, judged once, at the end."""
    return [
        *exams.student_data,
        f"teacher={teacher}",
        "joint.size=2",
        "joint.batch_norm=mixed",
        "average.decay=0.8",
        "average.teacher_shares=[0.75,0.5]",
        "optimizer.anchor=2",
        "schedule.validate_every=4",
    ]


def test_an_interrupted_run_with_averages_and_mixed_batches_ends_as_a_whole_one(
    exams: Exams, teacher_run: Path, tmp_path: Path
) -> None:
    whole, parts, overrides = tmp_path / "whole", tmp_path / "parts", everything(exams, teacher_run)
    api.train_student(whole, preset="demo", overrides=overrides)
    api.train_student(parts, preset="demo", overrides=overrides, stop_after=2)
    torch.manual_seed(99)
    api.train_student(parts, preset="demo", overrides=overrides, resume=True)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    states = [saved_state(run) for run in (whole, parts)]
    for part in ("step", "moving_average"):
        one, other = (state[part] for state in states)
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items()), part
    metric = json.loads((whole / "checkpoint.json").read_text())["metric"]
    assert metric == json.loads((parts / "checkpoint.json").read_text())["metric"]
    assert metric["teacher_share"] in (0.5, 0.75)
    [row] = [row for row in read_log(whole / "log.csv") if "validation/teacher_share" in row]
    assert row["epoch"] == 4
    assert {key: row[f"validation/{key}"] for key in metric} == metric
    tried = [metric[f"teacher_share_{share}/mean_sensitivity_positive"] for share in ("0.5", "0.75")]
    assert metric["mean_sensitivity_positive"] == max(tried)
    # What is kept lies between the moving average and the teacher, and the run goes on from neither
    moving, raw = states[0]["moving_average"], states[0]["step"]
    saved, first = (load_file(run / "model.safetensors") for run in (whole, teacher_run))
    wanted = between(moving, first, metric["teacher_share"])
    assert saved.keys() == wanted.keys()
    assert all(torch.equal(value, saved[key]) for key, value in wanted.items())
    assert any(not torch.equal(value, raw[f"detector.{key}"]) for key, value in moving.items())


def test_an_anchor_holds_the_student_near_its_teacher(
    exams: Exams, teacher_run: Path, tmp_path: Path
) -> None:
    first = load_file(teacher_run / "model.safetensors")
    moved = {}
    for anchor in (0, 900):
        run = tmp_path / str(anchor)
        overrides = [*exams.student_data, f"teacher={teacher_run}", "schedule.epochs=1"]
        overrides += [
            f"optimizer.anchor={anchor}",
            "optimizer.learning_rate=1e-3",
            "optimizer.warmup_share=0",
        ]
        api.train_student(run, preset="demo", overrides=overrides)
        step: dict[str, Tensor] = saved_state(run)["step"]
        moved[anchor] = sum(
            float((value - step[f"detector.{key}"]).square().sum())
            for key, value in first.items()
            if key.endswith(("weight", "bias"))
        )
        assert "moving_average" not in saved_state(run)
    assert 0 < moved[900] < 0.25 * moved[0]


class TestMistakes:
    """Each is told before anything is written."""

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["init=scratch", "optimizer.anchor=1"], r"optimizer\.anchor=1 goes back .* set init=teacher"),
            (["init=scratch", "average.teacher_shares=[0,0.5]"], r"teacher_shares=\[0\.0, 0\.5\] goes back"),
            (["optimizer.anchor=1000", "optimizer.learning_rate=1e-3"], "set optimizer.anchor below 1000"),
            (["average.teacher_shares=[1.5]"], "teacher_shares"),
            (["average.decay=1"], r"average\.decay"),
        ],
    )
    def test_of_a_student(self, tmp_path: Path, overrides: list[str], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            api.train_student(tmp_path / "run", preset="demo", overrides=overrides)
        assert not (tmp_path / "run").exists()

    def test_of_a_teacher_that_starts_from_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="these are random; name --init-from"):
            api.train_teacher(tmp_path / "run", preset="demo", overrides=["average.teacher_shares=[0.5]"])
