"""Which side of an image the breast leans on, for data sets whose laterality tags are not to be trusted."""

from __future__ import annotations

import numpy as np

from comoto.dicom.decode import Pixels
from comoto.records import Laterality

_STRIP_SHARE = 0.05
_CLEARLY = 2.0


def leaning_side(frame: Pixels) -> Laterality | None:
    """Return the side of the image that the chest wall is on; None where neither side clearly wins.

    The mean grey value above air in the outermost 5 % of the columns must be twice that of the other side.
    Unlike ``comoto.dicom.read.touching_side`` it does not decide a tie, and a burnt-in letter or a bright
    last column does not decide it either.

    Args:
        frame: (rows, columns), air darker than breast; left breasts lean left.
    """
    width = max(1, round(_STRIP_SHARE * frame.shape[1]))
    air = float(np.percentile(frame, 1))
    left = float(frame[:, :width].mean()) - air
    right = float(frame[:, -width:].mean()) - air
    if left > 0 and left >= _CLEARLY * right:
        return Laterality.LEFT
    if right > 0 and right >= _CLEARLY * left:
        return Laterality.RIGHT
    return None
