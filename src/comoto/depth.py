"""Where along the stack the boxes of a volume lie: the slices that they span, and what the scores tell of it.

Letters: N boxes; S slices that were looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from comoto.records import FloatArray, IntArray

Float64Array = NDArray[np.float64]

_LOOKED_AT, _BEST, _PROFILE = "slices_looked_at", "best_slice", "profile"
"""Keys of a volume, and of each of its boxes, in JSON files."""
LISTS = (_LOOKED_AT, _PROFILE)
"""Of these the keys of long lists of numbers."""


class Spans(NamedTuple):
    """The slices of a volume that boxes span.

    Attributes:
        first_slice: int64 (N,), 0-based.
        num_spanned: int64 (N,); 0 means a plane without depth.
    """

    first_slice: IntArray
    num_spanned: IntArray

    @staticmethod
    def checked(spans: Sequence[ArrayLike], number: int) -> Spans:
        """Return the spans of so many boxes, given as two sequences.

        Raises:
            ValueError: shapes do not fit, or a slice is negative.
        """
        first, spanned = (np.asarray(part, dtype=np.int64) for part in spans)
        if first.shape != (number,) or spanned.shape != (number,):
            raise ValueError(f"slices {first.shape} and {spanned.shape} do not fit {number} boxes")
        if (first < 0).any() or (spanned < 0).any():
            raise ValueError("a first slice or a number of slices is negative")
        return Spans(first, spanned)

    def middle(self) -> Float64Array:
        """Return the middle (N,) of the slices spanned: 5.0 for the slices 4 to 6, 4.5 for 4 and 5."""
        return self.first_slice + (np.maximum(self.num_spanned, 1) - 1) / 2


class DepthPrior(NamedTuple):
    """Where along the stack lesions lie before anything is seen of them.

    Attributes:
        center: mean of their relative depth, 0 to 1 from the first to the last slice.
        deviation: its standard deviation.
    """

    center: float
    deviation: float

    def log_odds(self, slices: ArrayLike, num_slices: int) -> Float64Array:
        """Return the logarithm (S,) of how likely lesions are on slices, up to a constant.

        >>> DepthPrior(0.5, 0.25).log_odds([0, 1, 3], num_slices=4).tolist()
        [-1.125, -0.125, -1.125]

        Args:
            slices: (S,), 0-based; slice s lies at (s + 0.5) / ``num_slices``.
            num_slices: of the whole stack.
        """
        places = (np.asarray(slices, dtype=np.float64) + 0.5) / num_slices
        found: Float64Array = -0.5 * ((places - self.center) / self.deviation) ** 2
        return found


@dataclass(frozen=True, eq=False)
class Focus:
    """How much what lies in boxes of slices is in focus there, as a focus head reads it.

    Attributes:
        values: float32 (N,), logarithms; only their differences along a stack mean something.
        prior: of the lesions that the head was fitted on.

    Raises:
        ValueError: the values are no finite numbers in a row, or the prior has no width.
    """

    values: FloatArray
    prior: DepthPrior

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"focus {values.shape}: finite numbers (N,) are needed")
        if not (np.isfinite(self.prior).all() and self.prior.deviation > 0):
            raise ValueError(f"a prior of depth {tuple(self.prior)} has no width")
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: IntArray) -> Focus:
        """Return some of the boxes."""
        return Focus(self.values[rows], self.prior)

    @staticmethod
    def merge(parts: Sequence[Focus | None]) -> Focus | None:
        """Return the boxes of several records as one; None if the focus of none of them is known.

        Raises:
            ValueError: it is known of some only, or the priors differ.
        """
        known = [part for part in parts if part is not None]
        if not known:
            return None
        if len(known) < len(parts) or any(one.prior != known[0].prior for one in known):
            raise ValueError("boxes can be merged only if one focus head read all of them, or none")
        return Focus(np.concatenate([one.values for one in known]), known[0].prior)


@dataclass(frozen=True, eq=False)
class Depths:
    """What the scores of slices tell of the depth of boxes.

    >>> depths = Depths.of([[0, 0.2, 0.4, 0.2, 0]], looked_at=[1, 3, 5, 7, 9])
    >>> depths.best_slice.tolist(), depths.spread().round(2).tolist()
    ([5.0], [1.15])

    Attributes:
        best_slice: float64 (N,), 0-based; an estimate between slices, which can be wrong.
        profile: float32 (N, S), each box's evidence on each slice, 0 without any: the highest score, or what
            a focus head makes of it (docs/method.md).
        looked_at: int64 (S,), the slices, rising.

    Raises:
        ValueError: shapes do not fit, a number is not finite or negative, or the slices do not rise.
    """

    best_slice: Float64Array
    profile: FloatArray
    looked_at: IntArray

    def __post_init__(self) -> None:
        best = np.asarray(self.best_slice, dtype=np.float64)
        looked_at = np.asarray(self.looked_at, dtype=np.int64)
        profile = np.asarray(self.profile, dtype=np.float32)
        profile = profile.reshape(best.size, looked_at.size) if profile.size == 0 else profile
        if best.ndim != 1 or looked_at.ndim != 1 or profile.shape != (best.size, looked_at.size):
            raise ValueError(
                f"best slices {best.shape}, profiles {profile.shape} and slices looked at {looked_at.shape} "
                "do not fit; (N,), (N, S) and (S,) are needed"
            )
        for part in (best, profile, looked_at):
            if not np.isfinite(part).all() or (part < 0).any():
                raise ValueError("a best slice, a score of a profile or a slice is negative or not finite")
        if (np.diff(looked_at) <= 0).any():
            raise ValueError("the slices that were looked at do not rise")
        object.__setattr__(self, "best_slice", best)
        object.__setattr__(self, "profile", profile)
        object.__setattr__(self, "looked_at", looked_at)

    @staticmethod
    def of(profile: ArrayLike, looked_at: ArrayLike) -> Depths:
        """Estimate the best slices: the centroid of the squared scores of each profile.

        The square lets strong slices count and noise fade; the slice of the highest score alone is chance
        where a lesion shows on many slices (docs/log.md, "Depth is an estimate").

        Args:
            profile: (N, S); in one that is 0 throughout all slices count the same.
            looked_at: (S,).
        """
        slices, scores = np.asarray(looked_at, dtype=np.int64), np.asarray(profile, dtype=np.float32)
        best = _shares(scores) @ slices
        return Depths(best, scores, slices)

    def spread(self) -> Float64Array:
        """Return the standard deviation (N,) of the squared scores around the best slices, in slices."""
        off = self.looked_at - self.best_slice[:, np.newaxis]
        found: Float64Array = np.sqrt((_shares(self.profile) * off**2).sum(axis=1))
        return found

    def spans(self, first: int, last: int) -> Spans:
        """Return the slices within a spread of each best slice.

        A span lies evenly around its best slice, rounded to half a slice, and so is cut on both sides alike
        where it would leave the stack.

        Args:
            first: slice of the stack at which spans may begin.
            last: slice at which they end at the latest.
        """
        center = np.round(2 * self.best_slice) / 2
        half = center % 1  # 0.5 between two slices
        reach = np.floor(self.spread() + 0.5 - half) + half
        reach = np.clip(reach, half, np.minimum(center - first, last - center))
        return Spans((center - reach).astype(np.int64), (2 * reach).astype(np.int64) + 1)

    def __len__(self) -> int:
        return len(self.best_slice)

    def __getitem__(self, rows: IntArray) -> Depths:
        """Return some of the boxes."""
        return Depths(self.best_slice[rows], self.profile[rows], self.looked_at)

    @staticmethod
    def merge(parts: Sequence[Depths | None]) -> Depths | None:
        """Return the boxes of several records as one; None if none of them knows more than its spans.

        Raises:
            ValueError: some know and others do not, or other slices were looked at.
        """
        known = [part for part in parts if part is not None]
        if not known:
            return None
        looked_at = known[0].looked_at
        if len(known) < len(parts) or any(not np.array_equal(one.looked_at, looked_at) for one in known):
            raise ValueError("boxes can be merged only if the same slices were looked at for all of them")
        return Depths(
            np.concatenate([one.best_slice for one in known]),
            np.concatenate([one.profile for one in known]),
            looked_at,
        )

    def to_json(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return plain values: what stands with the volume, and with each box."""
        rows = [
            {_BEST: round(best, 2), _PROFILE: [round(score, 4) for score in scores]}
            for best, scores in zip(self.best_slice.tolist(), self.profile.tolist(), strict=True)
        ]
        return {_LOOKED_AT: self.looked_at.tolist()}, rows

    @staticmethod
    def from_json(volume: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Depths | None:
        """Make the record again; None for a volume of a former version, which says nothing of it.

        Raises:
            KeyError, TypeError, ValueError: they are not such values.
        """
        if _LOOKED_AT not in volume:
            return None
        best, profile = ([row[name] for row in rows] for name in (_BEST, _PROFILE))
        return Depths(best, profile, volume[_LOOKED_AT])  # type: ignore[arg-type]


def _shares(profile: FloatArray) -> Float64Array:
    """Return squared scores as shares (N, S) of their sum in each row."""
    squared = np.square(profile.astype(np.float64))
    squared[~squared.any(axis=1)] = 1.0
    found: Float64Array = squared / squared.sum(axis=1, keepdims=True)
    return found
