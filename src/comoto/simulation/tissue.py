"""Where glandular tissue, ligaments and muscle lie.

Glandular tissue is the part of a random field (plus a prior for where it belongs) above the quantile that
gives the wanted volumetric fraction. Ligaments are the zero level set of a second field: thin curved sheets.
Both are kept on a coarse stack of layers and interpolated where a plane of the phantom is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.simulation.anatomy import Breast, Muscle, ViewShape
from comoto.simulation.config import GridConfig
from comoto.simulation.fields import power_law_field
from comoto.simulation.outline import coordinates, nipple_position

FloatImage = NDArray[np.float32]
_SOFTNESS = 0.16
_MIN_LAYER_MM = 1.0


def muscle_edge(muscle: Muscle | None, y: FloatImage, relative_z: float) -> FloatImage:
    """Return the x (mm) of the muscle's border at rows ``y`` (mm); ``relative_z`` is 2 z / thickness.

    The border is a convex curve that meets the chest wall at ``length``; the muscle is thinner towards the
    faces of the breast, which softens the border of its projection.
    """
    if muscle is None:
        return np.zeros_like(y)
    along = np.clip(1 - y / np.float32(muscle.length), 0, None)
    taper = 1 - 0.30 * relative_z**2
    return np.asarray(muscle.width * taper * along**muscle.bulge, np.float32)


@dataclass(frozen=True)
class Tissue:
    """Glandular share and ligament strength on coarse layers.

    Attributes:
        score: float32 (layers, rows, columns); tissue is glandular where it exceeds 0, softly.
        sheets: float32 (layers, rows, columns); a ligament runs where it crosses 0.
        layer_z: heights of the layers above the middle plane in mm.
        shape: (rows, columns) of the planes that are asked for.
        ligament: strength between 0 and 1.
    """

    score: NDArray[np.float32]
    sheets: NDArray[np.float32]
    layer_z: NDArray[np.float64]
    shape: tuple[int, int]
    ligament: float

    def fibroglandular(self, z: float) -> FloatImage:
        """Return the share of fibroglandular tissue (rows, columns) at ``z`` above the middle plane."""
        gland = logistic(self.at(self.score, z) / np.float32(_SOFTNESS))
        sheets = self.at(self.sheets, z)
        fibre = np.exp(-((sheets / np.float32(0.07)) ** 2)) * np.float32(self.ligament)
        return np.asarray(gland + (1 - gland) * fibre, np.float32)

    def at(self, stack: NDArray[np.float32], z: float) -> FloatImage:
        """Return ``score`` or ``sheets`` (rows, columns) at ``z`` above the middle plane."""
        position = np.interp(z, self.layer_z, np.arange(len(self.layer_z)))
        lower = int(min(position, len(self.layer_z) - 2))
        weight = float(position - lower)
        layer = cv2.addWeighted(stack[lower], 1 - weight, stack[lower + 1], weight, 0.0)
        if layer.shape != self.shape:
            layer = cv2.resize(layer, (self.shape[1], self.shape[0]), interpolation=cv2.INTER_CUBIC)
        return np.asarray(layer, np.float32)


def grow_tissue(
    breast: Breast, view: ViewShape, lateral: FloatImage, grid: GridConfig, rng: np.random.Generator
) -> Tissue:
    """Draw the tissue of one view.

    Args:
        breast: density and fat.
        view: its shape.
        lateral: distance (mm) of each pixel of ``grid`` from the silhouette.
        grid: the planes that will be asked for.
        rng: the source of randomness.
    """
    shape = lateral.shape
    shrink = grid.tissue_mm / grid.pixel_mm
    coarse = shape if shrink <= 1 else (round(shape[0] / shrink), round(shape[1] / shrink))
    pixel_mm = shape[0] * grid.pixel_mm / coarse[0]
    if coarse != shape:
        lateral = cv2.resize(lateral, (coarse[1], coarse[0]), interpolation=cv2.INTER_AREA)
    layer_mm = max(grid.plane_mm, _MIN_LAYER_MM)
    layers = max(4, int(np.ceil(view.thickness / layer_mm)))
    layer_z = np.asarray((np.arange(layers) - (layers - 1) / 2) * layer_mm, np.float64)
    stack_shape = (layers, *coarse)
    texture = power_law_field(stack_shape, (layer_mm, pixel_mm, pixel_mm * 0.75), 3.2, rng)
    texture *= np.float32(np.sqrt(0.68))
    texture += np.float32(np.sqrt(0.32)) * _ducts(view, stack_shape, layer_mm, pixel_mm, rng)
    sheets = power_law_field(stack_shape, (layer_mm, pixel_mm, pixel_mm), 3.0, rng, cuts_per_mm=(0.03, 0.16))
    inside = add_prior(texture, breast, view, lateral, layer_z, pixel_mm)
    texture -= np.float32(threshold(texture, inside, breast.glandular_fraction))
    return Tissue(texture, sheets, layer_z, shape, float(rng.uniform(0.45, 0.75)))


def _ducts(
    view: ViewShape, shape: tuple[int, int, int], layer_mm: float, pixel_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a field stretched along the lines that lead to the nipple, as ducts and their lobes are."""
    x, y = coordinates(shape[1:], pixel_mm)
    nipple_x, nipple_y = nipple_position(view)
    away = np.hypot(x - nipple_x - 12, y - nipple_y)
    angle = np.arctan2(y - nipple_y, nipple_x + 12 - x)
    step = max(pixel_mm, 1.0)
    reach = round(60 / step)
    field = power_law_field(
        (shape[0], 2 * round(150 / step) + 1, reach), (layer_mm, step, step * 0.4), 3.0, rng
    )
    column = (away / np.float32(3.2 * step)).astype(np.float32) % np.float32(reach - 1)
    row = (angle * np.float32(46 / step) + np.float32(field.shape[1] / 2)).astype(np.float32)
    out = np.empty(shape, np.float32)
    for layer in range(shape[0]):
        cv2.remap(field[layer], column, row, cv2.INTER_LINEAR, dst=out[layer], borderMode=cv2.BORDER_REFLECT)
    return out


