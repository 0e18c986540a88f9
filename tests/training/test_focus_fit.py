"""The fit of a focus head: on features whose answer is known."""

import numpy as np
import pytest

from comoto.depth import DepthPrior
from comoto.training.focus_fit import LEAST_DEVIATION, Sighting, fit_weights, prior_of

WIDE = DepthPrior(0.5, 100.0)
SLICES = np.arange(20)


def sighting(features, annotated, slices=SLICES):
    return Sighting(np.asarray(features, dtype=np.float64), np.asarray(slices), annotated, 20)


def sharp(annotated, noise, generator):
    """Feature 0 is high near the annotated slice; the others are noise."""
    features = generator.normal(0, noise, (20, 5))
    features[:, 0] += np.exp(-0.5 * ((SLICES - annotated) / 2) ** 2)
    return sighting(features, annotated)


def test_the_planted_direction_is_found():
    generator = np.random.default_rng(0)
    seen = [sharp(int(where), 0.1, generator) for where in generator.integers(2, 18, 60)]
    weights = fit_weights(seen, WIDE, ridge=0.01, spread=0.05)
    assert weights[0] > 10 * np.abs(weights[1:]).max()
    fresh = [sharp(int(where), 0.1, generator) for where in (3, 9, 16)]
    peaks = [int((one.features @ weights).argmax()) for one in fresh]
    assert np.abs(np.subtract(peaks, (3, 9, 16))).max() <= 1


def test_one_feature_and_two_slices_are_solved_by_hand():
    """x = -1 and 1, the second slice is meant, the bell is narrow and the prior flat.

    The deviation of the feature is 1 (and 0.001), so with u = 2 w the loss is u^2 / 4 r + log(1 + e^-u):
    its derivative r u / 2 = 1 / (1 + e^u). For u = log 4 that is 0.2, so r = 0.4 / log 4 and w = log 2.
    """
    seen = [sighting([[-1.0], [1.0]], 10, slices=[0, 10])]
    [weight] = fit_weights(seen, WIDE, ridge=0.4 / np.log(4), spread=0.01)
    assert weight == pytest.approx(np.log(2), abs=2e-3)


def test_without_information_the_weights_are_zero():
    """Features that are the same on all slices say nothing, and the prior decides."""
    seen = [sighting(np.full((20, 3), value), 4) for value in (0.2, 0.9)]
    assert fit_weights(seen, DepthPrior(0.4, 0.1), ridge=0.3, spread=0.05).tolist() == [0.0, 0.0, 0.0]


def test_noise_is_held_down_by_the_ridge():
    generator = np.random.default_rng(1)
    seen = [sighting(generator.normal(0, 1, (20, 4)), int(where)) for where in generator.integers(0, 20, 200)]
    weights = fit_weights(seen, WIDE, ridge=0.3, spread=0.05)
    assert np.abs(weights).max() < 0.15


def test_what_the_prior_explains_needs_no_weights():
    """A ramp along the stack is where all lesions lie; a prior of the same place leaves nothing to it."""
    ramp = np.linspace(-1, 1, 20)[:, np.newaxis]
    seen = [sighting(ramp, 15)] * 3
    [blind] = fit_weights(seen, WIDE, ridge=0.01, spread=0.1)
    [told] = fit_weights(seen, DepthPrior(15.5 / 20, 0.1), ridge=0.01, spread=0.1)
    assert blind > 1
    assert abs(told) < 0.05


def test_scales_do_not_matter():
    """Features are measured in their deviation, so metres and millimetres fit alike."""
    generator = np.random.default_rng(2)
    seen = [sharp(int(where), 0.3, generator) for where in generator.integers(2, 18, 20)]
    factors = np.array([1, 10, 100, 1000, 10000])
    larger = [sighting(one.features * factors, one.annotated) for one in seen]
    plain = fit_weights(seen, WIDE, ridge=0.3, spread=0.05)
    scaled = fit_weights(larger, WIDE, ridge=0.3, spread=0.05)
    np.testing.assert_allclose(scaled * factors, plain, rtol=0.02)


def test_slices_may_be_sampled():
    """Every fourth slice is there, not the annotated one: its neighbours are wanted."""
    slices = np.arange(1, 20, 4)
    seen = []
    for where in (6, 7, 11, 14):
        near = np.exp(-0.5 * ((slices - where) / 3) ** 2)
        seen.append(sighting(near[:, np.newaxis], where, slices))
    assert fit_weights(seen, WIDE, ridge=0.05, spread=0.05)[0] > 1


def test_the_prior_is_mean_and_deviation_and_never_narrow():
    assert prior_of([0.3, 0.5]) == pytest.approx((0.4, np.sqrt(0.02)))
    assert prior_of([0.4, 0.41, 0.4]).deviation == LEAST_DEVIATION
