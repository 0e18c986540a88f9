"""What every distiller in the table promises."""

import pytest
import torch

from comoto import components
from comoto.config import load_train_config
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import build_detector
from comoto.distill.base import Distiller
from comoto.training.steps import StudentStep, total

GRID = (64, 32)


def make(kind: str) -> tuple[StudentStep, Detector]:
    torch.manual_seed(0)
    config = load_train_config("demo", [f"distill.kind={kind}", "init=scratch"])
    student, teacher = build_detector(config), build_detector(config)
    distiller: Distiller = components.resolve("distiller", kind)(config.distill, student.level_specs, GRID)
    return StudentStep(student, distiller, teacher), teacher


@pytest.mark.parametrize("kind", sorted(components.DISTILLERS))
def test_loss_is_finite_and_teaches_the_student_only(kind: str) -> None:
    step, teacher = make(kind)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    step.train()
    boxes = [torch.tensor([[4.0, 6.0, 18.0, 24.0]]), torch.zeros(0, 4)]
    losses = step(torch.rand(2, 1, *GRID), boxes, torch.rand(3, 1, *GRID), boxes[:1] * 3)
    total(losses).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in step.detector.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert not (step.needs_mammograms and teacher.training)


@pytest.mark.parametrize("kind", sorted(set(components.DISTILLERS) - {"none"}))
def test_the_distillation_term_itself_reaches_the_student(kind: str) -> None:
    step, _ = make(kind)
    boxes = [torch.tensor([[4.0, 6.0, 18.0, 24.0]])] * 2
    losses = step(torch.rand(2, 1, *GRID), boxes, torch.rand(2, 1, *GRID), boxes)
    term = [value for key, value in losses.items() if key.startswith("distill/")]
    assert len(term) == 1
    term[0].backward()
    gradient = sum(float(p.grad.abs().sum()) for p in step.detector.parameters() if p.grad is not None)
    assert gradient > 0


@pytest.mark.parametrize("kind", sorted(components.DISTILLERS))
def test_the_teacher_is_neither_saved_nor_trained(kind: str) -> None:
    step, teacher = make(kind)
    own = {id(p) for p in step.parameters()}
    assert not own & {id(p) for p in teacher.parameters()}
    assert not any(key.startswith("_teacher") for key in step.state_dict())


@pytest.mark.parametrize("kind", sorted(components.DISTILLERS))
def test_every_setting_is_documented_and_strict(kind: str) -> None:
    config = components.resolve("distiller", kind).Config
    assert config.__doc__
    assert config.model_config["extra"] == "forbid"
    assert config().kind == kind
