"""Lesions and decoys as bodies in space, evaluated plane by plane in any view.

A lesion has coordinates of its own in mm of the uncompressed breast: ``x`` from the chest wall to the nipple,
``y`` and ``z`` across. A view turns them by the angle of its paddle and flattens ``z``; so both views of a
breast show one lesion from two sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from comoto.simulation.bodies import PlaneBox, directions, plane_box
from comoto.simulation.second.looks import Look, look_of

FloatImage = NDArray[np.float32]
_SMOOTH_UNION = 0.09
_SHEET = 0.4
"""Strands are 2.5 times as wide along their normal as across, as sheets of tissue are."""


@dataclass(frozen=True)
class LesionShape:
    """What is decided before any tissue is drawn.

    Attributes:
        family: a key of ``FAMILIES`` or ``DECOYS``.
        look: its number.
        size_mm: longest side of the box as CC sees it; another view turns and flattens the lesion.
        body_share: size of the body relative to the box.
        contrast: attenuation relative to glandular tissue.
        obscured: wants a place behind much gland in CC.
        cancer: what the biopsy finds.
        seed: of everything else about it.
    """

    family: str
    look: int
    size_mm: float
    body_share: float
    contrast: float
    obscured: bool
    cancer: bool
    seed: int


@dataclass(frozen=True)
class Lesion:
    """A grown lesion in its own coordinates (mm).

    Attributes:
        blobs: (K, 4): centre (x, y, z) and radius.
        waves: (J, 5): wave vector (x, y, z), phase, share of the radius.
        strands: (N, 14): direction, normal and bend (x, y, z each), start, end, half width, density, taper.
        points: (M, 5): centre (x, y, z), radius, density of calcifications.
    """

    shape: LesionShape
    blobs: NDArray[np.float32]
    waves: NDArray[np.float32]
    strands: NDArray[np.float32]
    points: NDArray[np.float32]
    look: Look = field(init=False)

    def __post_init__(self) -> None:
        """Look up the look once."""
        object.__setattr__(self, "look", look_of(self.shape.family, self.shape.look))

    @property
    def half_mm(self) -> float:
        """Half the longest side of the box."""
        return self.shape.size_mm / 2

    @property
    def radius(self) -> float:
        """Half the longest side of the body."""
        return self.half_mm * self.shape.body_share

    @cached_property
    def reach(self) -> float:
        """Distance from the centre beyond which nothing of the lesion lies."""
        pulled = 1.9 * self.half_mm if self.look.pull else 0.0
        return max(self.half_mm + 2 * self.look.margin_mm, self._reach_of_strands(), pulled)

    def _reach_of_strands(self) -> float:
        """Return how far strands lie from the centre: their ends, where they are bent to, and their width.

        A bend is perpendicular to its strand; a tapered strand has no width at its end.
        """
        ends, width, taper = self.strands[:, 9:11], self.strands[:, 11], self.strands[:, 13]
        aside = ends / self.strands[:, 10:11] * np.linalg.norm(self.strands[:, 6:9], axis=1, keepdims=True)
        middle = np.abs(ends) * np.sqrt(1 + aside**2)
        widths = np.stack([width, width * 0.0**taper], axis=1)
        return float((middle + np.maximum(3 * widths, 2)).max(initial=0.0))

    def distance(self, x: FloatImage, y: FloatImage, z: FloatImage) -> FloatImage:
        """Return the signed distance (mm) from the body's surface, negative inside."""
        away = np.sqrt(x**2 + y**2 + z**2)
        unit = np.float32(1) / np.maximum(away, 0.25)
        total = np.zeros_like(away)
        soft = np.float32(_SMOOTH_UNION * self.radius)
        for cx, cy, cz, radius in self.blobs:
            gap = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - radius
            total += np.exp(np.clip(gap / -soft, -60, 60))
        surface = -soft * np.log(np.maximum(total, 1e-20))
        for kx, ky, kz, phase, size in self.waves:
            surface -= np.float32(size * self.radius) * np.sin((kx * x + ky * y + kz * z) * unit + phase)
        return np.asarray(surface, np.float32)

    def rays(self, x: FloatImage, y: FloatImage, z: FloatImage, blur_mm: float) -> FloatImage:
        """Return the share of strand tissue; strands thinner than ``blur_mm`` are widened and diluted."""
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
        for strand in self.strands:
            direction, normal, bend = strand[:3], strand[3:6], strand[6:9]
            start, end, width, density, taper = strand[9:]
            along = x * direction[0] + y * direction[1] + z * direction[2]
            if along.max() < start or along.min() > end:
                continue
            curve = (along / end) ** 2 * end
            off = [c - along * d - curve * b for c, d, b in zip((x, y, z), direction, bend, strict=True)]
            flat = off[0] * normal[0] + off[1] * normal[1] + off[2] * normal[2]
            across2 = off[0] ** 2 + off[1] ** 2 + off[2] ** 2 - np.float32(1 - _SHEET**2) * flat**2
            left = np.clip((end - along) / (end - start), 0, 1)
            thin = width * left**taper + np.float32(0.05)
            wide = np.maximum(thin, np.float32(blur_mm))
            inside = np.clip((along - start) / 0.8, 0, 1) * np.clip((end - along) / 0.8, 0, 1)
            np.maximum(total, density * (thin / wide) * np.exp(across2 / (-2 * wide**2)) * inside, out=total)
        return total


