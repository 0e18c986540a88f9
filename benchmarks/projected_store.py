"""A prepared store of volumes seen as one picture each: their slices projected onto the plane.

The picture may then be made to look like mammograms, by the filter and histogram of
``comoto.preprocessing.appearance``, fitted on training patients of both stores. A projection says nothing
about depth: its boxes lie at ``CONSTANT_DEPTH`` of the stack. Projections are kept in a folder.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from comoto.defaults import CONSTANT_DEPTH
from comoto.output_files import atomic_write
from comoto.preprocessing.appearance.looks import Look, Matched, fitted_gain
from comoto.preprocessing.appearance.sample import Appearance
from comoto.preprocessing.slices import regular_slices
from comoto.preprocessing.store import PreparedStore
from comoto.records import IntArray

SOFTNESS = 8.0
"""Grey values by which a slice has to be brighter to count e times as much in the soft maximum."""


def soft_maximum(planes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the logarithm of the mean exponential (h, w) of planes (S, h, w), in grey values."""
    high = planes.max(axis=0).astype(np.float64)
    total = np.zeros(high.shape)
    for plane in planes:
        total += np.exp((plane - high) / SOFTNESS)
    return np.asarray(high + SOFTNESS * np.log(total / len(planes)))


PROJECTIONS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float64]]] = {
    "mean": lambda planes: np.asarray(planes.mean(axis=0)),
    "soft": soft_maximum,
    "max": lambda planes: planes.max(axis=0).astype(np.float64),
}
LOOKS = ("raw", "histogram", "spectrum")


class ProjectedStore(PreparedStore):
    """A store whose volumes have one plane each.

    Args:
        folder: of the store of volumes.
        kind: one of ``PROJECTIONS``.
        kept: projections are kept in this folder.
        look: what the projection is made to look like; None leaves it as it is.
    """

    def __init__(self, folder: Path, kind: str, kept: Path, look: Look | None = None) -> None:
        super().__init__(folder)
        self.kind, self.look = kind, look
        self._kept = kept
        kept.mkdir(parents=True, exist_ok=True)

    def slice_indices(self, image_id: str) -> IntArray:
        """Return the slice at the constant depth, (1,)."""
        return np.array([int(CONSTANT_DEPTH * self.num_slices(image_id))])

    def regular_planes(self, image_id: str) -> IntArray:
        """Return the one plane."""
        return np.array([0])

    def plane(self, image_id: str, index: int) -> NDArray[np.uint8]:
        """Return the projection (h, w); ``index`` is 0."""
        path = self._kept / f"{quote(image_id, safe='')}-{self.kind}.npy"
        if not path.is_file():
            info = self.info(image_id)
            regular = regular_slices(info.num_slices, self.options)
            planes = self.pixels(image_id)[np.isin(info.slice_indices, regular)]
            picture = np.rint(PROJECTIONS[self.kind](planes)).astype(np.uint8)
            with atomic_write(path) as part, part.open("wb") as file:
                np.save(file, picture)
        picture = np.asarray(np.load(path), np.uint8)
        return picture if self.look is None else self.look(picture, np.random.default_rng(0))


def look_of(name: str, projections: Appearance, mammograms: Appearance) -> Look | None:
    """Return what makes projections look like mammograms; None for ``raw``."""
    if name == "raw":
        return None
    gain = fitted_gain(projections, mammograms) if name == "spectrum" else None
    return Matched(gain, mammograms.histograms.mean(axis=0))
