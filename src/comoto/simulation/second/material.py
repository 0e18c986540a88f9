"""The tissue of one breast, drawn once and sampled in every view.

Three periodic random fields belong to the breast: ``texture`` in mm of the uncompressed breast, ``ducts``
stretched towards the nipple, and ``sheets``, whose zero level set is the ligaments. A view samples them where
``CrossSection`` says its points lie, adds where glandular tissue belongs, and cuts at the quantile of the
wanted glandular fraction. Structure finer than about a millimetre is drawn anew for each view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from comoto.simulation.config import GridConfig
from comoto.simulation.fields import power_law_field
from comoto.simulation.outline import coordinates
from comoto.simulation.second.crosssection import FORWARD, CrossSection
from comoto.simulation.tissue import Tissue, add_prior, logistic, threshold

FloatImage = NDArray[np.float32]
FIELD_MM = 1.0
_SAMPLES = 128
_COARSE_SAMPLES = 72
TEXTURE_EXPONENT = 2.7
_VIEW_STEP_MM = 0.8
_LAYER_MM = 1.5
GRAIN_FROM_PER_MM = 0.35
"""Frequency above which the grain of a view takes over from the fields of the breast."""
GRAIN = 0.30
"""Standard deviation of the grain, relative to that of the texture."""
SOFTNESS = 0.13
_GRAIN_LAYERS = 12
_GRAIN_MM = 52.0


@dataclass(frozen=True)
class Material:
    """Periodic fields (z, y, x) of a breast, sampled every ``FIELD_MM``; two of them more coarsely."""

    texture: NDArray[np.float32]
    ducts: NDArray[np.float32]
    sheets: NDArray[np.float32]
    ligament: float

    def score(self, section: CrossSection, x: FloatImage, y: FloatImage, z: FloatImage) -> FloatImage:
        """Return texture and ducts at points of a view (mm)."""
        p, q = section.to_disc(x, y, z)
        texture = self._texture(section, x, p, q, self.texture, FIELD_MM)
        coarse = FIELD_MM * _SAMPLES / _COARSE_SAMPLES
        scale = section.round_mm / coarse
        ducts = _sample(self.ducts, q * scale, p * scale, 0.5 * _depth(section, x) / coarse)
        return np.asarray(np.sqrt(0.66) * texture + np.sqrt(0.34) * ducts, np.float32)

    def sheet(self, section: CrossSection, x: FloatImage, y: FloatImage, z: FloatImage) -> FloatImage:
        """Return the ligaments' field at points of a view (mm)."""
        p, q = section.to_disc(x, y, z)
        return self._texture(section, x, p, q, self.sheets, FIELD_MM * _SAMPLES / _COARSE_SAMPLES)

    def _texture(
        self,
        section: CrossSection,
        x: FloatImage,
        p: NDArray[np.floating],
        q: NDArray[np.floating],
        field: NDArray[np.float32],
        step: float,
    ) -> FloatImage:
        radius = section.round_mm * section.profile(x) / step
        return _sample(field, q * radius, p * radius, _depth(section, x) / step)


def _depth(section: CrossSection, x: FloatImage) -> FloatImage:
    """Return ``x`` of the uncompressed breast at ``x`` of a view."""
    return np.asarray(x * np.float32(section.breast.depth / section.view.depth / FORWARD), np.float32)


def _sample(
    field: NDArray[np.float32], z: NDArray[np.floating], y: NDArray[np.floating], x: NDArray[np.floating]
) -> FloatImage:
    shape = np.broadcast_shapes(z.shape, y.shape, x.shape)
    where = np.empty((3, *shape), np.float32)
    for axis, values in enumerate((z, y, x)):
        where[axis] = values
    return np.asarray(map_coordinates(field, where, np.float32, order=1, mode="grid-wrap"), np.float32)


def draw_material(rng: np.random.Generator) -> Material:
    """Draw the tissue of a breast."""
    fine, coarse = (_SAMPLES,) * 3, (_COARSE_SAMPLES,) * 3
    step = FIELD_MM * _SAMPLES / _COARSE_SAMPLES
    return Material(
        texture=power_law_field(fine, (FIELD_MM,) * 3, TEXTURE_EXPONENT, rng, periodic=True),
        ducts=power_law_field(coarse, (step,) * 3, 2.8, rng, periodic=True),
        sheets=power_law_field(coarse, (step,) * 3, 3.0, rng, cuts_per_mm=(0.03, 0.16), periodic=True),
        ligament=float(rng.uniform(0.45, 0.75)),
    )


