"""What the bodies of lesions share: directions drawn at random, and the box of a body in one plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
PlaneBox = tuple[float, float, float, float]


def directions(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw unit vectors (count, 3)."""
    vectors = rng.standard_normal((count, 3))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float64)


def plane_box(full: NDArray[np.bool_], x: FloatImage, y: FloatImage, step: float) -> PlaneBox | None:
    """Return the (x1, y1, x2, y2) in mm of the samples of a plane that a body fills, or None if it has none.

    Args:
        full: which samples (H, W) are filled.
        x: (1, W), where the samples lie, in mm.
        y: (H, 1), the same.
        step: sample distance in mm; a box ends half a sample beyond the outermost filled ones.
    """
    if not full.any():
        return None
    columns, rows = np.flatnonzero(full.any(axis=0)), np.flatnonzero(full.any(axis=1))
    return (
        float(x[0, columns[0]]) - step / 2,
        float(y[rows[0], 0]) - step / 2,
        float(x[0, columns[-1]]) + step / 2,
        float(y[rows[-1], 0]) + step / 2,
    )
