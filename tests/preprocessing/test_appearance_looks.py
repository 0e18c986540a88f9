"""Spectra, filters and histograms of single planes, against what theory says of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comoto.preprocessing.appearance.gap import compare, histogram_distance
from comoto.preprocessing.appearance.looks import (
    LARGEST_GAIN,
    Matched,
    RandomlyFiltered,
    equalised,
    fitted_gain,
    kernel_of,
    shuffled_gain,
    with_histogram,
)
from comoto.preprocessing.appearance.sample import Appearance
from comoto.preprocessing.appearance.spectra import (
    PATCH,
    RADIUS,
    breast_region,
    patch_power,
    read_spectrum,
)

SHAPE = (160, 128)
FREQUENCIES = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1])[None, :])


def picture(seed: int, amplitude: np.ndarray, contrast: float = 20.0) -> np.ndarray:
    """White noise through a filter, as a breast that fills the picture."""
    noise = np.random.default_rng(seed).standard_normal(SHAPE)
    field = np.real(np.fft.ifft2(np.fft.fft2(noise) * amplitude))
    return (128 + contrast * field / field.std()).round().clip(0, 255).astype(np.uint8)


def law(exponent: float) -> np.ndarray:
    """The amplitude of a power law of this exponent (that of the power)."""
    return np.where(FREQUENCIES > 0, np.maximum(FREQUENCIES, 1e-9), 1.0) ** (-exponent / 2)


def gaussian(frequencies: np.ndarray) -> np.ndarray:
    """What a blur with a Gaussian of one pixel leaves of each frequency."""
    return np.exp(-2 * np.pi**2 * frequencies**2)


def appearance(amplitude: np.ndarray, seeds: range) -> Appearance:
    pictures = [picture(seed, amplitude) for seed in seeds]
    rng = np.random.default_rng(0)
    powers = np.array([patch_power(each, rng) for each in pictures])
    shares = np.array([np.bincount(each.ravel(), minlength=256) / each.size for each in pictures])
    return Appearance("made", powers, powers, shares, len(pictures))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0])
def test_the_exponent_of_a_power_law_is_read(exponent):
    """Steep laws read steeper, by a quarter at most: the innermost ring holds what leaks from below it."""
    read = read_spectrum(appearance(law(exponent), range(12)).powers.mean(axis=0))
    assert exponent - 0.1 < read.exponent < 1.25 * exponent + 0.1
    assert read.y_over_x == pytest.approx(1, abs=0.1)


def test_the_fine_share_of_white_noise_is_its_area():
    """Rings of one width: from 0.15 cycles a pixel on they are (5..14) / 32 of (1..14) / 32 of the area."""
    middles = np.arange(1.5, 14.5) / PATCH
    expected = middles[middles > 0.15].sum() / middles.sum()
    read = read_spectrum(appearance(np.ones(SHAPE), range(12)).powers.mean(axis=0))
    assert read.fine_share == pytest.approx(expected, abs=0.01)


def test_streaks_along_the_chest_wall_are_told_from_those_across():
    """Ten times the power where structure varies along y only."""
    narrow = np.abs(np.fft.fftfreq(SHAPE[1]))[None, :] < 0.06
    wave = np.abs(np.fft.fftfreq(SHAPE[0]))[:, None] > 0.03
    amplitude = np.where(narrow & wave, np.sqrt(10), 1.0)
    read = read_spectrum(appearance(amplitude, range(12)).powers.mean(axis=0))
    assert read.y_over_x == pytest.approx(10, rel=0.25)  # the taper of a patch blurs the border


def test_the_fitted_gain_is_that_of_the_known_filter():
    gain = fitted_gain(
        appearance(np.ones(SHAPE), range(30)), appearance(gaussian(FREQUENCIES), range(30, 60))
    )
    expected = gaussian(RADIUS)
    coarse = (RADIUS > 0) & (RADIUS <= 2 / PATCH)
    expected = expected / expected[coarse].mean()
    seen = RADIUS < 0.35  # above, what is left is smaller than a grey value
    np.testing.assert_allclose(gain[seen], expected[seen], rtol=0.12)


def test_noise_is_matched_back_through_a_known_filter():
    """Blurred noise made to look like noise of a power law, on pictures that the filter was not fitted on."""
    one, other = appearance(law(2.5), range(20)), appearance(law(1.0), range(20, 40))
    look = Matched(fitted_gain(one, other), other.histograms.mean(axis=0))
    rng = np.random.default_rng(0)
    changed = [look(picture(seed, law(2.5)), rng) for seed in range(100, 110)]
    read = read_spectrum(np.mean([patch_power(each, rng) for each in changed], axis=0))
    wanted = read_spectrum(other.powers.mean(axis=0))
    assert read.exponent == pytest.approx(wanted.exponent, abs=0.15)  # 2.9 before
    assert read.fine_share == pytest.approx(wanted.fine_share, abs=0.03)
    assert np.mean([each.std() for each in changed]) == pytest.approx(20, rel=0.03)


def test_the_kernel_has_zero_phase_and_the_gain_of_its_fit():
    gain = gaussian(RADIUS)
    kernel = kernel_of(gain)
    np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-12)
    np.testing.assert_allclose(kernel, kernel[:, ::-1], atol=1e-12)
    back = np.real(np.fft.fft2(np.fft.ifftshift(np.pad(kernel, ((1, 0), (1, 0))))))
    np.testing.assert_allclose(back, gain, atol=0.01)  # what the taper takes away


def test_a_gain_is_bounded():
    gain = fitted_gain(appearance(law(4.0), range(4)), appearance(law(-4.0), range(4, 8)))
    assert gain.max() == LARGEST_GAIN
    back = fitted_gain(appearance(law(-4.0), range(4)), appearance(law(4.0), range(4, 8)))
    assert back.min() == 1 / LARGEST_GAIN


def test_stores_that_look_alike_are_left_as_they_are():
    """The gain is 1, so is the kernel, and grey values of the own histogram stay."""
    same = appearance(law(2.0), range(6))
    gain = fitted_gain(same, same)
    np.testing.assert_allclose(gain, 1)
    plane = picture(3, law(2.0))
    region = breast_region(plane)
    shares = np.bincount(plane[region], minlength=256) / region.sum()
    for look in (Matched(gain, shares), Matched(None, shares)):
        np.testing.assert_array_equal(look(plane, np.random.default_rng(0)), plane)


def test_equal_appearances_have_no_gap():
    same = appearance(law(2.0), range(6))
    gap = compare(same, same, seed=0)
    assert gap.verdict == "unlikely"
    assert gap.histogram.distance == 0
    for figure in gap.figures.values():
        assert figure.difference == figure.deviations == 0
        assert figure.low < 0 < figure.high


@pytest.mark.parametrize(("exponent", "verdict"), [(2.5, "unlikely"), (1.8, "open"), (0.5, "likely")])
def test_the_verdict_follows_from_the_exponents(exponent, verdict):
    gap = compare(appearance(law(3.0), range(8)), appearance(law(exponent), range(8, 16)), seed=0)
    figure = gap.figures["coarse_exponent"]
    assert figure == gap.figures["exponent"]
    assert 1.3 * (exponent - 3) < figure.difference < exponent - 3
    assert figure.low < figure.difference < figure.high < 0
    assert gap.verdict == verdict
    assert gap.to_json()["advice"] == gap.advice
    assert gap.advice in gap.text()


def test_the_distance_of_histograms_is_the_mean_shift():
    """Half of the pixels moved by 10 grey values, the others stay: 5."""
    one, other = np.zeros(256), np.zeros(256)
    one[[20, 100]] = 0.5
    other[[30, 100]] = 0.5
    assert histogram_distance(one, other) == pytest.approx(5)
    assert histogram_distance(np.stack([one, other]), other) == pytest.approx([5, 0])


def test_values_get_the_wanted_shares_in_their_order():
    """A quarter at 10, a half at 20, a quarter at 200."""
    shares = np.zeros(256)
    shares[[10, 20, 200]] = 0.25, 0.5, 0.25
    values = np.array([7.0, 3.0, 1.0, 5.0, 6.0, 4.0, 2.0, 8.0], np.float32)
    assert with_histogram(values, shares).tolist() == [200, 20, 10, 20, 20, 20, 10, 200]


def test_equal_values_stay_equal():
    flat = with_histogram(np.full(9, 77, np.uint8), np.full(256, 1 / 256))
    assert set(flat.tolist()) == {127}


def test_a_random_gain_has_the_values_of_the_fitted_one_in_other_places():
    gain = fitted_gain(appearance(law(3.0), range(4)), appearance(law(1.5), range(4, 8)))
    one, other = (shuffled_gain(gain, np.random.default_rng(seed)) for seed in (0, 1))
    quadrant = np.s_[: PATCH // 2 + 1, : PATCH // 2 + 1]
    np.testing.assert_array_equal(np.sort(one[quadrant], axis=None), np.sort(gain[quadrant], axis=None))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one, shuffled_gain(gain, np.random.default_rng(0)))
    back = -np.arange(PATCH) % PATCH
    np.testing.assert_array_equal(one, one[back])
    np.testing.assert_array_equal(one, one[:, back])


def breast(rows: int, columns: int, seed: int, exponent: float) -> np.ndarray:
    """Half an ellipse at the left with a letter in the air."""
    y, x = np.mgrid[:rows, :columns]
    inside = (x / (0.7 * columns)) ** 2 + ((y - rows / 2) / (0.45 * rows)) ** 2 < 1
    rng = np.random.default_rng(seed)
    grey = 60 + 80 * rng.random((rows, columns)) ** exponent
    plane = np.where(inside, grey, 0).astype(np.uint8)
    plane[2:8, -8:-3] = 255
    return plane


@given(
    rows=st.integers(50, 90),
    columns=st.integers(50, 70),
    seed=st.integers(0, 1000),
    exponent=st.floats(0.2, 4),
    which=st.sampled_from(["spectrum", "histogram", "clahe", "random"]),
)
@settings(max_examples=30)
def test_air_and_letters_stay_whatever_is_done(rows, columns, seed, exponent, which):
    plane = breast(rows, columns, seed, exponent)
    before = plane.copy()
    shares = np.full(256, 1 / 256)
    gain = np.minimum(1 + 40 * RADIUS, LARGEST_GAIN)
    looks = {"spectrum": Matched(gain, shares), "histogram": Matched(None, shares)}
    looks |= {"clahe": equalised, "random": RandomlyFiltered(gain, shares)}
    changed = looks[which](plane, np.random.default_rng(seed))
    air = ~breast_region(plane)
    assert air[:8, -8:].all()
    np.testing.assert_array_equal(changed[air], plane[air])
    assert (changed.shape, changed.dtype) == (plane.shape, np.uint8)
    np.testing.assert_array_equal(plane, before)


def test_a_plane_without_a_breast_stays():
    empty = np.zeros((40, 40), np.uint8)
    shares = np.full(256, 1 / 256)
    for look in (Matched(np.ones((PATCH, PATCH)), shares), equalised):
        np.testing.assert_array_equal(look(empty, np.random.default_rng(0)), empty)
    assert patch_power(empty, np.random.default_rng(0)) is None
    assert patch_power(np.full((60, 60), 90, np.uint8), np.random.default_rng(0)) is None  # no structure
    assert patch_power(np.full((20, 60), 90, np.uint8), np.random.default_rng(0)) is None  # no room
