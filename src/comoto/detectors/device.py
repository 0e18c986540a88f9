"""Where and how precisely a network runs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from comoto.detectors.settings import check_device
from comoto.errors import ConfigError

LARGEST_KERNEL = 4_000_000


def choose_device(wish: str) -> torch.device:
    """Return the device; ``auto`` takes a GPU if there is one.

    Raises:
        ConfigError: the word is unknown, or ``cuda`` was asked for and there is none.
    """
    check_device(wish)
    if wish == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda: torch sees no CUDA device here; use device=cpu or device=auto")
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wish)


def resolve_precision(wish: str, device: torch.device) -> str:
    """Return ``32-true`` or ``bf16-mixed``; ``auto`` takes bfloat16 where the hardware computes in it."""
    if wish != "auto":
        return wish
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    # elsewhere bfloat16 is emulated and slower than float32
    return "bf16-mixed" if _cpu_computes_bfloat16() else "32-true"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a forward runs."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16-mixed")


def channels_last(*networks: nn.Module) -> None:
    """Lay out the kernels of convolutions in place as images come: the order in which they are computed.

    ``Tensor.contiguous`` would leave those of 1 x 1 in their strides: both orders are the same in memory.
    """
    for network in networks:
        for kernel in _kernels(network):
            kernel.data = kernel.data.to(memory_format=torch.channels_last)


def trains_channels_last(network: nn.Module) -> bool:
    """Whether training gains by ``channels_last``: not with a kernel of more than 4 million weights.

    In float32 on a CPU, a step through such a kernel is slower in this order by more than the rest of its
    network gains (docs/performance.md). 3 x 3 between 512 and 512 channels are as fast in either.
    """
    return all(kernel.numel() <= LARGEST_KERNEL for kernel in _kernels(network))


def _kernels(network: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in network.parameters() if parameter.dim() == 4)


def _cpu_computes_bfloat16() -> bool:
    # older torch versions do not tell; then float32 is the safe choice
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))
