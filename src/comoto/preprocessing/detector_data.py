"""Mammograms "for processing": what the detector measured, made into what a reader of mammograms expects.

The intensity that reaches the detector falls exponentially with what lies in its way (Lambert and Beer): air
is bright and tissue dark, and the same lesion changes thin tissue by more counts than thick tissue. The
logarithm undoes the exponential: air becomes dark, dense tissue bright, and equal amounts of tissue make
equal steps of grey. Vendors do more than that before they show a picture (they even out the thickness at the
skin and sharpen); none of it is imitated here.

The header alone is not believed: volumes of VICTRE are called "for processing" too, and there are exports
that kept the words and not the values. The air has to be bright as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from comoto.image_header import ImageHeader
from comoto.preprocessing.breast import small_copy
from comoto.preprocessing.window import to_bytes, windowed
from comoto.records import Modality

CurveKind = Literal["log", "linear"]
Wanted = Literal["log", "linear", "as_stored"]
Shades = NDArray[np.uint16]

_LARGEST_RESULT = 65535
_FRAME_SHARE = 0.02
_BLUR = 5
_WHOLE = 0.95
_CLEARLY = 0.05


@dataclass(frozen=True)
class DetectorCurve:
    """From frames of detector data to grey values that are brighter where the tissue is denser.

    ``log``: intensity i of at most m becomes ``65535 (1 - ln(1 + i) / ln(1 + m))``; ``linear``: ``m - i``.

    Attributes:
        kind: the formula.
        largest: m, the largest value that the file's bits can hold.
        is_inverted: frames come inverted already (MONOCHROME1), so that the intensity is m - value.
    """

    kind: CurveKind
    largest: int
    is_inverted: bool

    def __post_init__(self) -> None:
        if self.kind not in ("log", "linear") or not 1 <= self.largest <= _LARGEST_RESULT:
            raise ValueError(f"no curve of detector data: {self}")

    def values(self, frame: NDArray[Any]) -> Shades:
        """Return the grey values of a frame, uint16 of its shape."""
        return np.asarray(_table(self.kind, self.largest, self.is_inverted)[frame], dtype=np.uint16)


def detector_curve(
    header: ImageHeader, frame: NDArray[Any], modality: Modality, wanted: Wanted
) -> tuple[DetectorCurve | None, str]:
    """Decide whether an image is detector data that have to be turned over.

    Args:
        header: of the image; ``for_processing`` must be set.
        frame: (H, W) as read.
        modality: volumes are reconstructions, whatever their header says.
        wanted: ``preprocess.for_processing`` of the configuration.

    Returns:
        The curve, None where the frame is to stay as it is; and a note, empty where the header does not say
        "for processing" or the values are left alone on purpose.
    """
    if modality is not Modality.MAMMOGRAM or not header.for_processing or wanted == "as_stored":
        return None, ""
    curve = DetectorCurve(wanted, 2**header.bits_stored - 1, header.photometric == "MONOCHROME1")
    intensity = curve.largest - frame.astype(np.int64) if curve.is_inverted else frame
    is_bright = air_is_bright(intensity)
    if is_bright:
        how = "the logarithm of its values is" if wanted == "log" else "its values upside down are"
        return curve, f'a mammogram "for processing" with bright air: {how} prepared'
    why = "its air is dark" if is_bright is False else "what of it is air cannot be told"
    return None, f'the header says "for processing", but {why}; its values are taken as they are'


def air_is_bright(intensity: NDArray[Any]) -> bool | None:
    """Say whether air is brighter than the breast; None where the picture does not tell.

    The picture is split in two by Otsu's threshold. The half that has a whole side of the picture to itself
    is air: breasts reach one side, and rarely fill it into both corners. Where both halves have one, the
    largest region of the breast fills its convex hull, and that of the air around it does not.

    Args:
        intensity: (H, W), any scale.
    """
    small = small_copy(intensity)
    rows, columns = (max(1, round(side * _FRAME_SHARE)) for side in small.shape)
    small = small[rows:-rows, columns:-columns]
    low, high = (float(value) for value in np.percentile(small, (1, 99)))
    if high <= low:
        return None
    grey = np.asarray(cv2.medianBlur(to_bytes(windowed(small, low, high)), _BLUR), dtype=np.uint8)
    _, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    owners = {half for strip in (bright[:, :columns], bright[:, -columns:]) for half in _owner(strip)}
    if len(owners) == 1:
        return owners == {True}
    of_bright, of_dark = _share_of_hull(bright), _share_of_hull(1 - bright)
    return None if abs(of_bright - of_dark) < _CLEARLY else of_bright < of_dark


def _owner(strip: NDArray[Any]) -> set[bool]:
    """Return the half that has a strip to itself; nothing where both share it."""
    share = float(strip.mean())
    return {share > 0.5} if max(share, 1 - share) >= _WHOLE else set()


def _share_of_hull(mask: NDArray[Any]) -> float:
    """Return which share of its convex hull the largest region of a mask fills, holes counted as filled."""
    outlines, _ = cv2.findContours(np.asarray(mask, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [float(cv2.contourArea(outline)) for outline in outlines]
    if not areas or max(areas) <= 0:
        return 0.0
    return max(areas) / float(cv2.contourArea(cv2.convexHull(outlines[int(np.argmax(areas))])))


@lru_cache(maxsize=8)
def _table(kind: CurveKind, largest: int, is_inverted: bool) -> Shades:
    intensity = np.arange(largest + 1)
    if kind == "linear":
        shades = largest - intensity
    else:
        shades = np.rint(_LARGEST_RESULT * (1 - np.log1p(intensity) / np.log1p(largest)))
    table = np.asarray(shades[::-1] if is_inverted else shades, dtype=np.uint16)
    table.flags.writeable = False
    return table
