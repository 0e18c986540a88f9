"""What one step of the student computes: joint mammograms, the teacher's view, and how strong it is."""

import copy
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from comoto.config import JointConfig, load_train_config
from comoto.detectors import device
from comoto.detectors.base import Detector, Features
from comoto.detectors.checkpoint import build_detector
from comoto.detectors.device import channels_last
from comoto.distill.base import Distiller, DistillerConfig, DistillInput
from comoto.distill.none import NoDistiller, NoDistillerConfig
from comoto.training.batch import StudentBatch
from comoto.training.loop import epoch_means, ratio_warning
from comoto.training.steps import StudentStep, distill_strength

GRID = (64, 32)
BOX = torch.tensor([[4.0, 6.0, 18.0, 24.0]])
NONE = torch.zeros(0, 4)


class Recorder(Distiller):
    """Keeps what it is shown and returns the mean of the student's map."""

    Config: ClassVar[type[DistillerConfig]] = DistillerConfig
    teacher_sees: ClassVar[Literal["nothing", "mammograms", "slices"]] = "slices"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[DistillInput, DistillInput]] = []

    def forward(self, student: DistillInput, teacher: DistillInput) -> dict[str, Tensor]:
        self.seen.append((student, teacher))
        return {"distill/recorded": 1 + student.features.levels["p3"].square().mean()}


class UnpairedRecorder(Recorder):
    """The same on mammograms."""

    teacher_sees: ClassVar[Literal["nothing", "mammograms", "slices"]] = "mammograms"


def detector(seed: int) -> Detector:
    torch.manual_seed(seed)
    overrides = [f"preprocess.rows={GRID[0]}", f"preprocess.columns={GRID[1]}", "init=scratch"]
    return build_detector(load_train_config("demo", overrides))


def pictures(number: int, seed: int) -> Tensor:
    return torch.rand(number, 1, *GRID, generator=torch.Generator().manual_seed(seed))


def no_distiller() -> NoDistiller:
    return NoDistiller(NoDistillerConfig(), {}, GRID)


def statistics(module: nn.Module) -> dict[str, Tensor]:
    return {
        key: value.clone()
        for key, value in module.state_dict().items()
        if key.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }


def joint_step(batch_norm: str, weight: float = 1.0) -> StudentStep:
    settings = JointConfig(size=3, weight=weight, batch_norm=batch_norm)
    step = StudentStep(detector(0), no_distiller(), None, joint=settings)
    step.train()
    return step


def test_an_own_pass_normalises_by_itself_and_leaves_the_running_statistics() -> None:
    slices, mammograms = pictures(2, 0), 0.2 * pictures(3, 1) + 0.7
    plain, joint = joint_step("own"), joint_step("own")
    alone = plain(StudentBatch(slices, [BOX, NONE]))
    modes: list[bool] = []
    for module in joint.detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda m, *_: modes.append(m.training))
    before = statistics(joint.detector)
    both = joint(StudentBatch(slices, [BOX, NONE], joint=mammograms, joint_boxes=[BOX, BOX, NONE]))
    assert before
    assert modes
    assert all(modes)
    after, wanted = statistics(joint.detector), statistics(plain.detector)
    assert all(torch.equal(after[key], wanted[key]) for key in wanted)
    assert not all(torch.equal(after[key], before[key]) for key in wanted)  # the slices did move them
    assert all(torch.equal(both[key], alone[key]) for key in alone)
    # What the mammograms give alone, in a batch of their own in train mode
    other = detector(0).train()
    reference = other.losses(other.features(mammograms), [BOX, BOX, NONE])
    assert {key for key in both if key not in alone} == {"mammograms/class", "mammograms/box"}
    for key, loss in reference.items():
        torch.testing.assert_close(both[key.replace("detection/", "mammograms/")], loss)
    assert all(m.track_running_stats for m in joint.detector.modules() if isinstance(m, nn.BatchNorm2d))


def test_a_mixed_pass_normalises_slices_and_mammograms_together() -> None:
    slices, mammograms = pictures(2, 0), 0.2 * pictures(3, 1) + 0.7
    batch = StudentBatch(slices, [BOX, NONE], joint=mammograms, joint_boxes=[BOX, BOX, NONE])
    step = joint_step("mixed")
    losses = step(batch)
    whole = detector(0).train()
    channels_last(whole)  # as the step does, so that both add up in the same order
    features = whole.features(torch.cat([slices, mammograms]))
    after, wanted = statistics(step.detector), statistics(whole)
    assert all(torch.equal(after[key], wanted[key]) for key in wanted)
    own = joint_step("own")(batch)
    assert not torch.equal(own["detection/class"], losses["detection/class"])
    for name, part, boxes in (
        ("detection", slice(2), [BOX, NONE]),
        ("mammograms", slice(2, 5), [BOX, BOX, NONE]),
    ):
        levels = {key: level[part] for key, level in features.levels.items()}
        reference = whole.losses(Features(levels, GRID), boxes)
        for key in ("class", "box"):
            torch.testing.assert_close(losses[f"{name}/{key}"], reference[f"detection/{key}"])


def test_kernels_lie_as_images_come() -> None:
    step = joint_step("own")
    kernels = [each for each in step.parameters() if each.dim() == 4]
    assert any(each.shape[2:] == (1, 1) for each in kernels)
    for each in kernels:  # those of 1 x 1 too, whose two orders differ in their strides only
        assert each.stride() == each.clone(memory_format=torch.channels_last).stride()


def test_very_large_kernels_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "LARGEST_KERNEL", 100)
    assert all(each.is_contiguous() for each in joint_step("own").parameters())


