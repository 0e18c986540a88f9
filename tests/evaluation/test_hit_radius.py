"""A least hit radius means something only on images that are large beside it."""

import pytest

from comoto.evaluation.hit_radius import largest_radius, millimetre_radius, radius_problem


@pytest.mark.parametrize(
    ("radius", "shape", "fits"),
    [
        (100, (2457, 1890), True),  # the challenge
        (100, (1000, 2000), True),
        (100, (999, 2000), False),
        (100, (128, 64), False),
        (5.3, (128, 64), True),  # 8.5 mm of the simulator's tiny and demo images
        (10.62, (256, 128), True),
    ],
)
def test_a_tenth_of_the_shorter_side_is_the_largest(
    radius: float, shape: tuple[int, int], fits: bool
) -> None:
    assert (radius_problem(radius, [(2457, 1890), shape]) is None) == fits


def test_the_sentence_names_radius_and_side() -> None:
    assert radius_problem(100, [(128, 64)]) == (
        "a least hit radius of 100 pixels is more than a tenth of the images' shorter side (64 pixels), "
        "so that a box nearly anywhere counts as a hit"
    )
    assert largest_radius([(128, 64), (100, 50)]) == pytest.approx(5)
    assert radius_problem(1e9, []) is None


def test_millimetres() -> None:
    assert millimetre_radius(8.5, (0.085, 0.085)) == pytest.approx(100)
    assert millimetre_radius(8.5, (0.1, 0.085)) == pytest.approx(100)
