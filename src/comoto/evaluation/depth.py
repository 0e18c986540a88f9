"""What detections say about depth: the share of the stack they span, and lesions found at another depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comoto.evaluation.matching import hits_in_plane
from comoto.records import IntArray
from comoto.tables import Float64Array

MOSTLY_ALL = 0.5
"""A box that spans this share of the stack has its middle within a quarter of the stack's own middle."""

MEANING = (
    "Z is the first slice of a box, counted from 0, and Depth the number of slices that it spans; a hit "
    "needs Z + Depth/2 within a quarter of the volume's slices of the annotated slice"
)
CAUTION = (
    f"{MEANING}. So up to half of all slices count as right, and a box that spans most of the stack names "
    "its middle: these metrics are no evidence that the depth of a lesion is found."
)
"""What stands beside metrics of several methods, whatever their boxes span."""


@dataclass(frozen=True)
class DepthAccount:
    """What predictions say about depth.

    Attributes:
        spanned_share: median share of the volume's slices that a prediction spans, over predictions on
            volumes with a box; NaN without any.
        in_plane: (N,) lesion that a prediction meets in the slice plane, at whatever depth; -1 for none.
        prediction_off: (N,) by how many slices the depth of a prediction is off that lesion's; NaN for none.
        slices_off: (L,) of a lesion that nothing hits but that a prediction meets in the slice plane: by how
            many slices the best scored of these is off, its own minus the lesion's; NaN for other lesions.
    """

    spanned_share: float
    in_plane: IntArray
    prediction_off: Float64Array
    slices_off: Float64Array

    @classmethod
    def nothing(cls) -> DepthAccount:
        """Return the account of no predictions on no lesions."""
        return cls(float("nan"), np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))

    @property
    def num_at_other_depth(self) -> int:
        """Lesions that are missed for their depth alone."""
        return int((~np.isnan(self.slices_off)).sum())

    def text(self) -> str:
        """Return one sentence on what the metrics say about depth."""
        text = MEANING
        if self.spanned_share >= MOSTLY_ALL:
            text += (
                f". The boxes span {100 * self.spanned_share:.0f} % of their volume's slices in the median, "
                "so their middle is hardly more than the middle of the volume: the metrics are about the "
                "place in the plane and say little about depth"
            )
        elif self.spanned_share == 0:
            text += (
                ". Boxes of Depth 0 are compared by their Z alone, which must then be the slice of the "
                "finding and not the first of a stack"
            )
        return text


def depth_account(
    volume: IntArray,
    center: Float64Array,
    num_spanned: Float64Array,
    scores: Float64Array,
    hit_lesion: IntArray,
    lesions: tuple[IntArray, Float64Array, Float64Array, Float64Array],
) -> DepthAccount:
    """Compare the depth of detections with that of the lesions.

    Args:
        volume: (N,) number of the volume, negative for an unknown one.
        center: (N, 3) x, y in pixels and z in slices.
        num_spanned: (N,) slices that a detection spans.
        scores: (N,), NaN for a detection that never counts.
        hit_lesion: (N,) lesion that a detection hits, -1 for none.
        lesions: volume (L,), centre (L, 3), radius (L,) of each, and slices (L,) of its volume.
    """
    lesion_volume, lesion_center, radius, slices = lesions
    of_volume = dict(zip(lesion_volume.tolist(), slices.tolist(), strict=True))
    known = np.array([of_volume.get(number, np.nan) for number in volume.tolist()])
    shares = (np.maximum(num_spanned, 0) / known)[~np.isnan(known)]
    in_plane = hits_in_plane(volume, center, lesion_volume, lesion_center, radius)
    depth_off = np.full(len(in_plane), np.nan)
    met = in_plane >= 0
    depth_off[met] = center[met, 2] - lesion_center[in_plane[met], 2]
    off = np.full(len(lesion_volume), np.nan)
    hit = np.zeros(len(lesion_volume), dtype=bool)
    hit[hit_lesion[(hit_lesion >= 0) & ~np.isnan(scores)]] = True
    rows = np.flatnonzero(met & ~np.isnan(scores))
    rows = rows[~hit[in_plane[rows]]]
    rows = rows[np.argsort(scores[rows], kind="stable")]  # the best of a lesion is written last and stays
    off[in_plane[rows]] = depth_off[rows]
    spanned = float(np.median(shares)) if len(shares) else float("nan")
    return DepthAccount(spanned, in_plane, depth_off, off)
