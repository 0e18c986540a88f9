"""Which slices of a volume: near a lesion, far from every lesion, or enough to prepare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from comoto.config import StrictModel
from comoto.defaults import SLICE_REACH, SLICE_STEP
from comoto.records import IntArray


class PrepareOptions(StrictModel):
    """Which slices of a volume are prepared; mammograms have only one."""

    slices: Literal["all", "sampled"] = "all"
    """``sampled``: every ``step``-th slice, and all slices within ``reach`` of a lesion."""
    step: Annotated[int, Field(ge=1)] = SLICE_STEP
    reach: Annotated[float, Field(ge=0, le=1)] = SLICE_REACH
    """Share of the volume's slices; at least the ``batch.slice_reach`` of the training that will follow."""


def distance_to_nearest(slice_indices: ArrayLike, lesion_slices: ArrayLike) -> IntArray:
    """Return how many slices (N,) lie between each slice and its nearest lesion; huge without lesions."""
    indices = np.asarray(slice_indices, dtype=np.int64)
    lesions = np.asarray(lesion_slices, dtype=np.int64)
    if lesions.size == 0:
        return np.full(indices.shape, np.iinfo(np.int64).max)
    return np.asarray(np.abs(indices[:, None] - lesions[None, :]).min(axis=1))


def near_lesions(
    slice_indices: ArrayLike, lesion_slices: ArrayLike, num_slices: int, reach: float
) -> NDArray[np.bool_]:
    """Say which slices (N,) lie within ``reach * num_slices`` of a lesion's annotated slice, inclusive."""
    return np.asarray(distance_to_nearest(slice_indices, lesion_slices) <= reach * num_slices)


def regular_slices(num_slices: int, options: PrepareOptions) -> IntArray:
    """Return the source slices that are prepared wherever the lesions are, ascending."""
    every = np.arange(num_slices, dtype=np.int64)
    if options.slices == "all":
        return every
    return np.asarray(every[every % options.step == options.step // 2 % num_slices])


def slices_to_prepare(num_slices: int, lesion_slices: Sequence[int], options: PrepareOptions) -> IntArray:
    """Return the source slices that are prepared, ascending."""
    every = np.arange(num_slices, dtype=np.int64)
    near = every[near_lesions(every, lesion_slices, num_slices, options.reach)]
    return np.union1d(regular_slices(num_slices, options), near)
