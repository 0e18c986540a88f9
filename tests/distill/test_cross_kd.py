"""CrossKD against NumPy on a head of two 1 x 1 convolutions, and on the real heads."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from comoto.config import load_train_config
from comoto.detectors.base import BoxTensors, Detector, Features, HeadMaps, LevelSpec
from comoto.detectors.checkpoint import build_detector
from comoto.distill.base import DistillInput
from comoto.distill.cross_kd import CrossKdConfig, CrossKdDistiller, quality_focal, rescaled
from comoto.distill.pkd import PkdConfig, PkdDistiller
from comoto.errors import ConfigError

GRID = (64, 32)
SPECS = {"p3": LevelSpec(4, 8)}


class TwoLayerHead(Detector):
    """Each tower is one 1 x 1 convolution and ReLU, then one last layer; one anchor a cell, two classes."""

    level_specs = SPECS
    head_depth = 1

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList([nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)])
        self.outer = nn.ModuleList([nn.Conv2d(4, 2, 1), nn.Conv2d(4, 4, 1)])

    def features(self, images: Tensor) -> Features:
        raise NotImplementedError

    def losses(self, features: Features, boxes: list[Tensor]) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, features: Features) -> list[BoxTensors]:
        raise NotImplementedError

    def head_inner(self, features: Features, layer: int) -> HeadMaps:
        maps = features.levels["p3"]
        towers = [torch.relu(own(maps)) if layer else maps for own in self.inner]
        return HeadMaps([towers[0]], [towers[1]])

    def head_outer(self, maps: HeadMaps, layer: int) -> dict[str, Tensor]:
        towers = [maps.classes[0], maps.boxes[0]]
        if layer == 0:
            towers = [torch.relu(own(each)) for own, each in zip(self.inner, towers, strict=True)]
        last = [own(each).flatten(2).transpose(1, 2) for own, each in zip(self.outer, towers, strict=True)]
        return {"cls_logits": last[0], "bbox_regression": last[1]}


def pair() -> tuple[TwoLayerHead, TwoLayerHead]:
    torch.manual_seed(0)
    return TwoLayerHead(), TwoLayerHead().eval().requires_grad_(False)


def side(seed: int, detector: Detector) -> DistillInput:
    maps = torch.randn(2, 4, 8, 4, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    return DistillInput(Features({"p3": maps}, GRID), [torch.zeros(0, 4)] * 2, detector)


def convolved(layer: nn.Module, maps: np.ndarray) -> np.ndarray:
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    weight = layer.weight.detach().numpy().astype(np.float64)[:, :, 0, 0]
    return np.einsum("oc,bchw->bohw", weight, maps) + layer.bias.detach().numpy()[:, None, None]


@pytest.mark.parametrize(("layer", "rescale"), [(0, False), (1, False), (0, True), (1, True)])
def test_cross_kd_equals_the_formula(layer: int, rescale: bool) -> None:
    student, teacher = pair()
    config = CrossKdConfig(weight=2.0, box_weight=0.5, layer=layer, rescale=rescale)
    own_maps, told_maps = (
        one.features.levels["p3"].detach().numpy().astype(np.float64)
        for one in (side(0, student), side(1, teacher))
    )
    logits, boxes = [], []
    for tower in range(2):
        told = told_maps if layer == 0 else np.maximum(convolved(teacher.inner[tower], told_maps), 0)
        own = own_maps if layer == 0 else np.maximum(convolved(student.inner[tower], own_maps), 0)
        if rescale:
            axes = (0, 2, 3)
            own = (own - own.mean(axes, keepdims=True)) / own.std(axes, keepdims=True)
            own = own * told.std(axes, keepdims=True) + told.mean(axes, keepdims=True)
            own = own if layer == 0 else np.maximum(own, 0)
        if layer == 0:
            own, told = (np.maximum(convolved(teacher.inner[tower], maps), 0) for maps in (own, told))
        (logits if tower == 0 else boxes).extend(convolved(teacher.outer[tower], m) for m in (own, told))
    p, t = (1 / (1 + np.exp(-each)) for each in logits)
    entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    sure = t.max(axis=1)
    classes = 2.0 * (np.abs(t - p) * entropy).sum() / sure.sum()
    distances = 2.0 * 0.5 * (sure * np.abs(boxes[0] - boxes[1]).mean(axis=1)).sum() / sure.sum()
    assert sure.sum() > 1
    found = CrossKdDistiller(config, SPECS, GRID)(side(0, student), side(1, teacher))
    assert float(found["distill/cross_kd_class"].detach()) == pytest.approx(float(classes), rel=1e-4)
    assert float(found["distill/cross_kd_box"].detach()) == pytest.approx(float(distances), rel=1e-4)


def test_gradient_reaches_the_students_inner_layers_and_maps_only() -> None:
    student, teacher = pair()
    own, told = side(0, student), side(1, teacher)
    distiller = CrossKdDistiller(CrossKdConfig(layer=1), SPECS, GRID)
    torch.stack(list(distiller(own, told).values())).sum().backward()
    maps = own.features.levels["p3"].grad
    assert maps is not None
    assert float(maps.abs().sum()) > 0
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in student.inner.parameters())
    assert all(p.grad is None for p in student.outer.parameters())  # the teacher's stand in their place
    assert all(p.grad is None for p in teacher.parameters())
    assert told.features.levels["p3"].grad is None


def test_the_divisor_is_at_least_one() -> None:
    student, teacher = pair()
    with torch.no_grad():
        layer = teacher.outer[0]
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        layer.weight.zero_()
        layer.bias.fill_(-20.0)  # the teacher is sure of nothing: confidences of 2e-9
    found = CrossKdDistiller(CrossKdConfig(), SPECS, GRID)(side(0, student), side(1, teacher))
    assert float(found["distill/cross_kd_box"].detach()) < 1e-6


def test_quality_focal_by_hand() -> None:
    # x = 0 is p = 0.5; t = 0.9: BCE = ln 2, difference 0.4
    logits, target = torch.zeros(1), torch.tensor([0.9])
    assert float(quality_focal(logits, target, 1.0)) == pytest.approx(0.4 * np.log(2))
    assert float(quality_focal(logits, target, 2.0)) == pytest.approx(0.16 * np.log(2))
    assert float(quality_focal(logits, torch.tensor([0.5]), 1.0)) == 0.0


def test_rescaled_maps_have_the_teachers_mean_and_deviation() -> None:
    own, theirs = (HeadMaps([torch.randn(3, 4, 5, 5) * k + k], [torch.randn(3, 4, 5, 5)]) for k in (2, 7))
    result = rescaled(own, theirs, activated=False).classes[0]
    torch.testing.assert_close(
        result.mean((0, 2, 3)), theirs.classes[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(result.std((0, 2, 3)), theirs.classes[0].std((0, 2, 3)), rtol=1e-4, atol=1e-4)
    assert float(rescaled(own, theirs, activated=True).classes[0].min()) >= 0


def built(kind: str, *settings: str) -> Detector:
    torch.manual_seed(0)
    overrides = [f"detector.kind={kind}", "detector.backbone.name=thin", "detector.pyramid_channels=64"]
    if kind != "retinanet":
        overrides += ["detector.coarse_levels=false"]
    if kind == "fcos":
        overrides += ["detector.scale_limits=[16, 32]", "detector.tower_convolutions=2"]
    if kind == "faster_rcnn":
        overrides += ["detector.anchor_sizes=[[16], [32], [64]]", "detector.box_features=16"]
    return build_detector(load_train_config("demo", [*overrides, *settings])).eval()


def demo_side(detector: Detector) -> DistillInput:
    images = torch.rand(2, 1, *GRID, generator=torch.Generator().manual_seed(4))
    return DistillInput(detector.features(images), [torch.zeros(0, 4)] * 2, detector)


@pytest.mark.parametrize("kind", ["retinanet", "fcos"])
@pytest.mark.parametrize("layer", [0, 1, 2, None])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(kind: str, layer: int | None) -> None:
    detector = built(kind)
    distiller = CrossKdDistiller(CrossKdConfig(layer=layer), detector.level_specs, GRID)
    distiller.check(detector, detector)
    for value in distiller(demo_side(detector), demo_side(detector)).values():
        assert float(value.detach()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("student", "teacher", "settings", "message"),
    [
        (
            ("faster_rcnn",),
            ("faster_rcnn",),
            {},
            "head of FasterRcnnDetector cannot be cut.*distill.kind=pkd",
        ),
        (("retinanet",), ("faster_rcnn",), {}, "head of FasterRcnnDetector cannot be cut"),
        (("retinanet",), ("fcos",), {}, "RetinaNetDetector of depth 2 and FcosDetector of depth 2"),
        (
            ("retinanet", "detector.tower_convolutions=1"),
            ("retinanet",),
            {},
            "of depth 1 and RetinaNetDetector of depth 2",
        ),
        (("retinanet",), ("retinanet",), {"layer": 3}, r"distill\.layer=3: the towers have 2 convolutions"),
        (("retinanet", "detector.pyramid_channels=32"), ("retinanet",), {}, "student has 32 channels.*64"),
    ],
)
def test_pairs_that_cannot_be_crossed_are_refused(
    student: tuple[str, ...], teacher: tuple[str, ...], settings: dict[str, Any], message: str
) -> None:
    own, theirs = built(*student), built(*teacher)
    distiller = CrossKdDistiller(CrossKdConfig(**settings), own.level_specs, GRID)
    with pytest.raises(ConfigError, match=message):
        distiller.check(own, theirs)


def test_slices_need_equal_strides() -> None:
    own, theirs = TwoLayerHead(), TwoLayerHead()
    theirs.level_specs = {"p3": LevelSpec(4, 16)}
    for distiller in (
        CrossKdDistiller(CrossKdConfig(), SPECS, GRID),
        PkdDistiller(PkdConfig(), SPECS, GRID),
    ):
        with pytest.raises(ConfigError, match="strides of level p3 differ, 8 of the student and 16"):
            distiller.check(own, theirs)


def test_it_says_what_it_misses() -> None:
    student, teacher = pair()
    blind = DistillInput(side(0, student).features, [])
    with pytest.raises(ValueError, match="both sides need their detector"):
        CrossKdDistiller(CrossKdConfig(), SPECS, GRID)(blind, side(1, teacher))