def add_prior(
    score: NDArray[np.float32],
    breast: Breast,
    view: ViewShape,
    lateral: FloatImage,
    layer_z: NDArray[np.float64],
    pixel_mm: float,
) -> NDArray[np.bool_]:
    """Add to ``score`` where glandular tissue belongs; return which samples lie inside the breast."""
    x, y = coordinates(lateral.shape, pixel_mm)
    nipple_x, nipple_y = nipple_position(view)
    to_nipple = np.hypot(x - nipple_x, y - nipple_y)
    half = np.where(y < view.middle, min(view.half_above, 85.0), view.half_below)
    aside = ((y - nipple_y) / half) ** 2 * np.float32(2.2)
    inside = np.empty(score.shape, np.bool_)
    under_skin = breast.fat_under_skin * (1 - 0.85 * np.exp(-((to_nipple / 14) ** 2)))
    for layer, z in enumerate(layer_z):
        depth = view.thickness / 2 - np.hypot(np.maximum(view.thickness / 2 - lateral, 0), z)
        edge = muscle_edge(view.muscle, y, 2 * float(z) / view.thickness)
        behind = (x - edge) / np.float32(0.22 * view.depth)
        score[layer] -= aside
        score[layer] -= 4.0 * logistic((under_skin - depth) / np.float32(1.6))
        score[layer] -= 2.4 * logistic((1 - behind) * np.float32(4.0))
        inside[layer] = (depth > 1.6) & (x > edge)
    return inside


def threshold(score: NDArray[np.float32], inside: NDArray[np.bool_], fraction: float) -> float:
    """Return the value that ``fraction`` of the inside exceeds, from a regular subsample."""
    values = score[inside]
    if values.size == 0:
        raise ValueError("the breast has no inside on this grid")
    return float(np.quantile(values[:: max(1, values.size // 400_000)], 1 - fraction))


def logistic(values: FloatImage) -> FloatImage:
    """Return 1 / (1 + exp(-v)) as float32."""
    return np.asarray(np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * values)), np.float32)
