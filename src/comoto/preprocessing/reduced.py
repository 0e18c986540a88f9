"""Frames that were decoded at a fraction of their resolution, onto the same grid as full ones.

JPEG 2000 stores a frame as a small image and the wavelet bands that double it step by step. Where the grid
is at most half as fine as the frame, the finest bands are left undecoded. What is left is not an average of
2 x 2 pixels: value k of a side is centred on the middle of full pixel ``2**n * k`` (ISO/IEC 15444-1, annex
F), so it lies ``2**(n - 1) - 1/2`` full pixels before the middle of the pixels that it stands for. Rendering
takes that into account; boxes never notice.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from comoto.geometry import Chain

FloatImage = NDArray[np.float32]
Edges = NDArray[np.float64]


def halvings_that_fit(orient: Chain, to_grid: Chain, available: int, margin: int) -> int:
    """Return how often a stored frame may be halved so that it still is finer than the grid.

    A wavelet's low band averages fewer pixels than the grid's pixels cover, so noise gets through; averaging
    ``margin`` x ``margin`` values of it takes most of that away again.

    Args:
        orient: stored -> source.
        to_grid: source -> grid.
        available: how often the image can be halved while it is decoded.
        margin: pixels of the reduced frame, along each side, to one of the grid.
    """
    x, y = _stored_edges(orient, to_grid)
    smallest = min(float((edges[:, 1] - edges[:, 0]).min()) for edges in (x, y))
    fitting = 0
    while fitting < available and smallest >= margin * 2 ** (fitting + 1):
        fitting += 1
    return fitting


def onto_grid(reduced: FloatImage, orient: Chain, to_grid: Chain, halvings: int) -> FloatImage:
    """Return the area averages of a reduced frame under the grid's pixels.

    Args:
        reduced: (rows, columns) of the stored frame, each halved so often and rounded up.
        orient: stored -> source.
        to_grid: source -> grid.
        halvings: at least 1.
    """
    rows, columns = _weights(orient, to_grid, reduced.shape, halvings)
    halfway = rows @ reduced
    return np.ascontiguousarray((columns @ np.ascontiguousarray(halfway.T)).T)


@lru_cache(maxsize=4)
def _weights(
    orient: Chain, to_grid: Chain, shape: tuple[int, int], halvings: int
) -> tuple[csr_array, csr_array]:
    """Return matrices (h, rows) and (w, columns) whose rows sum to 1."""
    x, y = ((edges + 2 ** (halvings - 1) - 0.5) / 2**halvings for edges in _stored_edges(orient, to_grid))
    return _averages(y, shape[0]), _averages(x, shape[1])


def _stored_edges(orient: Chain, to_grid: Chain) -> tuple[Edges, Edges]:
    """Return where the columns (w, 2) and rows (h, 2) of the grid begin and end on the stored frame."""
    rows, columns = to_grid.out_shape
    sides = []
    for axis, count in ((0, columns), (1, rows)):
        boxes = np.zeros((count, 4))
        boxes[:, 2:] = 1
        boxes[:, axis] = np.arange(count)
        boxes[:, axis + 2] = boxes[:, axis] + 1
        sides.append(orient.undo_boxes(to_grid.undo_boxes(boxes))[:, [axis, axis + 2]])
    return sides[0], sides[1]


def _averages(edges: Edges, size: int) -> csr_array:
    """Return the matrix (n, size) that averages values over n intervals; the last value goes on for ever."""
    low, high = edges[:, 0], edges[:, 1]
    first = np.floor(low).astype(np.int64)
    span = int(np.ceil(high - first).max())
    index = first[:, None] + np.arange(span)
    share = np.minimum(index + 1, high[:, None]) - np.maximum(index, low[:, None])
    share = np.clip(share, 0, None) / (high - low)[:, None]
    place = np.broadcast_to(np.arange(len(edges))[:, None], index.shape)
    entries = (share.ravel().astype(np.float32), (place.ravel(), np.clip(index, 0, size - 1).ravel()))
    return csr_array(entries, shape=(len(edges), size))
