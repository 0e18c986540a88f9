"""What a lesion or decoy does to a plane: it changes the tissue, and it may have a body.

Distortions pull the tissue around them towards their centre and lay radiating sheets into it; asymmetries are
more glandular tissue without a margin. Both change the share of gland and have no body. Bodies replace the
attenuation.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.simulation.config import GridConfig
from comoto.simulation.phantom import ADIPOSE_PER_CM, FIBROGLANDULAR_PER_CM
from comoto.simulation.second.lesion import Placed
from comoto.simulation.second.material import gland_share

FloatImage = NDArray[np.float32]
CALCIUM_PER_CM = 12.0
"""Between calcium oxalate and hydroxyapatite at 20 keV."""
_SOLID = ("spiculated", "round", "lobulated", "fat_containing", "cyst", "node")
_PULLED_TO = 1.9
"""Reach of the pull, in halves of the box."""
_STRONGEST = 4.0
_ASYMMETRY, _LEAST_MORE = 0.5, 0.4
"""Mean of the tissue's field in an asymmetry, and how much is added at least, in standard deviations."""


@dataclass(frozen=True)
class Window:
    """The part of a plane around a lesion, with the coordinates of its points.

    Attributes:
        rows, columns: of the plane.
        x, y: offsets (mm) from the centre in the view.
        local: the lesion's own coordinates.
        pixel_mm: sample distance.
        plane_mm: thickness of the plane.
    """

    item: Placed
    rows: slice
    columns: slice
    x: FloatImage
    y: FloatImage
    local: tuple[FloatImage, FloatImage, FloatImage]
    pixel_mm: float
    plane_mm: float

    @classmethod
    def around(cls, item: Placed, grid: GridConfig, z: float) -> Window:
        """Return the window of ``item`` in the plane at ``z``."""
        pixel, reach = grid.pixel_mm, item.lesion.reach
        first = [max(0, int((item.center[axis] - reach) / pixel)) for axis in (0, 1)]
        last = [max(0, int((item.center[axis] + reach) / pixel) + 1) for axis in (0, 1)]
        columns, rows = slice(first[0], min(last[0], grid.columns)), slice(first[1], min(last[1], grid.rows))
        x = ((np.arange(columns.start, columns.stop) + 0.5) * pixel).astype(np.float32)[None, :]
        y = ((np.arange(rows.start, rows.stop) + 0.5) * pixel).astype(np.float32)[:, None]
        offsets = x - np.float32(item.center[0]), y - np.float32(item.center[1])
        return cls(item, rows, columns, *offsets, item.local(x, y, z), pixel, grid.plane_mm)

    @property
    def away(self) -> FloatImage:
        """Distance (mm) from the centre in the lesion's own coordinates."""
        x, y, z = self.local
        return np.asarray(np.sqrt(x**2 + y**2 + z**2), np.float32)


def change_tissue(share: FloatImage, score: FloatImage, window: Window) -> None:
    """Change the share of glandular tissue of a plane in place."""
    lesion = window.item.lesion
    part = share[window.rows, window.columns]
    if part.size == 0:
        return
    if lesion.look.pull > 0:
        _pull(share, window)
    if lesion.look.lucent > 0:
        near = np.exp(-((window.away / np.float32(0.32 * lesion.half_mm)) ** 2))
        part *= 1 - np.float32(lesion.look.lucent) * near
    if lesion.shape.family == "asymmetry":
        soft = np.float32(min(lesion.look.margin_mm, 0.5 * lesion.radius))
        inside = np.asarray(0.5 - 0.5 * np.tanh(lesion.distance(*window.local) / soft), np.float32)
        own = score[window.rows, window.columns]
        mean = float((own * inside).sum() / max(float(inside.sum()), 1e-6))
        more = own + np.float32(max(_ASYMMETRY * lesion.look.fill - mean, _LEAST_MORE)) * inside
        factor = 1 + np.float32(lesion.shape.contrast - 1) * inside
        np.maximum(part, gland_share(more) * factor, out=part)


