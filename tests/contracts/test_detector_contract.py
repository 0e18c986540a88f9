"""What every detector in the table promises."""

from pathlib import Path

import pytest
import torch

from comoto import components
from comoto.config import TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import About, load_checkpoint, save_checkpoint
from tiny_detectors import tiny, tiny_config


@pytest.fixture(params=sorted(components.DETECTORS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def detector(kind: str) -> Detector:
    torch.manual_seed(0)
    made: Detector = tiny(kind)
    return made


def test_maps_have_the_shapes_that_the_detector_states(detector: Detector) -> None:
    features = detector.features(torch.rand(2, 1, 128, 64))
    assert features.image_shape == (128, 64)
    assert set(features.levels) == set(detector.level_specs)
    for name, spec in detector.level_specs.items():
        assert features.levels[name].shape == (2, spec.channels, 128 // spec.stride, 64 // spec.stride)


def test_images_without_lesions_train(detector: Detector) -> None:
    detector.train()
    detector.zero_grad()
    losses = detector.losses(detector.features(torch.rand(2, 1, 64, 64)), [torch.zeros(0, 4)] * 2)
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(key.startswith("detection/") for key in losses)
    sum(losses.values(), torch.zeros(())).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in detector.parameters())


def test_detections_lie_inside_the_image_highest_first(detector: Detector) -> None:
    detector.eval()
    with torch.no_grad():
        found = detector.predict(detector.features(torch.rand(2, 1, 96, 64)))
    assert len(found) == 2
    for one in found:
        assert one.boxes_xyxy.shape == (len(one.scores), 4)
        assert bool((one.boxes_xyxy >= 0).all())
        assert bool((one.boxes_xyxy[:, [0, 2]] <= 64).all())
        assert bool((one.boxes_xyxy[:, [1, 3]] <= 96).all())
        assert bool((one.scores[:-1] >= one.scores[1:]).all())


@pytest.mark.slow
def test_a_detector_learns_one_picture(detector: Detector) -> None:
    """Sixty steps on one square: it is found, and nothing else scores as high."""
    torch.manual_seed(1)
    image = torch.rand(1, 1, 64, 64) * 0.2
    image[..., 20:44, 12:36] = 1.0
    box = torch.tensor([[12.0, 20.0, 36.0, 44.0]])
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    detector.train()
    for _ in range(60):
        losses = detector.losses(detector.features(image.repeat(2, 1, 1, 1)), [box, box])
        optimizer.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        optimizer.step()
    detector.eval()
    with torch.no_grad():
        best = detector.predict(detector.features(image))[0]
    assert float(best.scores[0]) > 0.5
    assert torch.allclose(best.boxes_xyxy[0], box[0], atol=4.0)


def test_losses_do_not_depend_on_the_mode_and_predictions_neither(detector: Detector) -> None:
    features = detector.train().features(torch.rand(1, 1, 64, 64))
    boxes = [torch.tensor([[12.0, 20.0, 36.0, 44.0]])]
    keys = detector.losses(features, boxes).keys()
    trained = detector.predict(features)
    assert detector.eval().losses(features, boxes).keys() == keys
    assert torch.equal(detector.predict(features)[0].boxes_xyxy, trained[0].boxes_xyxy)


def test_equal_seeds_give_equal_losses(kind: str) -> None:
    def values() -> list[float]:
        torch.manual_seed(3)
        detector: Detector = tiny(kind)
        images = torch.rand(2, 1, 64, 64)
        boxes = [torch.tensor([[12.0, 20.0, 36.0, 44.0]]), torch.zeros(0, 4)]
        torch.seed()  # what is drawn from now on must not depend on the global generator
        both = [detector.losses(detector.features(images), boxes) for _ in range(2)]
        return [float(loss.detach()) for losses in both for loss in losses.values()]

    assert values() == values()


def test_a_checkpoint_gives_the_same_detections(kind: str, detector: Detector, tmp_path: Path) -> None:
    config = TrainConfig.model_validate({"detector": tiny_config(kind).model_dump()})
    detector.train()
    detector.features(torch.rand(2, 1, 64, 64))  # the batch norms move
    save_checkpoint(tmp_path, detector, config, About("teacher", 1, {}))
    loaded = load_checkpoint(tmp_path).detector
    images = torch.rand(1, 1, 96, 64)
    with torch.no_grad():
        ours = detector.eval().predict(detector.features(images))[0]
        theirs = loaded.predict(loaded.features(images))[0]
    assert torch.equal(ours.scores, theirs.scores)
    assert torch.equal(ours.boxes_xyxy, theirs.boxes_xyxy)


def test_the_head_can_be_cut_after_every_convolution(detector: Detector) -> None:
    """The two parts give what the whole head gives, and what its own forward in torchvision gives."""
    features = detector.eval().features(torch.rand(2, 1, 96, 64))
    if detector.head_depth == 0:
        with pytest.raises(ValueError, match="cannot be cut"):
            detector.head_inner(features, 0)
        return
    whole = detector.net.head([features.levels[name] for name in detector.head_levels])
    for layer in range(detector.head_depth + 1):
        maps = detector.head_inner(features, layer)
        assert [each.shape[-2:] for each in maps.classes] == [each.shape[-2:] for each in maps.boxes]
        outputs = detector.head_outer(maps, layer)
        assert outputs.keys() == whole.keys()
        assert all(torch.allclose(outputs[key], whole[key], atol=1e-6) for key in whole)
    for beyond in (-1, detector.head_depth + 1):
        with pytest.raises(ValueError, match="cannot be cut"):
            detector.head_inner(features, beyond)
