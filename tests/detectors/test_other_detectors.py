"""FCOS and Faster R-CNN: equality with torchvision's own, who answers for which lesion, what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from comoto.detectors.faster_rcnn import FasterRcnnConfig, FasterRcnnDetector, SeededSampler
from comoto.detectors.fcos import FcosConfig, FcosDetector, match_points
from comoto.errors import ConfigError
from tiny_detectors import THIN, tiny

SHAPE = (256, 128)
BOXES = [
    torch.tensor([[4.0, 6.0, 30.0, 44.0], [20.0, 50.0, 120.0, 250.0], [60.0, 20.0, 76.0, 37.0]]),
    torch.zeros(0, 4),
]


class Levels(nn.Module):
    """Hands out maps that were computed before; stands where torchvision's detectors have their backbone."""

    out_channels = 64

    def __init__(self, maps: dict[str, Tensor]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.maps


def maps_of(detector: Any, images: Tensor) -> tuple[Any, dict[str, Tensor]]:
    features = detector.eval().features(images)
    return features, {name: features.levels[name] for name in detector.head_levels}


def test_fcos_equals_torchvision() -> None:
    torch.manual_seed(0)
    settings = {"scale_limits": (64, 128), "nms_iou": 0.6, "score_threshold": 0.2}
    config = FcosConfig.model_validate({**THIN, **settings})
    ours = FcosDetector(config)
    images = torch.rand(2, 1, *SHAPE)
    features, maps = maps_of(ours, images)
    theirs = FCOS(
        Levels(maps),
        1,
        min_size=SHAPE[1],
        max_size=SHAPE[0],
        anchor_generator=AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3),
        head=ours.net.head,
        score_thresh=0.2,
        nms_thresh=0.6,
        detections_per_img=50,
    )
    with torch.no_grad():
        ours.net.head.classification_head.cls_logits.bias += 3
    colour = [each.expand(3, -1, -1) for each in images]
    targets = [{"boxes": b, "labels": torch.zeros(len(b), dtype=torch.int64)} for b in BOXES]
    wanted = theirs.train()(colour, targets)
    losses = ours.losses(features, BOXES)
    for name, other in (("class", "classification"), ("box", "bbox_regression"), ("center", "bbox_ctrness")):
        assert float(wanted[other].detach()) > 0.1
        assert torch.allclose(losses[f"detection/{name}"], wanted[other], atol=1e-5)
    with torch.no_grad():
        found, other_found = ours.predict(features), theirs.eval()(colour)
    for one, other in zip(found, other_found, strict=True):
        assert len(one.scores) == len(other["scores"]) > 3
        assert torch.allclose(one.boxes_xyxy, other["boxes"], atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "limits"),
    [({}, (64.0, 128.0)), ({"coarse_levels": True}, (64.0, 128.0, 256.0, 512.0))],
)
def test_fcos_limits_follow_from_the_strides(settings: dict[str, Any], limits: tuple[float, ...]) -> None:
    detector = FcosDetector(FcosConfig.model_validate({**THIN, **settings}))
    assert detector._limits == limits


def test_points_answer_for_the_box_they_lie_in() -> None:
    """Worked out by hand: a point each for inside, off centre, outside, too far, the smaller of two."""
    boxes = torch.tensor([[0.0, 0.0, 40.0, 40.0], [16.0, 16.0, 28.0, 28.0]])
    points = torch.tensor([[12.0, 20.0], [2.0, 20.0], [50.0, 20.0], [20.0, 20.0], [22.0, 22.0], [20.0, 20.0]])
    radius = torch.tensor([12.0, 12.0, 12.0, 12.0, 12.0, 12.0])
    # distance to the farthest side: 28 to the right edge of box 0; 20 in its centre, 8 in box 1; 22 and 6
    low = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 20.0])
    high = torch.tensor([29.0, 99.0, 99.0, 99.0, 6.0, 99.0])
    assert match_points(points, boxes, radius, (low, high)).tolist() == [0, -1, -1, 1, -1, 0]
    assert match_points(points, boxes[:0], radius, (low, high)).tolist() == [-1] * 6
    # if no point is within the limits of box 1, its points answer for it without limits
    nowhere = torch.full((6,), 50.0)
    assert match_points(points, boxes[1:], radius, (nowhere, high)).tolist() == [-1, -1, -1, 0, 0, 0]


def test_every_box_from_the_stride_on_gets_a_point() -> None:
    detector = tiny("fcos")
    generator = torch.Generator().manual_seed(0)
    sides = 8.5 + 45 * torch.rand(120, 2, generator=generator)
    corners = torch.rand(120, 2, generator=generator) * (64 - sides).clamp(min=0)
    features = detector.features(torch.rand(1, 1, 64, 64))
    for corner, side in zip(corners, sides, strict=True):
        box = torch.cat((corner, corner + side))[None]
        assert float(detector.losses(features, [box])["detection/box"].detach()) > 0, box