def _pull(share: FloatImage, window: Window) -> None:
    """Draw tissue towards the centre: what lay at ``s * r`` now lies at ``r``, with ``s = (r / R)**-pull``.

    Towards the centre, structures become narrow across and long along the radius: spokes.
    """
    lesion = window.item.lesion
    relative = np.maximum(window.away / np.float32(_PULLED_TO * lesion.half_mm), 1e-3)
    stretch = np.clip(relative ** np.float32(-lesion.look.pull), 1, _STRONGEST)
    center = window.item.center
    column = (center[0] + window.x * stretch) / np.float32(window.pixel_mm) - np.float32(0.5)
    row = (center[1] + window.y * stretch) / np.float32(window.pixel_mm) - np.float32(0.5)
    share[window.rows, window.columns] = cv2.remap(
        share,
        np.ascontiguousarray(column, np.float32),
        np.ascontiguousarray(row, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def add_body(per_cm: FloatImage, window: Window) -> None:
    """Put strands, body and calcifications into a plane of attenuation in 1/cm, in place."""
    lesion = window.item.lesion
    part = per_cm[window.rows, window.columns]
    if part.size == 0:
        return
    value = np.float32(FIBROGLANDULAR_PER_CM * lesion.shape.contrast)
    if len(lesion.strands):
        part += lesion.rays(*window.local, window.pixel_mm / 2) * np.maximum(value - part, 0)
    if lesion.shape.family in _SOLID:
        distance = lesion.distance(*window.local)
        soft = np.float32(max(lesion.look.margin_mm, window.pixel_mm))
        body = np.clip(0.5 - distance / soft, 0, 1)
        part += body * (_inside(window, distance, value) - part)
    if len(lesion.points):
        part += np.float32(CALCIUM_PER_CM) * _grains(window)


def _inside(window: Window, distance: FloatImage, value: np.float32) -> FloatImage | np.float32:
    """Return the attenuation within a body; fat lies inside of some."""
    lesion = window.item.lesion
    x, y, z = window.local
    if lesion.shape.family == "node":
        notch = lesion.waves[0, :3] * np.asarray([1, 1, 0.3], np.float32)
        notch *= np.float32(0.45 * lesion.radius) / np.linalg.norm(notch)
        gap2 = (x - notch[0]) ** 2 + (y - notch[1]) ** 2 + (z - notch[2]) ** 2
        fat = np.exp(-gap2 / np.float32((0.45 * lesion.radius) ** 2))
    elif lesion.shape.family == "fat_containing":
        mottle = np.zeros_like(distance)
        for number, (kx, ky, kz, phase, _) in enumerate(lesion.waves):
            # Waves of one length make stripes; of many lengths, islands.
            fine = np.float32((1.4 + 0.9 * number) / lesion.radius)
            mottle += np.sin((kx * x + ky * y + kz * z) * fine + phase) / np.float32(1 + 0.25 * number)
        solid = 0.5 + 0.5 * np.tanh((mottle - np.float32(2.2 * (0.5 - lesion.look.fill))) * 1.1)
        capsule = np.clip(1 + (distance + np.float32(0.9)) / np.float32(0.5), 0, 1)
        fat = 1 - np.maximum(solid, capsule)
    else:
        return value
    return np.asarray(value - fat * (value - np.float32(ADIPOSE_PER_CM)), np.float32)


def _grains(window: Window) -> FloatImage:
    """Return the share of calcium, which keeps the volume of grains smaller than a sample."""
    x, y, z = window.local
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for px, py, pz, radius, density in window.item.lesion.points:
        blur = np.sqrt(radius**2 * 0.4 + (window.pixel_mm * 0.45) ** 2)
        tall = np.sqrt(radius**2 * 0.4 + (window.plane_mm * 0.45) ** 2)
        if np.abs(z - pz).min() > 4 * tall:
            continue
        volume = 4 / 3 * np.pi * radius**3 / ((2 * np.pi) ** 1.5 * blur**2 * tall)
        apart = ((x - px) ** 2 + (y - py) ** 2) / (2 * blur**2) + (z - pz) ** 2 / (2 * tall**2)
        total += np.float32(density * volume) * np.exp(-apart)
    return np.minimum(total, 1)
