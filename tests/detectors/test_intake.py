"""What the backbone sees, against torchvision's own transform picture by picture."""

import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from comoto.detectors.intake import MEAN, STD, InnerResizeConfig, Intake


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(200, 130), (96, 64), (64, 150)])
def test_a_batch_is_resized_to_the_bits_of_its_pictures(channels: int, shape: tuple[int, int]) -> None:
    intake = Intake(channels, 255, InnerResizeConfig(min_side=96, max_side=160))
    images = torch.rand(3, 1, *shape)
    theirs = GeneralizedRCNNTransform(96, 160, MEAN[channels], STD[channels]).eval()
    pictures = [(image * 255).expand(channels, -1, -1) for image in images]
    assert torch.equal(intake(images), theirs(pictures)[0].tensors)
