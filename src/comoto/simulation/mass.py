"""Masses: a lobulated body, and for spiculated ones tapering spicules in all directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comoto.simulation.anatomy import MassShape
from comoto.simulation.bodies import PlaneBox, directions, plane_box

FloatImage = NDArray[np.float32]
_SHEET = 0.4
"""Spicules are sheets: 2.5 times as thick across the planes as in them, as compression leaves them."""


@dataclass(frozen=True)
class Mass:
    """A mass at its place; lengths in mm, z above the middle plane.

    Attributes:
        center: (x, y, z).
        waves: float32 (K, 5): wave vector per radius (x, y, z), phase, size of the radius' modulation.
        spicules: float32 (N, 7): direction (x, y, z), start, length, half width at the start, density.
    """

    shape: MassShape
    center: tuple[float, float, float]
    waves: NDArray[np.float32]
    spicules: NDArray[np.float32]

    @property
    def reach(self) -> float:
        """Distance from the centre beyond which nothing of the mass lies."""
        body = 1.6 * self.shape.radius
        return max(body, float((self.spicules[:, 3] + self.spicules[:, 4]).max(initial=0.0)) + 2.0)

    def body(self, x: FloatImage, y: FloatImage, z: float, soft_mm: float) -> FloatImage:
        """Return the share of body tissue at points of a plane; x (1, W) and y (H, 1) in mm."""
        dx, dy, dz = x - self.center[0], y - self.center[1], z - self.center[2]
        distance = np.sqrt(dx**2 + dy**2 + dz**2)
        scale = np.float32(1) / np.maximum(distance, 0.25)
        modulation = np.zeros_like(distance)
        for kx, ky, kz, phase, size in self.waves:
            modulation += size * np.sin((kx * dx + ky * dy + kz * dz) * scale + phase)
        surface = self.shape.radius * (1 + modulation)
        return np.clip((surface - distance) / np.float32(soft_mm) + 0.5, 0, 1)

    def rays(self, x: FloatImage, y: FloatImage, z: float, blur_mm: float) -> FloatImage:
        """Return the share of spicule tissue at points of a plane.

        Args:
            x: (1, W) in mm.
            y: (H, 1) in mm.
            z: height in mm.
            blur_mm: half the sample distance; thinner spicules are widened and diluted to it.
        """
        dx, dy, dz = x - self.center[0], y - self.center[1], z - self.center[2]
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
        for ux, uy, uz, start, length, width, density in self.spicules:
            if not -6 <= dz * np.sign(uz) <= abs(uz) * (start + length) + 6:
                continue
            along = dx * ux + dy * uy + dz * uz
            off_x, off_y, off_z = dx - along * ux, dy - along * uy, dz - along * uz
            across2 = off_x**2 + off_y**2 + (_SHEET * off_z) ** 2
            left = np.clip((start + length - along) / length, 0, 1)
            thin = width * left ** np.float32(0.8) + np.float32(0.05)
            wide = np.maximum(thin, blur_mm)
            share = density * (thin / wide) * np.exp(-(across2 / (2 * wide**2))) * (along > 0) * (left > 0)
            np.maximum(total, share, out=total)
        return total

    def extent(self, pixel_mm: float, plane_mm: float) -> list[tuple[float, PlaneBox]]:
        """Return for each height z that the body reaches its (x1, y1, x2, y2) there, in mm.

        The body is sampled at ``pixel_mm``; the edges are those of the outermost samples at least half full.
        """
        step = min(pixel_mm, 0.4)
        reach = 1.6 * self.shape.radius
        offsets = np.arange(-reach, reach + step, step, dtype=np.float32)
        x, y = (offsets + self.center[0])[None, :], (offsets + self.center[1])[:, None]
        found = []
        for z in np.arange(-reach, reach + plane_mm, min(plane_mm, 1.0)) + self.center[2]:
            box = plane_box(self.body(x, y, float(z), step) >= 0.5, x, y, step)
            if box is not None:
                found.append((float(z), box))
        return found


def grow_mass(shape: MassShape, center: tuple[float, float, float], rng: np.random.Generator) -> Mass:
    """Draw the surface and the spicules of a mass at ``center`` (x, y, z in mm)."""
    amplitude = rng.uniform(0.12, 0.17)
    count = 7
    low, high = (2.4, 6.0) if shape.spiculated else (1.8, 3.8)
    vectors = directions(count, rng) * rng.uniform(low, high, (count, 1))
    sizes = rng.uniform(0.3, 1.0, (count, 1))
    sizes *= amplitude * np.sqrt(2 / (sizes**2).sum())
    waves = np.concatenate([vectors, rng.uniform(0, 2 * np.pi, (count, 1)), sizes], axis=1)
    return Mass(shape, center, waves.astype(np.float32), _spicules(shape, rng))


def _spicules(shape: MassShape, rng: np.random.Generator) -> NDArray[np.float32]:
    if not shape.spiculated:
        return np.zeros((0, 7), np.float32)
    count = int(rng.integers(32, 48))
    along = directions(count, rng) * np.array([1.0, 1.0, 0.35])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    start = np.full((count, 1), 0.75 * shape.radius)
    length = rng.uniform(1.5, 2.5, (count, 1)) * shape.radius - start
    width = rng.uniform(0.8, 1.4, (count, 1))
    density = rng.uniform(0.75, 1.0, (count, 1))
    return np.concatenate([along, start, length, width, density], axis=1).astype(np.float32)