def test_the_weight_of_joint_mammograms() -> None:
    batch = StudentBatch(pictures(2, 0), [BOX, NONE], joint=pictures(2, 1), joint_boxes=[BOX, NONE])
    once, thrice = (joint_step("own", weight)(batch) for weight in (1.0, 3.0))
    for key in ("mammograms/class", "mammograms/box"):
        torch.testing.assert_close(3 * once[key], thrice[key])
    assert torch.equal(once["detection/class"], thrice["detection/class"])


def test_joint_mammograms_teach_the_student() -> None:
    step = joint_step("own")
    losses = step(StudentBatch(pictures(2, 0), [NONE, NONE], joint=pictures(2, 1), joint_boxes=[BOX, NONE]))
    losses["mammograms/box"].backward()
    assert sum(float(p.grad.abs().sum()) for p in step.detector.parameters() if p.grad is not None) > 0


def test_the_teacher_looks_at_the_students_slices() -> None:
    teacher, distiller = detector(1), Recorder()
    step = StudentStep(detector(0), distiller, teacher)
    step.train()
    slices, boxes = pictures(2, 0), [BOX, NONE]
    assert not step.needs_mammograms
    step(StudentBatch(slices, boxes))
    student, told = distiller.seen[0]
    assert student.detector is step.detector
    assert told.detector is teacher
    assert student.boxes is boxes
    assert told.boxes is boxes
    wanted = copy.deepcopy(teacher).features(slices)
    for level, features in told.features.levels.items():
        torch.testing.assert_close(features, wanted.levels[level].detach())
        assert not features.requires_grad
    assert student.features.levels["p3"].requires_grad


def test_the_teacher_looks_at_mammograms_of_other_patients() -> None:
    teacher, distiller = detector(1), UnpairedRecorder()
    step = StudentStep(detector(0), distiller, teacher)
    assert step.needs_mammograms
    mammograms = pictures(3, 4)
    step(StudentBatch(pictures(2, 0), [BOX, NONE], mammograms, [BOX] * 3))
    student, told = distiller.seen[0]
    assert len(student.features.levels["p3"]) == 2
    assert len(told.boxes) == 3
    torch.testing.assert_close(told.features.levels["p3"], teacher.features(mammograms).levels["p3"].detach())
    with pytest.raises(ValueError, match="needs a batch of mammograms"):
        step(StudentBatch(pictures(2, 0), [BOX, NONE]))


def test_strength_scales_distillation_and_zero_skips_the_teacher() -> None:
    slices, boxes = pictures(2, 0), [BOX, NONE]
    losses = {}
    for strength in (0.0, 0.25, 1.0):
        distiller = Recorder()
        step = StudentStep(detector(0), distiller, detector(1))
        step.train()
        losses[strength] = step(StudentBatch(slices, boxes, strength=strength))
        assert len(distiller.seen) == (strength > 0)
    assert "distill/recorded" not in losses[0.0]
    torch.testing.assert_close(losses[0.25]["distill/recorded"] * 4, losses[1.0]["distill/recorded"])
    assert torch.equal(losses[0.0]["detection/class"], losses[1.0]["detection/class"])


@pytest.mark.parametrize("head", [False, True])
def test_the_teachers_head_is_run_only_when_asked_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, head: bool
) -> None:
    teacher, asked = detector(1), []
    predict = teacher.predict

    def counted(features: Any) -> Any:
        asked.append(features)
        return predict(features)

    monkeypatch.setattr(teacher, "predict", counted)
    step = StudentStep(detector(0), Recorder(), teacher, teacher_head=head)
    losses = step(StudentBatch(pictures(2, 0), [BOX, NONE]))
    assert len(asked) == head
    plain = StudentStep(detector(0), Recorder(), detector(1))(StudentBatch(pictures(2, 0), [BOX, NONE]))
    assert all(torch.equal(losses[key], plain[key]) for key in plain)


def test_strength_starts_late_and_rises() -> None:
    late = DistillerConfig(kind="x", start_epoch=2)
    assert [distill_strength(step, 5, late) for step in (0, 9, 10, 11, 99)] == [0, 0, 1, 1, 1]
    ramp = DistillerConfig(kind="x", start_epoch=1, ramp_epochs=2)
    factors = [distill_strength(step, 2, ramp) for step in range(8)]
    assert factors == pytest.approx([0, 0, 0.25, 0.5, 0.75, 1, 1, 1])
    assert distill_strength(0, 5, DistillerConfig(kind="x")) == 1


def test_the_ratio_of_distillation_to_detection() -> None:
    losses = {
        "detection/class": [torch.tensor(1.0), torch.tensor(2.0)],
        "detection/box": [torch.tensor(0.5), torch.tensor(0.5)],
        "distill/a": [torch.tensor(3.0)],  # a step without lesions has none
        "distill/b": [torch.tensor(0.5), torch.tensor(0.5)],
        "mammograms/class": [torch.tensor(9.0), torch.tensor(9.0)],
    }
    values = epoch_means(losses)
    assert values["detection/class"] == 1.5
    assert values["distill/a"] == 3.0
    assert values["distill/ratio"] == pytest.approx((3 + 1) / (3 + 1))
    assert "distill/ratio" not in epoch_means({"detection/class": [torch.tensor(1.0)]})


@pytest.mark.parametrize(("ratio", "word"), [(1.01, "lower"), (0.009, "raise"), (1.0, None), (0.01, None)])
def test_a_ratio_out_of_bounds_is_told(ratio: float, word: str | None) -> None:
    line = ratio_warning({"distill/ratio": ratio})
    assert line is None if word is None else f"{word} distill.weight" in str(line)
    assert ratio_warning({}) is None
