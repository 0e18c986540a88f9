"""The mathematics of a focus head: conditional logistic regression over the slices of volumes.

Letters: S slices of a volume, D features, N sightings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from comoto.depth import DepthPrior
from comoto.records import IntArray

Float64Array = NDArray[np.float64]

LEAST_DEVIATION = 0.08
"""Of a prior of relative depth: a few lesions that happen to lie alike must not rule out all other places."""
_LEAST_SPREAD = 1e-3
"""Added to the deviation of each feature, so that one that never changes weighs nothing."""
_STEPS, _FLAT = 100, 1e-10


@dataclass(frozen=True)
class Sighting:
    """What the slices of a volume show in one box.

    Attributes:
        features: (S, D).
        slices: (S,), 0-based.
        annotated: the slice of the lesion.
        num_slices: of the whole stack.
    """

    features: Float64Array
    slices: IntArray
    annotated: int
    num_slices: int


class _Terms(NamedTuple):
    """A sighting as the likelihood sees it: features, log prior, wanted shares of the slices."""

    features: Float64Array
    prior: Float64Array
    wanted: Float64Array


def prior_of(depths: Sequence[float]) -> DepthPrior:
    """Return mean and deviation of relative depths, (slice + 0.5) / slices each; at least two."""
    return DepthPrior(float(np.mean(depths)), max(float(np.std(depths, ddof=1)), LEAST_DEVIATION))


def fit_weights(
    sightings: Sequence[Sighting], prior: DepthPrior, ridge: float, spread: float
) -> Float64Array:
    """Return the weights w (D,) of features x that make the annotated slices likely, in float64.

    With p_s = softmax over the slices s of w . x_s + log prior(s), it minimises
    ridge |w|^2 - mean over the sightings of sum_s t_s log p_s, where t is a bell around the annotated slice,
    and features are measured in their deviation from the mean of their sighting. The problem is convex;
    Newton's method, with halved steps where a whole one goes too far, ends at its one solution.

    Args:
        sightings: N, at least one.
        prior: of the relative depth.
        ridge: above 0.
        spread: standard deviation of the bell, as a share of the stack.
    """
    centered = [one.features - one.features.mean(axis=0) for one in sightings]
    scale = np.concatenate(centered).std(axis=0) + _LEAST_SPREAD
    terms = [
        _Terms(features / scale, prior.log_odds(one.slices, one.num_slices), _bell(one, spread))
        for features, one in zip(centered, sightings, strict=True)
    ]
    weights = np.zeros(len(scale))
    for _ in range(_STEPS):
        gradient, curvature = _derivatives(weights, terms, ridge)
        step = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
        gain = float(gradient @ step)
        if gain < _FLAT:
            break
        weights = _downhill(weights, step, gain, terms, ridge)
    found: Float64Array = weights / scale
    return found


def _bell(one: Sighting, spread: float) -> Float64Array:
    return _softmax(-0.5 * ((one.slices - one.annotated) / (spread * one.num_slices)) ** 2)


def _downhill(
    weights: Float64Array, step: Float64Array, gain: float, terms: Sequence[_Terms], ridge: float
) -> Float64Array:
    """Return the weights after the step, halved until the loss falls."""
    before, size = _loss(weights, terms, ridge), 1.0
    while size > _FLAT and _loss(weights - size * step, terms, ridge) > before - 1e-4 * size * gain:
        size /= 2
    found: Float64Array = weights - size * step
    return found


def _loss(weights: Float64Array, terms: Sequence[_Terms], ridge: float) -> float:
    likelihoods = [
        float(wanted @ _log_softmax(features @ weights + prior)) for features, prior, wanted in terms
    ]
    return ridge * float(weights @ weights) - float(np.mean(likelihoods))


def _derivatives(
    weights: Float64Array, terms: Sequence[_Terms], ridge: float
) -> tuple[Float64Array, Float64Array]:
    """Return gradient (D,) and second derivatives (D, D) of the loss."""
    gradient, curvature = np.zeros(len(weights)), np.zeros((len(weights), len(weights)))
    for features, prior, wanted in terms:
        shares = _softmax(features @ weights + prior)
        gradient += features.T @ (shares - wanted)
        spread_out = features - shares @ features
        curvature += spread_out.T @ (shares[:, np.newaxis] * spread_out)
    own = 2 * ridge
    return gradient / len(terms) + own * weights, curvature / len(terms) + own * np.eye(len(weights))


def _log_softmax(logits: Float64Array) -> Float64Array:
    shifted = logits - logits.max()
    found: Float64Array = shifted - np.log(np.exp(shifted).sum())
    return found


def _softmax(logits: Float64Array) -> Float64Array:
    found: Float64Array = np.exp(_log_softmax(logits))
    return found
