"""One point of a breast in two compressions.

A breast that nothing compresses is taken as round: ``p`` (to the inner side) and ``q`` (upwards) lie in a
unit disc, the same disc in every view, and ``x`` leads from the chest wall to the nipple. A view turns the
disc by the angle of its paddle and presses it into the square of ``s`` (along the chest wall, share of the
breast's half width at ``x``) and ``t`` (height above the middle plane, share of half the thickness). Disc and
square are mapped by the elliptical grid of Fong, "Analytical Methods for Squaring the Disc" (2014): straight
lines become ellipses, the edge stays the edge, so what is inside the breast in one view is inside in every
view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comoto.records import View
from comoto.simulation.anatomy import Breast, ViewShape

Floats = NDArray[np.floating]
MLO_ANGLE = math.radians(48.0)
FORWARD = 1.7
"""How much longer, from chest wall to nipple, compression makes a breast."""
_WIDER = 1.12
_BLUNT = 0.14
"""Share of the half width that a breast keeps at the nipple, so that nothing is divided by zero."""


@dataclass(frozen=True)
class CrossSection:
    """The map between a view and the disc.

    Attributes:
        view: the compression.
        breast: what is compressed.
    """

    breast: Breast
    view: ViewShape

    @property
    def angle(self) -> float:
        """How far the view turns the disc, in radians."""
        return MLO_ANGLE if self.view.view is View.MLO else 0.0

    @property
    def round_mm(self) -> float:
        """Radius of the uncompressed breast at the chest wall.

        A little more than that of the same area, since compression also drives tissue forward
        (``FORWARD``) and out of the field.
        """
        return _WIDER * math.sqrt(self.breast.half_height * self.breast.thickness / 2)

    def profile(self, x: Floats) -> Floats:
        """Return the width at ``x`` (mm) relative to that at the chest wall."""
        along = np.clip(x / self.view.depth, 0, 1)
        n = self.view.roundness
        return np.asarray(np.maximum((1 - along**n) ** (1 / n), _BLUNT), along.dtype)

    def _half_width(self, x: Floats, below: Floats | NDArray[np.bool_]) -> Floats:
        above_mm = min(self.view.half_above, 1.15 * self.breast.half_height)
        return np.where(below, self.view.half_below, above_mm) * self.profile(x)

    def to_disc(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return (p, q) of points of the view in mm; ``z`` counts from the middle plane."""
        offset = y - self.view.middle
        s = offset / self._half_width(x, offset >= 0)
        t = 2 * z / self.view.thickness
        turned_p = s * np.sqrt(1 - np.minimum(t**2, 1) / 2)
        turned_q = t * np.sqrt(1 - np.minimum(s**2, 1.6) / 2)
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return cosine * turned_p + sine * turned_q, cosine * turned_q - sine * turned_p

    def from_disc(self, x: Floats, p: Floats, q: Floats) -> tuple[Floats, Floats]:
        """Return (y, z) in mm of points of the disc at ``x``."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        turned_p, turned_q = cosine * p - sine * q, sine * p + cosine * q
        s, t = _square(turned_p, turned_q), _square(turned_q, turned_p)
        return self.view.middle + s * self._half_width(x, s >= 0), t * self.view.thickness / 2


def _square(u: Floats, v: Floats) -> Floats:
    """Return the coordinate of the square along ``u`` of the point (u, v) of the disc."""
    base, twice = 2 + u**2 - v**2, 2 * math.sqrt(2) * u
    return (np.sqrt(np.maximum(base + twice, 0)) - np.sqrt(np.maximum(base - twice, 0))) / 2
