"""What every detector in the table promises."""

import pytest
import torch

from comoto import components
from comoto.config import load_train_config
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import build_detector


@pytest.fixture(scope="module", params=sorted(components.DETECTORS))
def detector(request: pytest.FixtureRequest) -> Detector:
    torch.manual_seed(0)
    config = load_train_config("demo", [f"detector.kind={request.param}"])
    return build_detector(config)


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