def sample_tissue(material: Material, section: CrossSection, lateral: FloatImage, grid: GridConfig) -> Tissue:
    """Return the tissue of one view, without its grain.

    Args:
        material: of the breast.
        section: the view.
        lateral: distance (mm) of each pixel of ``grid`` from the silhouette.
        grid: the planes that will be asked for.
    """
    shape, view = lateral.shape, section.view
    step = max(_VIEW_STEP_MM, grid.pixel_mm)
    coarse = round(shape[0] * grid.pixel_mm / step), round(shape[1] * grid.pixel_mm / step)
    step = shape[0] * grid.pixel_mm / coarse[0]
    if coarse != shape:
        lateral = cv2.resize(lateral, (coarse[1], coarse[0]), interpolation=cv2.INTER_AREA)
    layer_mm = max(grid.plane_mm, _LAYER_MM)
    layers = max(4, int(np.ceil(view.thickness / layer_mm)))
    layer_z = np.asarray((np.arange(layers) - (layers - 1) / 2) * layer_mm, np.float64)
    x, y = coordinates((coarse[0], coarse[1]), step)
    z = layer_z.astype(np.float32)[:, None, None]
    score = material.score(section, x[None], y[None], z)
    sheets = material.sheet(section, x[None], y[None], z)
    inside = add_prior(score, section.breast, view, lateral, layer_z, step)
    score -= np.float32(threshold(score, inside, section.breast.glandular_fraction))
    return Tissue(score, sheets, layer_z, (shape[0], shape[1]), material.ligament)


def gland_share(score: FloatImage) -> FloatImage:
    """Return the share of glandular tissue where the score is ``score``."""
    return logistic(score / np.float32(SOFTNESS))


class Grain:
    """Structure finer than the fields of the breast: a periodic tile, moved at random now and then."""

    def __init__(self, grid: GridConfig, rng: np.random.Generator) -> None:
        step = max(grid.pixel_mm, grid.tissue_mm)
        side = round(_GRAIN_MM / step)
        self._tile = np.float32(GRAIN) * power_law_field(
            (_GRAIN_LAYERS, side, side),
            (grid.plane_mm, step, step),
            TEXTURE_EXPONENT,
            rng,
            cuts_per_mm=(GRAIN_FROM_PER_MM, None),
            periodic=True,
        )
        size = round(grid.rows * grid.pixel_mm / step), round(grid.columns * grid.pixel_mm / step)
        self._repeats = -(-size[0] // side), -(-size[1] // side)
        self._size, self._shape = size, (grid.rows, grid.columns)
        self._shifts = rng.integers(0, side, (64, 2))

    def plane(self, index: int) -> FloatImage:
        """Return the grain (rows, columns) of the plane ``index``."""
        round_number, layer = divmod(index, _GRAIN_LAYERS)
        shift = tuple(int(value) for value in self._shifts[round_number % len(self._shifts)])
        tile = np.roll(self._tile[layer], shift, axis=(0, 1))
        grain = np.tile(tile, self._repeats)[: self._size[0], : self._size[1]]
        if grain.shape != self._shape:
            grain = cv2.resize(grain, (self._shape[1], self._shape[0]), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(grain, np.float32)


def projected_gland(
    material: Material, section: CrossSection, x: FloatImage, y: FloatImage, lateral: FloatImage
) -> FloatImage:
    """Return the glandular share of the rays through points (rows, columns) of a view, coarsely."""
    view, layers = section.view, 14
    layer_z = (np.arange(layers) + 0.5 - layers / 2) * view.thickness / layers
    score = material.score(section, x[None], y[None], layer_z.astype(np.float32)[:, None, None])
    step = float(y[1, 0] - y[0, 0])
    inside = add_prior(score, section.breast, view, lateral, layer_z, step)
    score -= np.float32(threshold(score, inside, section.breast.glandular_fraction))
    return np.asarray((gland_share(score) * inside).mean(axis=0), np.float32)
