"""Averages of weights: along a training, and between what it ended with and what it started from.

Fine-tuned weights lie in one basin with those that they started from, so a point between the two is a
network too, which knows some of both: WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from comoto.config import AverageConfig
from comoto.detectors.base import Detector
from comoto.training.validate import Validator

Weights = dict[str, Tensor]
"""A state dict: parameters, running statistics of batch norm, counters."""
Passes = Callable[[int], None]
STATE_KEY, TEACHER_SHARE = "moving_average", "teacher_share"


def copied(module: nn.Module) -> Weights:
    """Return a copy of a network's weights, on its device."""
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


def between(own: Weights, first: Weights, share: float) -> Weights:
    """Return weights on the way from ``own`` (share 0) to ``first`` (share 1); counts are ``own``'s."""
    return {
        key: torch.lerp(value, first[key], share) if value.is_floating_point() else value
        for key, value in own.items()
    }


@contextmanager
def lent(module: nn.Module, weights: Weights) -> Iterator[None]:
    """Give a network other weights inside the block; afterwards it has its own again, bit by bit."""
    own = copied(module)
    try:
        module.load_state_dict(weights)
        yield
    finally:
        module.load_state_dict(own)


def estimate_batch_norm(module: nn.Module, passes: Callable[[], object]) -> None:
    """Replace the running statistics of batch norm by their mean over some forward passes in train mode.

    Statistics of a point between two networks are not those between their statistics: SWA (Izmailov et al.
    2018, arXiv 1803.05407) and REPAIR (Jordan et al. 2022, arXiv 2211.08403) take them anew.

    Args:
        module: the network; it is left in eval mode.
        passes: runs the network over the images that count.
    """
    layers = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    before = [one.momentum for one in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all passes
    module.train()
    try:
        with torch.no_grad():
            passes()
    finally:
        module.eval()
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


class WeightAverages:
    """What is validated and kept of a detector in training in place of its last weights.

    Args:
        detector: in training, with its first weights.
        config: which averages.
    """

    def __init__(self, detector: Detector, config: AverageConfig) -> None:
        self._detector, self._config = detector, config
        self._shares = config.teacher_shares or (0.0,)
        self._first = copied(detector) if self._shares[-1] > 0 else {}
        self._moving: Weights = {}

    def follow(self, step: int) -> None:
        """Take the weights after a step, counted from 0 over the whole training, into the moving average.

        With decay d the average after n steps is sum d^(n-k) w_k / sum d^(n-k) over k = 1 to n, which needs
        no start: after one step it is w_1, and early ones are forgotten as later ones are.
        """
        decay = self._config.decay
        if not decay:
            return
        if not self._moving:
            self._moving = copied(self._detector)
        rate = (1 - decay) / (1 - decay ** (step + 1))
        for key, value in self._detector.state_dict().items():
            if value.is_floating_point():
                self._moving[key].lerp_(value, rate)
            else:
                self._moving[key].copy_(value)

    def state(self) -> dict[str, Weights]:
        """Return what a resumed run needs besides the weights; nothing without a moving average."""
        return {STATE_KEY: self._moving} if self._moving else {}

    def load(self, saved: Mapping[str, Weights]) -> None:
        """Take up what ``state`` returned.

        Raises:
            KeyError: there is none, and one is needed.
        """
        if self._config.decay:
            self._moving = saved[STATE_KEY]

    @contextmanager
    def best(self, validator: Validator, passes: Passes) -> Iterator[dict[str, float]]:
        """Validate what may be kept; inside the block the detector has the best weights.

        Args:
            validator: judges the detector, which is in eval mode.
            passes: a number n -> runs the network in the mode it is in over n training batches.

        Yields:
            The metrics of the best weights. Where there are shares to choose from, they name the best as
            ``teacher_share`` and hold those of each as ``teacher_share_.../...``.
        """
        if not self._moving and not self._shares[-1]:
            yield validator.validate()
            return
        tried, weights = {}, {}
        for share in self._shares:
            weights[share] = self._at(share, passes)
            with lent(self._detector, weights[share]):
                tried[share] = validator.validate()
        keys = (validator.metric, validator.tie_break)
        best = max(tried, key=lambda share: [tried[share][key] for key in keys])  # the first of equals
        told = {TEACHER_SHARE: best} if self._config.teacher_shares else {}
        for share in self._config.teacher_shares:
            told |= {f"{TEACHER_SHARE}_{share:g}/{key}": value for key, value in tried[share].items()}
        with lent(self._detector, weights[best]):
            yield tried[best] | told

    def _at(self, share: float, passes: Passes) -> Weights:
        own = self._moving or copied(self._detector)
        weights = between(own, self._first, share) if share else own
        as_trained = not share and not self._moving
        if as_trained or self._config.batch_norm == "averaged":
            return weights
        with lent(self._detector, weights):
            estimate_batch_norm(self._detector, partial(passes, self._config.batches))
            return copied(self._detector)
