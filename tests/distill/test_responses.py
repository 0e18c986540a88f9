"""Learning without forgetting against NumPy, and on the real heads."""

import numpy as np
import pytest
import torch
from torch import Tensor

from comoto.config import JointConfig
from comoto.detectors.base import Answers, Detector, Features, LevelSpec
from comoto.distill.base import DistillInput
from comoto.distill.responses import ResponsesConfig, ResponsesDistiller, softened_bernoulli_divergence
from comoto.errors import ConfigError
from comoto.training.batch import StudentBatch
from comoto.training.joint import mixed_features
from comoto.training.steps import StudentStep
from tiny_detectors import tiny

GRID = (64, 64)
KINDS = ("retinanet", "fcos", "faster_rcnn")


class Says(Detector):
    """A head that says what it is told to."""

    level_specs = {"p3": LevelSpec(4, 8)}  # noqa: RUF012

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def features(self, images: Tensor) -> Features:
        raise NotImplementedError

    def losses(self, features: Features, boxes: list[Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, features: Features) -> list[object]:  # type: ignore[override]
        raise NotImplementedError

    def answers(self, features: Features, proposals: list[Tensor] | None = None) -> Answers:
        return self._answers


def said(logits: list[float], offsets: list[float]) -> DistillInput:
    rows = torch.tensor(offsets)[:, None].expand(-1, 4)
    answers = Answers(torch.tensor(logits)[:, None], rows)
    return DistillInput(Features({}, GRID), [], Says(answers))


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def distiller(**settings: float) -> ResponsesDistiller:
    return ResponsesDistiller(ResponsesConfig(**settings), {"p3": LevelSpec(4, 8)}, GRID)


def test_the_divergence_by_hand() -> None:
    # KL(0.8 || 0.5) = 0.8 ln 1.6 + 0.2 ln 0.4
    found = softened_bernoulli_divergence(torch.tensor([0.0]), torch.tensor([logit(0.8)]), 1.0)
    assert float(found) == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4))
    # Twice the logits at temperature 2, times 4
    found = softened_bernoulli_divergence(torch.tensor([0.0]), torch.tensor([2 * logit(0.8)]), 2.0)
    assert float(found) == pytest.approx(4 * (0.8 * np.log(1.6) + 0.2 * np.log(0.4)))


def test_a_large_temperature_compares_the_logits_by_their_squares() -> None:
    found = softened_bernoulli_divergence(
        torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([4.0, -1.0], dtype=torch.float64), 1e3
    )
    assert found.tolist() == pytest.approx([9 / 8, 1 / 8], rel=1e-4)


def test_terms_by_hand() -> None:
    student = said([0.0, logit(0.1)], [1.0, 5.0])
    teacher = said([logit(0.8), logit(0.4)], [3.0, 4.5])
    divergence = 0.8 * np.log(1.6) + 0.2 * np.log(0.4) + 0.4 * np.log(4) + 0.6 * np.log(0.6 / 0.9)
    found = distiller(weight=3.0, box_weight=0.5)(student, teacher)
    assert float(found["distill/responses_class"]) == pytest.approx(3.0 * divergence / 1.2, rel=1e-5)
    boxes = 0.8 * 2.0 + 0.4 * 0.5
    assert float(found["distill/responses_box"]) == pytest.approx(3.0 * 0.5 * boxes / 1.2, rel=1e-5)


def test_the_divisor_is_at_least_one() -> None:
    found = distiller(weight=1.0)(said([0.0], [1.0]), said([logit(0.2)], [0.0]))
    assert float(found["distill/responses_box"]) == pytest.approx(0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_the_teacher_has_nothing_to_learn_and_another_network_has(kind: str) -> None:
    torch.manual_seed(0)
    teacher, other = tiny(kind).eval().requires_grad_(False), tiny(kind).eval()
    with torch.no_grad():
        for weight in other.parameters():  # fresh heads all say the same
            weight.add_(0.05 * torch.randn(weight.shape))
    images = torch.rand(2, 1, *GRID)
    told = DistillInput(teacher.features(images), [], teacher)
    same, losses = (
        distiller(weight=1.0)(DistillInput(one.features(images), [], one), told) for one in (teacher, other)
    )
    assert [float(value) for value in same.values()] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert all(float(value.detach()) > 1e-4 for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    moved = {name.split(".")[1] for name, one in other.named_parameters() if one.grad is not None}
    assert "backbone" in moved
    assert moved & {"head", "roi_heads"}
    assert ("rpn" in moved) == (kind == "faster_rcnn")


def test_a_second_stage_is_asked_about_the_teachers_proposals() -> None:
    torch.manual_seed(0)
    teacher, student = tiny("faster_rcnn").eval(), tiny("faster_rcnn").train()
    images = torch.rand(2, 1, *GRID)
    told = teacher.answers(teacher.features(images))
    own = student.answers(student.features(images), told.proposals)
    assert own.proposals is told.proposals
    asked = sum(len(one) for one in told.proposals)
    assert asked > 0
    anchors = 2 * (8 * 8 + 4 * 4 + 2 * 2) * 2
    assert own.logits.shape == (anchors + asked, 1)
    assert own.offsets.shape == (anchors + asked, 4)
    assert student.net.rpn.training
    # The second stage's probability is that of torchvision's softmax over lesion and no lesion
    maps = teacher._float_maps(teacher.features(images))
    pooled = teacher.net.roi_heads.box_roi_pool(maps, told.proposals, [GRID] * 2)
    logits, _ = teacher.net.roi_heads.box_predictor(teacher.net.roi_heads.box_head(pooled))
    torch.testing.assert_close(told.logits[anchors:, 0].sigmoid(), logits.softmax(dim=1)[:, 1])


def test_in_mixed_batches_the_teacher_is_shown_the_slices_alone() -> None:
    """And the student's answers are those that it gives with the mammograms in its batch norm."""
    torch.manual_seed(0)
    teacher, student, alike = (tiny("retinanet") for _ in range(3))
    alike.load_state_dict(student.state_dict())
    joint = JointConfig(size=2, batch_norm="mixed")
    step = StudentStep(student, distiller(weight=2.0), teacher, joint=joint).train()
    slices, mammograms, boxes = torch.rand(2, 1, *GRID), torch.rand(2, 1, *GRID), [torch.zeros(0, 4)] * 2
    losses = step(StudentBatch(slices, boxes, joint=mammograms, joint_boxes=boxes, strength=0.5))
    mixed, _ = mixed_features(alike.train(), slices, mammograms)
    told = DistillInput(teacher.features(slices), boxes, teacher)
    for key, value in distiller(weight=1.0)(DistillInput(mixed, boxes, alike), told).items():
        torch.testing.assert_close(losses[key], value)
        assert float(value.detach()) > 0


class TestMistakes:
    """What cannot be compared is refused."""

    def test_detectors_of_two_kinds(self) -> None:
        student, teacher = tiny("retinanet"), tiny("fcos")
        with pytest.raises(ConfigError, match="they are RetinaNetDetector and FcosDetector"):
            distiller().check(student, teacher)

    def test_a_head_that_cannot_be_asked(self) -> None:
        class Mute(Says):
            answers = Detector.answers

        mute = Mute(Answers(torch.zeros(1, 1), torch.zeros(1, 4)))
        with pytest.raises(ConfigError, match="the head of Mute cannot be asked"):
            distiller().check(mute, mute)

    def test_other_anchors(self) -> None:
        with pytest.raises(ConfigError, match=r"answers \(1, 1\) questions and the teacher's \(2, 1\)"):
            distiller()(said([0.0], [1.0]), said([0.0, 0.0], [1.0, 1.0]))
