"""The order in which kernels lie in memory."""

import torch
from torch import nn

from comoto.detectors.device import LARGEST_KERNEL, channels_last


def test_a_network_with_a_very_large_kernel_keeps_its_order() -> None:
    wide = 1024
    large = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 3), nn.Conv2d(wide, wide, 3))
    small = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 3), nn.Linear(3000, 2000))
    assert wide * wide * 9 > LARGEST_KERNEL < 3000 * 2000  # a matrix is no kernel
    before = {name: each.clone() for name, each in small.state_dict().items()}
    channels_last(large, small)
    assert all(each.is_contiguous() for each in large.parameters())
    assert small[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert not small[1].weight.is_contiguous()
    assert all(torch.equal(each, before[name]) for name, each in small.state_dict().items())
