"""What every distiller in the table promises."""

from dataclasses import replace

import pytest
import torch

from comoto import components
from comoto.config import load_train_config
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import build_detector
from comoto.distill.base import Distiller, DistillerConfig
from comoto.errors import ConfigError
from comoto.training.batch import StudentBatch
from comoto.training.steps import StudentStep, total

GRID = (128, 64)  # narrower maps than 4 columns: oneDNN with AMX reads beyond them in bfloat16 (docs/log.md)
ALL = sorted(components.DISTILLERS)
TEACHING = sorted(set(ALL) - {"none"})
BOX = [torch.tensor([[4.0, 6.0, 18.0, 24.0]])]
EMPTY = [torch.zeros(0, 4)]


def make(kind: str, *overrides: str) -> tuple[StudentStep, Detector]:
    torch.manual_seed(0)
    config = load_train_config(
        "demo",
        [
            f"distill.kind={kind}",
            "init=scratch",
            f"preprocess.rows={GRID[0]}",
            f"preprocess.columns={GRID[1]}",
            *overrides,
        ],
    )
    student, teacher = build_detector(config), build_detector(config)
    distiller: Distiller = components.resolve("distiller", kind)(config.distill, student.level_specs, GRID)
    distiller.check(student, teacher)
    return StudentStep(student, distiller, teacher), teacher


def distilled(losses: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [value for key, value in losses.items() if key.startswith("distill/")]


@pytest.mark.parametrize("kind", ALL)
def test_loss_is_finite_and_teaches_the_student_only(kind: str) -> None:
    step, teacher = make(kind)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    step.train()
    losses = step(StudentBatch(torch.rand(2, 1, *GRID), BOX + EMPTY, torch.rand(3, 1, *GRID), BOX * 3))
    total(losses).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in step.detector.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert kind == "none" or not teacher.training


@pytest.mark.parametrize("kind", TEACHING)
def test_the_distillation_terms_themselves_reach_the_student(kind: str) -> None:
    step, _ = make(kind)
    terms = distilled(step(StudentBatch(torch.rand(2, 1, *GRID), BOX * 2, torch.rand(2, 1, *GRID), BOX * 2)))
    assert terms
    torch.stack(terms).sum().backward()
    gradient = sum(float(p.grad.abs().sum()) for p in step.detector.parameters() if p.grad is not None)
    assert gradient > 0


@pytest.mark.parametrize("kind", TEACHING)
def test_the_weight_multiplies_every_term(kind: str) -> None:
    images, mammograms = torch.rand(2, 1, *GRID), torch.rand(2, 1, *GRID)
    once, twice = (
        step(StudentBatch(images, BOX * 2, mammograms, BOX * 2))
        for step in (make(kind, f"distill.weight={weight}")[0] for weight in (1, 2))
    )
    assert distilled(once)
    for one, two in zip(distilled(once), distilled(twice), strict=True):
        torch.testing.assert_close(2 * one, two)


@pytest.mark.parametrize("kind", ALL)
def test_half_precision_is_finite(kind: str) -> None:
    step, _ = make(kind)
    with torch.autocast("cpu", torch.bfloat16):
        losses = step(StudentBatch(torch.rand(2, 1, *GRID), BOX * 2, torch.rand(2, 1, *GRID), BOX * 2))
    assert torch.isfinite(total(losses))
    assert all(value.dtype == torch.float32 for value in distilled(losses))


@pytest.mark.parametrize("kind", ALL)
def test_batches_without_any_lesion_are_no_accident(kind: str) -> None:
    step, _ = make(kind)
    losses = step(StudentBatch(torch.rand(2, 1, *GRID), EMPTY * 2, torch.rand(2, 1, *GRID), EMPTY * 2))
    assert torch.isfinite(total(losses))


@pytest.mark.parametrize("kind", TEACHING)
def test_the_teacher_sees_what_the_distiller_declares(kind: str) -> None:
    step, teacher = make(kind)
    seen: list[torch.Tensor] = []
    look = teacher.features

    def features(images: torch.Tensor) -> object:
        seen.append(images)
        return look(images)

    teacher.features = features  # type: ignore[method-assign, assignment]
    slices, mammograms = torch.rand(2, 1, *GRID), torch.rand(3, 1, *GRID)
    step(StudentBatch(slices, BOX * 2, mammograms, BOX * 3))
    wanted = {"slices": slices, "mammograms": mammograms}[step.distiller.teacher_sees]
    assert len(seen) == 1
    assert torch.equal(seen[0], wanted)
    assert step.needs_mammograms == (step.distiller.teacher_sees == "mammograms")


@pytest.mark.parametrize("kind", TEACHING)
def test_mammograms_are_asked_for_only_where_they_are_looked_at(kind: str) -> None:
    step, _ = make(kind)
    if step.needs_mammograms:
        with pytest.raises(ValueError, match="needs a batch of mammograms"):
            step(StudentBatch(torch.rand(2, 1, *GRID), BOX * 2))
    else:
        assert distilled(step(StudentBatch(torch.rand(2, 1, *GRID), BOX * 2)))


@pytest.mark.parametrize("kind", TEACHING)
def test_a_teacher_of_another_width_is_refused(kind: str) -> None:
    step, teacher = make(kind)
    specs = teacher.level_specs
    teacher.level_specs = {name: replace(spec, channels=spec.channels + 1) for name, spec in specs.items()}
    with pytest.raises(ConfigError, match=r"the student has \d+ channels there and the teacher \d+"):
        step.distiller.check(step.detector, teacher)


@pytest.mark.parametrize("kind", ALL)
def test_the_teacher_is_neither_saved_nor_trained(kind: str) -> None:
    step, teacher = make(kind)
    own = {id(p) for p in step.parameters()}
    assert not own & {id(p) for p in teacher.parameters()}
    assert not any(key.startswith("_teacher") for key in step.state_dict())


@pytest.mark.parametrize("kind", ALL)
def test_the_state_survives_a_round_trip(kind: str) -> None:
    images, mammograms = torch.rand(2, 1, *GRID), torch.rand(2, 1, *GRID)
    (before, _), (after, _) = make(kind), make(kind)
    for parameter in before.distiller.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    batch = StudentBatch(images, BOX * 2, mammograms, BOX * 2)
    before(batch)  # fills what is remembered
    state = {key: value.clone() for key, value in before.state_dict().items()}
    after.load_state_dict(state)
    expected, found = (step.eval()(batch) for step in (before, after))
    assert {key: float(value.detach()) for key, value in expected.items()} == {
        key: float(value.detach()) for key, value in found.items()
    }


@pytest.mark.parametrize("kind", ALL)
def test_every_setting_is_documented_and_strict(kind: str) -> None:
    config: type[DistillerConfig] = components.resolve("distiller", kind).Config
    assert config.__doc__
    assert config.model_config["extra"] == "forbid"
    assert config().kind == kind
    assert issubclass(config, DistillerConfig)
