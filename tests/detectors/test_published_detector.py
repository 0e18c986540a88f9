"""The published set-up: its size, its shapes, and equality with torchvision's own RetinaNet."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

from comoto.config import load_train_config
from comoto.detectors.checkpoint import build_blank_detector
from comoto.detectors.retinanet import RetinaNetConfig, RetinaNetDetector
from comoto.errors import ConfigError
from tiny_detectors import tiny

SIZES = ((16, 32, 64, 96, 128),)
SHAPE = (100, 56)
MIN_SIDE, MAX_SIDE = 90, 140


@pytest.fixture(scope="module")
def published() -> Any:
    """The detector of the paper preset, without memory."""
    config = load_train_config("paper")
    with torch.device("meta"):
        return build_blank_detector(config)


def test_parameters(published: RetinaNetDetector) -> None:
    """23,508,032 of ResNet-50, 2,049,000 of its unused classifier, and the head, counted by hand."""
    tower = 4 * (2048 * 2048 * 9 + 2048)
    head = 2 * tower + 2048 * 9 * 30 + 30 + 2048 * 9 * 60 + 60
    assert head == 303_665_242
    assert sum(p.numel() for p in published.net.head.parameters()) == head
    assert sum(p.numel() for p in published.parameters()) == 23_508_032 + 2_049_000 + head == 329_222_274


def test_shapes_and_operations(published: RetinaNetDetector) -> None:
    images = torch.empty(1, 1, 2048, 1024, device="meta")
    assert published.intake(images).shape == (1, 3, 1344, 672)
    assert published.intake.inner_shape((2048, 1024)).image == (1333, 666)
    with FlopCounterMode(display=False) as backbone:
        features = published.features(images)
    assert {name: tuple(level.shape[1:]) for name, level in features.levels.items()} == {
        "c3": (512, 168, 84),
        "c4": (1024, 84, 42),
        "c5": (2048, 42, 21),
    }
    assert published.level_specs["c5"].stride == 2048 / 42 == 1024 / 21
    assert published.head_levels == ("c5",)
    assert published._anchors(features)[0].shape == (42 * 21 * 15, 4)
    with FlopCounterMode(display=False) as head:
        published.head_outer(published.head_inner(features, 0), 0)
    # two operations a weight and cell, in eight layers of 3 x 3 and two outputs
    cells = 42 * 21
    by_hand = 2 * cells * 9 * 2048 * (8 * 2048 + 30 + 60)
    assert head.get_total_flops() == by_hand
    assert backbone.get_total_flops() / 1e9 == pytest.approx(147.1, abs=0.05)
    assert head.get_total_flops() / 1e9 == pytest.approx(535.6, abs=0.05)


class Stem(nn.Module):
    """ResNet-18 up to its last map, as torchvision's RetinaNet wants a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = resnet18(weights=None)
        self.out_channels = 512

    def forward(self, images: Tensor) -> Tensor:
        net = self.resnet
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        result: Tensor = net.layer4(net.layer3(net.layer2(net.layer1(x))))
        return result


def pair(pixel_range: int = 1, **settings: Any) -> tuple[RetinaNetDetector, RetinaNet]:
    """Our detector and torchvision's, with the same weights."""
    torch.manual_seed(0)
    ours = RetinaNetDetector(
        RetinaNetConfig.model_validate(
            {
                "backbone": {"name": "torchvision/resnet18"},
                "neck": "none",
                "classes": 2,
                "anchor_sizes": SIZES,
                "score_threshold": 0.05,
                "nms_iou": 0.5,
                "max_detections": 300,
                "pixel_range": pixel_range,
                "inner_resize": {"min_side": MIN_SIDE, "max_side": MAX_SIDE},
                **settings,
            }
        ),
        SHAPE,
    )
    anchors = AnchorGenerator(SIZES, ((0.5, 1.0, 2.0),))
    theirs = RetinaNet(Stem(), 2, min_size=MIN_SIDE, max_size=MAX_SIDE, anchor_generator=anchors)
    with torch.no_grad():  # scores on both sides of the threshold, for detections of both labels
        ours.net.head.classification_head.cls_logits.bias += 1.65
        for parameter in ours.net.head.parameters():
            parameter.mul_(1 if parameter.dim() == 1 else 2)
    weights = {
        key.replace("backbone.backbone.body.resnet", "backbone.resnet"): value
        for key, value in ours.net.state_dict().items()
    }
    theirs.load_state_dict(weights)
    return ours, theirs


def pictures(pixel_range: int = 1) -> tuple[Tensor, list[Tensor]]:
    """Grey images between 0 and 1, and the same as three channels of torchvision's range."""
    images = torch.rand(3, 1, *SHAPE, generator=torch.Generator().manual_seed(1))
    return images, [each.expand(3, -1, -1) * pixel_range for each in images]


BOXES = [
    torch.tensor([[4.0, 6.0, 30.0, 44.0], [20.0, 50.0, 51.0, 90.0]]),
    torch.zeros(0, 4),
    torch.tensor([[30.5, 61.25, 55.0, 99.0]]),
]