def test_faster_rcnn_detects_what_torchvision_detects() -> None:
    """Both stages on equal maps; torchvision's sampler is random, so losses are compared on all examples."""
    torch.manual_seed(0)
    sizes = ((10, 14), (20, 28), (38, 48))
    config = FasterRcnnConfig.model_validate(
        {
            **THIN,
            "anchor_sizes": sizes,
            "aspect_ratios": (1.0,),
            "foreground_iou": 0.5,
            "canonical_side": 48,
            "proposals": 100,
            "sampled_anchors": 10_000,
            "sampled_proposals": 10_000,
        }
    )
    ours = FasterRcnnDetector(config)
    images = torch.rand(2, 1, *SHAPE)
    features, maps = maps_of(ours, images)
    theirs = FasterRCNN(
        Levels(maps),
        min_size=SHAPE[1],
        max_size=SHAPE[0],
        rpn_anchor_generator=AnchorGenerator(sizes, ((1.0,),) * 3),
        rpn_head=ours.net.rpn.head,
        rpn_fg_iou_thresh=0.5,
        rpn_pre_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_train=100,
        rpn_post_nms_top_n_test=100,
        rpn_batch_size_per_image=10_000,
        box_roi_pool=MultiScaleRoIAlign(["p3", "p4", "p5"], 7, 2, canonical_scale=48),
        box_head=ours.net.roi_heads.box_head,
        box_predictor=ours.net.roi_heads.box_predictor,
        box_batch_size_per_image=10_000,
        box_score_thresh=0.01,
        box_nms_thresh=0.3,
        box_detections_per_img=50,
    )
    colour = [each.expand(3, -1, -1) for each in images]
    targets = [{"boxes": b, "labels": torch.ones(len(b), dtype=torch.int64)} for b in BOXES]
    wanted = theirs.train()(colour, targets)
    losses = ours.losses(features, BOXES)
    names = ("class", "loss_classifier"), ("box", "loss_box_reg"), ("proposal_class", "loss_objectness")
    for name, other in (*names, ("proposal_box", "loss_rpn_box_reg")):
        assert float(wanted[other].detach()) > 0
        assert torch.allclose(losses[f"detection/{name}"], wanted[other], atol=1e-5)
    with torch.no_grad():
        found, other_found = ours.predict(features), theirs.eval()(colour)
    for one, other in zip(found, other_found, strict=True):
        assert len(one.scores) == len(other["scores"]) > 3
        assert torch.allclose(one.boxes_xyxy, other["boxes"], atol=1e-3)


def test_the_sampler_draws_the_asked_share_and_goes_on_where_it_was_saved() -> None:
    labels = [torch.tensor([1.0] * 30 + [0.0] * 50 + [-1.0] * 20), torch.zeros(40)]
    sampler = SeededSampler(20, 0.25, seed=0)
    positive, negative = sampler(labels)
    assert [int(each.sum()) for each in positive] == [5, 0]
    assert [int(each.sum()) for each in negative] == [15, 20]
    assert bool(positive[0][:30].any())
    assert not bool(positive[0][30:].any())
    assert not bool(negative[0][80:].any())
    resumed = SeededSampler(20, 0.25, seed=0)
    resumed.load_state_dict(sampler.state_dict())
    again = sampler(labels)
    assert not torch.equal(again[0][0], positive[0])
    assert all(torch.equal(a, b) for a, b in zip(again[0], resumed(labels)[0], strict=True))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("fcos", {"scale_limits": (12,)}, "1 numbers for the levels p3, p4, p5; needed are 2"),
        ("fcos", {"scale_limits": (24, 12)}, r"\[24\.0, 12\.0\] must be positive and rise"),
        ("fcos", {"pyramid_channels": 48}, "32 groups of channels, 48 cannot"),
        ("faster_rcnn", {"anchor_sizes": ((8,),)}, "1 tuples for the levels p3, p4, p5"),
        ("retinanet", {"anchor_sizes": ((8,), (16, 20), (32,))}, "same number of sizes"),
        ("retinanet", {"neck": "none"}, "3 tuples for the levels c5"),
    ],
)
def test_settings_that_do_not_fit_are_refused(kind: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(kind, **settings)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("retinanet", {"anchor_sizes": ((12, 24, 48),)}),
        ("fcos", {"scale_limits": ()}),
        ("faster_rcnn", {"anchor_sizes": ((12, 24, 48),)}),
    ],
)
def test_every_kind_works_on_one_map_and_with_an_inner_resize(kind: str, settings: dict[str, Any]) -> None:
    resize = {"min_side": 96, "max_side": 160}
    detector = tiny(kind, neck="none", inner_resize=resize, pixel_range=255, **settings)
    features = detector.features(torch.rand(2, 1, 64, 64))
    assert features.levels["c5"].shape[-2:] == (3, 3)
    assert detector.level_specs["c5"].stride == pytest.approx(64 / 3)
    assert set(features.levels) == set(detector.level_specs) == {"c3", "c4", "c5"}
    losses = detector.losses(features, [torch.tensor([[10.0, 10.0, 54.0, 54.0]]), torch.zeros(0, 4)])
    assert all(bool(torch.isfinite(value)) for value in losses.values())
    assert float(losses["detection/box"].detach()) > 0
    for one in detector.eval().predict(features):
        assert bool((one.boxes_xyxy <= 64).all())


@pytest.mark.parametrize("kind", ["retinanet", "fcos", "faster_rcnn"])
def test_anchors_of_a_bfloat16_network_are_exact(kind: str) -> None:
    """Bfloat16 has eight bits: anchors in it would be off by up to two pixels from 512 on."""
    torch.manual_seed(0)
    detector = tiny(kind).eval()
    images = torch.rand(1, 1, 64, 64)
    boxes = [torch.tensor([[12.0, 20.0, 36.0, 44.0]])]
    exact = detector.losses(detector.features(images), boxes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = detector.features(images)
        close = detector.losses(features, boxes)
        found = detector.predict(features)[0]
    assert features.levels["c5"].dtype == torch.bfloat16
    assert found.boxes_xyxy.dtype == found.scores.dtype == torch.float32
    for key, value in exact.items():
        assert torch.allclose(value, close[key].float(), rtol=0.1, atol=0.02), key


def test_anchor_places_in_bfloat16() -> None:
    detector = tiny("retinanet").eval()
    wide = torch.zeros(1, 1, 32, 1024)
    with torch.no_grad():
        exact = detector._anchors(detector.features(wide))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = detector.features(wide)
            assert torch.equal(detector._anchors(features)[0], exact[0])
    assert float(exact[0][:, 0].max()) > 900
