"""How near a centre has to be: a least hit radius means something only on images that are large beside it.

The DBTex challenge counts a detection within 100 pixels of a lesion's centre, on images of about 2457 x 1890
pixels. On an image of 128 x 64 pixels that is everywhere, and every metric is near 1 whatever was predicted.
"""

from __future__ import annotations

from collections.abc import Iterable

LARGEST_SHARE = 0.1
"""Of the image's shorter side. A hit circle of this radius covers a fortieth of an image like the
challenge's, whose own radius is a twentieth of the shorter side."""


def largest_radius(shapes: Iterable[tuple[int, int]]) -> float:
    """Return the largest least hit radius, in pixels, that means something on all of these images.

    Args:
        shapes: (rows, columns) of each image; infinite without any.
    """
    return LARGEST_SHARE * min((float(min(shape)) for shape in shapes), default=float("inf"))


def radius_problem(radius: float, shapes: Iterable[tuple[int, int]]) -> str | None:
    """Say in one sentence, without an end, what is wrong with a least hit radius; None if nothing is.

    Args:
        radius: in pixels of the images.
        shapes: (rows, columns) of each image.
    """
    largest = largest_radius(shapes)
    if radius <= largest:
        return None
    return (
        f"a least hit radius of {radius:g} pixels is more than a tenth of the images' shorter side "
        f"({largest / LARGEST_SHARE:g} pixels), so that a box nearly anywhere counts as a hit"
    )


def millimetre_radius(millimetres: float, spacing_mm: tuple[float, float]) -> float:
    """Return a radius in pixels of the smaller side, from (row, column) of a pixel in mm."""
    return millimetres / min(spacing_mm)