@pytest.mark.parametrize("pixel_range", [1, 255])
def test_losses_and_gradients_equal_torchvision(pixel_range: int) -> None:
    ours, theirs = pair(pixel_range)
    images, colour = pictures(pixel_range)
    targets = [{"boxes": b, "labels": torch.ones(len(b), dtype=torch.int64)} for b in BOXES]
    losses = ours.train().losses(ours.features(images), BOXES)
    wanted = theirs.train()(colour, targets)
    assert float(wanted["bbox_regression"].detach()) > 0.1
    assert torch.allclose(losses["detection/class"], wanted["classification"], atol=1e-5, rtol=1e-5)
    assert torch.allclose(losses["detection/box"], wanted["bbox_regression"], atol=1e-5, rtol=1e-5)
    sum(losses.values(), torch.zeros(())).backward()
    sum(wanted.values(), torch.zeros(())).backward()
    compared = 0
    named = dict(theirs.named_parameters())
    for key, parameter in ours.net.named_parameters():
        other = named[key.replace("backbone.backbone.body.resnet", "backbone.resnet")]
        if ".fc." in key:
            assert parameter.grad is None
            continue
        assert parameter.grad is not None
        assert other.grad is not None
        scale = float(other.grad.abs().max()) + 1e-12
        assert torch.allclose(parameter.grad / scale, other.grad / scale, atol=1e-5), key
        compared += 1
    assert compared == len(named) - 2


@pytest.mark.parametrize("pixel_range", [1, 255])
def test_detections_equal_those_of_torchvision_with_label_1(pixel_range: int) -> None:
    ours, theirs = pair(pixel_range)
    images, colour = pictures(pixel_range)
    with torch.no_grad():
        found = ours.eval().predict(ours.features(images))
        wanted = theirs.eval()(colour)
    labels = torch.cat([each["labels"] for each in wanted])
    assert {0, 1} == set(labels.tolist())
    for one, other in zip(found, wanted, strict=True):
        lesions = other["labels"] == 1
        assert int(lesions.sum()) > 5
        assert torch.allclose(one.scores, other["scores"][lesions], atol=1e-5)
        assert torch.allclose(one.boxes_xyxy, other["boxes"][lesions], atol=1e-3)


def test_the_batch_normaliser_divides_every_image_alike() -> None:
    """With n_i positive anchors and focal sums s_i: image s_i / max(1, n_i), batch s_i / max(1, mean n)."""
    settings: dict[str, Any] = {
        "neck": "none",
        "classes": 2,
        "anchor_sizes": SIZES,
        "aspect_ratios": (0.5, 1.0, 2.0),
    }
    settings |= {
        "inner_resize": {"min_side": MIN_SIDE, "max_side": MAX_SIDE},
        "foreground_iou": 0.5,
        "background_iou": 0.4,
    }
    ours, batch = tiny("retinanet", **settings), tiny("retinanet", **settings, normaliser="batch")
    batch.load_state_dict(ours.state_dict())
    images, _ = pictures()
    features = ours.eval().features(images)
    outputs, anchors = ours.head_outputs(features), ours._anchors(features)
    sums, positives = [], []
    for index, boxes in enumerate(BOXES):
        inside = ours.intake.boxes_inwards(boxes, SHAPE)
        labels = torch.zeros(len(anchors[index]), 2)
        ignored = torch.zeros(len(anchors[index]), dtype=torch.bool)
        if len(inside):
            overlap = overlaps(inside, anchors[index])
            best = overlap.max(dim=0).values
            positive = (best >= 0.5) | (overlap == overlap.max(dim=1, keepdim=True).values).any(dim=0)
            ignored = (best >= 0.4) & ~positive
            labels[positive, 1] = 1
        p = outputs["cls_logits"][index].sigmoid()
        agreement = torch.where(labels == 1, p, 1 - p)
        weight = torch.where(labels == 1, 0.25, 0.75)
        focal = -weight * (1 - agreement) ** 2 * agreement.log()
        sums.append(float(focal[~ignored].sum().detach()))
        positives.append(float(labels.sum()))
    assert positives[1] == 0 < min(positives[0], positives[2])
    image = sum(s / max(1, n) for s, n in zip(sums, positives, strict=True)) / 3
    mean = sum(sums) / 3 / (sum(positives) / 3)
    losses = [float(each.losses(features, BOXES)["detection/class"].detach()) for each in (ours, batch)]
    assert losses == pytest.approx([image, mean], rel=1e-5)
    empty = [torch.zeros(0, 4)] * 3
    assert float(ours.losses(features, empty)["detection/box"].detach()) == 0
    assert torch.allclose(
        ours.losses(features, empty)["detection/class"], batch.losses(features, empty)["detection/class"]
    )


def overlaps(boxes: Tensor, anchors: Tensor) -> Tensor:
    low = torch.maximum(boxes[:, None, :2], anchors[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], anchors[None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    area = [(each[:, 2:] - each[:, :2]).prod(dim=1) for each in (boxes, anchors)]
    return common / (area[0][:, None] + area[1][None] - common)


def test_a_detector_that_resizes_needs_the_grid() -> None:
    config = RetinaNetConfig.model_validate({"backbone": {"name": "thin"}, "inner_resize": {}})
    with pytest.raises(ConfigError, match="grid"):
        RetinaNetDetector(config)
