"""What detections say about depth: the share of the stack they span, and lesions found at another depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from comoto.evaluation.matching import hits_in_plane
from comoto.evaluation.tables import Float64Array
from comoto.records import IntArray

MOSTLY_ALL = 0.5
"""A box that spans this share of the stack has its middle within a quarter of the stack's own middle."""

MEANING = (
    "Z is the first slice of a box, counted from 0, and Depth the number of slices that it spans; a hit "
    "needs Z + Depth/2 within a quarter of the volume's slices of the annotated slice"
)


@dataclass(frozen=True)
class DepthAccount:
    """What predictions say about depth.

    Attributes:
        spanned_share: median share of the volume's slices that a prediction spans, over predictions on
            volumes with a box; NaN without any.
        slices_off: (L,) of a lesion that nothing hits but that a prediction meets in the slice plane: by how
            many slices the best scored of these is off, its own minus the lesion's; NaN for other lesions.
    """

    spanned_share: float
    slices_off: Float64Array

    @property
    def num_at_other_depth(self) -> int:
        """Lesions that are missed for their depth alone."""
        return int((~np.isnan(self.slices_off)).sum())

    def text(self) -> str:
        """Return one sentence on what the figures say about depth."""
        text = MEANING
        if self.spanned_share >= MOSTLY_ALL:
            text += (
                f". The boxes span {100 * self.spanned_share:.0f} % of their volume's slices in the median, "
                "so their middle is hardly more than the middle of the volume: the figures are about the "
                "place in the plane and say little about depth"
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
    off = np.full(len(lesion_volume), np.nan)
    hit = np.zeros(len(lesion_volume), dtype=bool)
    hit[hit_lesion[(hit_lesion >= 0) & ~np.isnan(scores)]] = True
    in_plane = hits_in_plane(volume, center, lesion_volume, lesion_center, radius)
    rows = np.flatnonzero((in_plane >= 0) & ~np.isnan(scores))
    rows = rows[~hit[in_plane[rows]]]
    rows = rows[np.argsort(scores[rows], kind="stable")]  # the best of a lesion is written last and stays
    off[in_plane[rows]] = center[rows, 2] - lesion_center[in_plane[rows], 2]
    return DepthAccount(float(np.median(shares)) if len(shares) else float("nan"), off)
