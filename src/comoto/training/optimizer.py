"""The optimizer and the course of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from comoto.config import OptimizerConfig


def group(parameters: Iterable[nn.Parameter], peak: float) -> dict[str, Any]:
    """Return a parameter group of the optimizer with the peak of its learning rate."""
    return {"params": list(parameters), "lr": peak, "peak": peak}


def build_optimizer(groups: list[dict[str, Any]], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimizer of a run.

    Args:
        groups: as ``group`` makes them.
        config: kind and settings; ``momentum`` belongs to ``sgd`` alone.
    """
    if config.kind == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


class Anchor:
    """Pulls weights back towards what they were first: L2-SP (Li et al. 2018, arXiv 1802.01483).

    The pull is decoupled from the gradients, as AdamW's decay towards 0 is: after every step
    w <- w - rate strength (w - first). As a term of the loss AdamW would divide it by the size of the
    gradients, so that it held fast what the loss hardly moves and let go of what it moves most.
    """

    def __init__(self, module: nn.Module, strength: float) -> None:
        """Keep a copy of the weights as they are now, if there is a pull."""
        self._strength = strength
        self._held = list(module.parameters()) if strength else []
        self._first = [one.detach().clone() for one in self._held]

    @torch.no_grad()
    def pull(self, rate: float) -> None:
        """Go a step back at a learning rate."""
        for weight, first in zip(self._held, self._first, strict=True):
            weight.lerp_(first, rate * self._strength)


def set_rates(
    optimizer: torch.optim.Optimizer, step: int, epochs: int, steps_per_epoch: int, config: OptimizerConfig
) -> None:
    """Set each group's learning rate for a step; a group keeps its peak under ``peak``."""
    for one in optimizer.param_groups:
        one["lr"] = one["peak"] * rate_factor(step, epochs, steps_per_epoch, config)


def rate_of(optimizer: torch.optim.Optimizer) -> float:
    """Return the learning rate of the first group, which is the detector's."""
    return float(optimizer.param_groups[0]["lr"])


def rate_factor(step: int, epochs: int, steps_per_epoch: int, config: OptimizerConfig) -> float:
    """Return the factor on the learning rate.

    A linear warm-up over ``warmup_share`` of all steps, if that is not 0; then half a cosine down to 1 %, or
    ``decay_factor`` once more after every ``decay_epochs`` epochs, counted from the start of the run.

    Args:
        step: counts from 0 over the whole training.
        epochs: of the schedule.
        steps_per_epoch: of the run.
        config: the course.
    """
    steps = epochs * steps_per_epoch
    warm = max(1, round(config.warmup_share * steps)) if config.warmup_share else 0
    if step < warm:
        return (step + 1) / warm
    if config.decay == "step":
        return config.decay_factor ** (step // steps_per_epoch // config.decay_epochs)
    done = (step - warm) / max(1, steps - warm)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
