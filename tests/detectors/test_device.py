"""The order in which kernels lie in memory."""

import torch
from torch import nn

from comoto.detectors.device import LARGEST_KERNEL, channels_last, trains_channels_last


def test_kernels_are_laid_out_with_the_same_weights() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 3), nn.Linear(5, 2))
    before = {name: each.clone() for name, each in network.state_dict().items()}
    channels_last(network)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert not network[1].weight.is_contiguous()
    assert network[2].weight.is_contiguous()
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


def test_networks_with_very_large_kernels_are_trained_in_the_other_order() -> None:
    wide = 1024
    assert wide * wide * 9 > LARGEST_KERNEL
    with torch.device("meta"):
        assert not trains_channels_last(nn.Sequential(nn.Conv2d(8, 4, 3), nn.Conv2d(wide, wide, 3)))
        assert trains_channels_last(nn.Sequential(nn.Conv2d(8, 4, 3), nn.Conv2d(512, 512, 3)))
        assert trains_channels_last(nn.Linear(3000, 2000))  # a matrix is no kernel
