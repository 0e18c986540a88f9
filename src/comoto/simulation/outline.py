"""The silhouette of a compressed breast and the heights of its surface and of the inner face of its skin.

``lateral`` is the distance in mm of a pixel from the silhouette, positive inside. The edge is rounded: a
point at lateral distance d and z above the middle plane of a breast of thickness T lies
``T/2 - sqrt(max(0, T/2 - d)**2 + z**2)`` below the surface. Solving for z gives the half thickness at which a
given depth is reached, so a plane's coverage is known to a fraction of the plane and leaves no contour rings.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from comoto.simulation.anatomy import ViewShape

FloatImage = NDArray[np.float32]
SKIN_MM = 1.6
_OUTLINE_MM = 0.4
"""The silhouette is drawn on samples of this size where pixels are finer."""
_NIPPLE_LENGTH_MM = 5.0
_NIPPLE_HALF_WIDTH_MM = 5.0


def coordinates(shape: tuple[int, int], pixel_mm: float) -> tuple[FloatImage, FloatImage]:
    """Return x (1, columns) and y (rows, 1) of the pixel centres in mm."""
    x = ((np.arange(shape[1]) + 0.5) * pixel_mm).astype(np.float32)[None, :]
    y = ((np.arange(shape[0]) + 0.5) * pixel_mm).astype(np.float32)[:, None]
    return x, y


def nipple_position(view: ViewShape) -> tuple[float, float]:
    """Return (x, y) in mm of the base of the nipple."""
    half = view.half_below if view.nipple_angle > 0 else view.half_above
    slope = float(np.sin(view.nipple_angle))
    x = view.depth * (1 - abs(slope) ** view.roundness) ** (1 / view.roundness)
    return x, view.middle + slope * half


def lateral_distance(view: ViewShape, shape: tuple[int, int], pixel_mm: float) -> FloatImage:
    """Return the signed distance (mm) of each pixel from the silhouette, positive inside.

    The silhouette continues beyond the chest wall and beyond the first and last row, so a breast that is cut
    by the field's border is not rounded there.
    """
    step = max(pixel_mm, _OUTLINE_MM)
    size = (round(shape[0] * pixel_mm / step), round(shape[1] * pixel_mm / step))
    step = shape[0] * pixel_mm / size[0]
    margin = round(30 / step)
    x, y = coordinates((size[0] + 2 * margin, size[1]), step)
    inside = _relative_radius(view, x, y - margin * step) < 1
    mirrored = np.concatenate([inside[:, ::-1], inside], axis=1)
    # SciPy's transform, because OpenCV's precise one gives other values from run to run. Both maps measure
    # to pixel centres, half a pixel beyond the edge.
    distance = distance_transform_edt(mirrored) - distance_transform_edt(~mirrored)
    distance = (distance + 0.5 - mirrored).astype(np.float32) * np.float32(step)
    smooth = cv2.GaussianBlur(distance, (0, 0), 1.2)[margin : margin + size[0], size[1] :]
    if size != shape:
        smooth = cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(smooth)


def half_thickness(lateral: FloatImage, thickness: float, depth: float) -> FloatImage:
    """Return the |z| (mm) at which a point is ``depth`` below the surface; negative where none is."""
    half = thickness / 2
    rest = (half - depth) ** 2 - np.maximum(half - lateral, 0) ** 2
    return np.where(rest > 0, np.sqrt(np.maximum(rest, 0)), -1.0).astype(np.float32)


def coverage(half_height: FloatImage, z: float, plane_mm: float) -> FloatImage:
    """Return the share of a plane, ``plane_mm`` thick around ``z``, that lies within |z| < half_height."""
    upper = np.clip(half_height, z - plane_mm / 2, z + plane_mm / 2)
    lower = np.clip(-half_height, z - plane_mm / 2, z + plane_mm / 2)
    return np.asarray(np.maximum(upper - lower, 0) / np.float32(plane_mm), np.float32)


def _relative_radius(view: ViewShape, x: FloatImage, y: FloatImage) -> FloatImage:
    """Return 1 on the silhouette, less inside: a super-ellipse with a wobble and a nipple."""
    offset = y - np.float32(view.middle)
    half = np.where(offset < 0, view.half_above, view.half_below).astype(np.float32)
    across, along = np.abs(offset) / half, x / np.float32(view.depth)
    radius = (across**view.roundness + along**view.roundness) ** np.float32(1 / view.roundness)
    angle = np.arctan2(offset / half, along)
    stretch = np.ones_like(angle)
    for harmonic, (size, phase) in enumerate(view.wobble, start=2):
        stretch += size * np.cos(harmonic * angle + phase)
    arc = (angle - view.nipple_angle) * half
    bump = np.exp(-((arc / _NIPPLE_HALF_WIDTH_MM) ** 4))
    return np.asarray(radius / (stretch + np.float32(_NIPPLE_LENGTH_MM / view.depth) * bump), np.float32)