@dataclass(frozen=True)
class Placed:
    """A lesion in a view: where its centre lies (mm, z from the middle plane), how it is turned."""

    lesion: Lesion
    center: tuple[float, float, float]
    angle: float
    flat: float

    def local(self, x: FloatImage, y: FloatImage, z: float) -> tuple[FloatImage, FloatImage, FloatImage]:
        """Return the lesion's coordinates of points of a plane; x (1, W) and y (H, 1) in mm."""
        across, up = y - np.float32(self.center[1]), np.float32((z - self.center[2]) / self.flat)
        cosine, sine = np.float32(math.cos(self.angle)), np.float32(math.sin(self.angle))
        return x - np.float32(self.center[0]), cosine * across + sine * up, cosine * up - sine * across

    def reaches(self, z: float) -> bool:
        """Tell whether anything of the lesion may lie in the plane at ``z``."""
        return abs(z - self.center[2]) <= self.lesion.reach * self.flat

    @cached_property
    def planes(self) -> list[tuple[float, PlaneBox]]:
        """``extent`` from samples that are fine enough for boxes."""
        return self.extent(max(self.lesion.radius / 24, 0.1))

    @property
    def size_mm(self) -> float:
        """Longest side of the box in this view."""
        return _longest_side(self.planes) / self.lesion.shape.body_share

    def extent(self, step: float) -> list[tuple[float, PlaneBox]]:
        """Return for heights z that the body reaches its (x1, y1, x2, y2) there in mm, from samples."""
        reach = 1.35 * self.lesion.radius + step
        offsets = np.arange(-reach, reach + step, step, dtype=np.float32)
        x, y = (offsets + self.center[0])[None, :], (offsets + self.center[1])[:, None]
        found = []
        for z in np.arange(-reach, reach + step, max(step, reach / 24)) * self.flat + self.center[2]:
            box = plane_box(self.lesion.distance(*self.local(x, y, float(z))) <= 0, x, y, step)
            if box is not None:
                found.append((float(z), box))
        return found


def grow_lesion(shape: LesionShape) -> Lesion:
    """Grow a lesion or decoy; the same shape always grows the same."""
    rng = np.random.default_rng(shape.seed)
    look = look_of(shape.family, shape.look)
    half = shape.size_mm / 2
    blobs = _blobs(look, rng)
    waves = _waves(look, rng)
    lesion = Lesion(shape, _scaled(blobs, half * shape.body_share), waves, _none(14), _none(5))
    # Lobes and waves change the size; it is measured and put right.
    longest = _longest_side(Placed(lesion, (0, 0, 0), 0.0, 1.0).extent(lesion.radius / 14))
    return Lesion(
        shape,
        _scaled(blobs, half * shape.body_share * 2 * lesion.radius / longest),
        waves,
        _strands(look, half, rng),
        _points(shape, look, rng) if shape.family == "calcification" else _none(5),
    )


def _none(columns: int) -> NDArray[np.float32]:
    return np.zeros((0, columns), np.float32)


def _scaled(blobs: NDArray[np.float64], radius: float) -> NDArray[np.float32]:
    return (blobs * radius).astype(np.float32)


def _longest_side(planes: list[tuple[float, PlaneBox]]) -> float:
    """Return the longest side (mm) of the box around a body, as seen from above, from its boxes in planes."""
    boxes = np.asarray([box for _, box in planes])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return float((high - low).max())


def _blobs(look: Look, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw lobes of a body of radius 1; a long body is a row of them."""
    axis = directions(1, rng)[0] * (1, 1, 0.5)
    axis /= np.linalg.norm(axis)
    if look.lobes == 1:
        shorter = 1 / look.elongation
        places = np.linspace(-1, 1, 5)[:, None] * (1 - shorter) * axis
        radii = shorter * np.sqrt(1 - 0.35 * np.linspace(-1, 1, 5) ** 2 * (look.elongation > 1.05))
        return np.concatenate([places, radii[:, None]], axis=1)
    radii = rng.uniform(0.30, 0.55, (look.lobes, 1))
    places = directions(look.lobes, rng) * (1 - radii) * 0.95
    places += (look.elongation - 1) * np.outer(places @ axis, axis)
    return np.concatenate([np.concatenate([places, radii], axis=1), [[0, 0, 0, 0.42]]])


def _waves(look: Look, rng: np.random.Generator) -> NDArray[np.float32]:
    count = 7
    vectors = directions(count, rng) * rng.uniform(1.6, look.waviness, (count, 1))
    sizes = rng.uniform(0.3, 1.0, (count, 1))
    sizes *= look.roughness * np.sqrt(2 / (sizes**2).sum())
    return np.concatenate([vectors, rng.uniform(0, 2 * np.pi, (count, 1)), sizes], axis=1).astype(np.float32)


def _strands(look: Look, half: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw strands; few reach far, as the lengths of spicules are skewed."""
    count = look.strands
    if count == 0:
        return _none(14)
    along = directions(count, rng)
    bundle = directions(1, rng)[0] * (1, 1, 0.4)
    along += look.clumping * 1.6 * np.sign(along @ bundle)[:, None] * bundle / np.linalg.norm(bundle)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normal = np.cross(along, directions(count, rng))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    bend = np.cross(along, normal) * rng.normal(0, look.curl, (count, 1))
    tapered = look.strand_start >= 0
    start = np.full((count, 1), look.strand_start * half)
    reach = look.strand_reach * half * (1 - 0.62 * rng.random((count, 1)) ** (0.7 if tapered else 3.0))
    end = np.maximum(reach, start + 2.0)
    width = look.strand_mm * rng.uniform(0.7, 1.3, (count, 1)) * np.clip(half / 9, 0.75, 1.5)
    density = rng.uniform(0.7, 1.0, (count, 1))
    taper = np.full((count, 1), 0.8 if tapered else 0.0)
    columns = [along, normal, bend, start, end, width, density, taper]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _points(shape: LesionShape, look: Look, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the grains of a cluster: few and coarse, or many and fine (``fill``), within its body."""
    count = round(6 + 34 * look.fill**2 * rng.uniform(0.7, 1.3))
    radius = shape.size_mm / 2 * shape.body_share
    places = directions(count, rng) * radius * rng.random((count, 1)) ** (1 / 2.2)
    axis = directions(1, rng)[0]
    places -= (1 - 1 / look.elongation) * (places - np.outer(places @ axis, axis))
    size = rng.lognormal(np.log(0.16 + 0.10 * (1 - look.fill)), 0.35, (count, 1))
    return np.concatenate(
        [places, np.clip(size, 0.08, 0.5), rng.uniform(0.6, 1.0, (count, 1))], axis=1
    ).astype(np.float32)
