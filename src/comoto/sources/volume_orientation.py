"""How a volume lies in its frames: where the chest wall is, and whether it is stored turned.

Three cases, decided from the file alone and the side of the body that the data set's table states:

1. **The header says how the picture lies** (Patient Orientation or Image Orientation (Patient)) and the
   pixels agree: the breast touches the side that the header calls posterior. Then the header is believed, and
   nothing is turned: boxes are in the frames as stored. Pictures that lie head down are put upright for the
   network only.
2. **The header is silent or contradicts its pixels**, or the volume is of BCS-DBT, whose headers are known to
   be wrong: the reading rule of BCS-DBT. A volume whose frame 0 touches the other side than the breast's side
   of the body is stored turned by 180 degrees, and boxes are in the frames turned back.
3. **Formats other than DICOM** have one frame of reference, the frames as they are read: nothing is turned.

The side of the body that the table states always wins over the header's; without a table it is the header's
in the first case, and the side that the pixels touch in the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from comoto.dicom.decode import Pixels
from comoto.dicom.read import touching_side
from comoto.image_header import ImageHeader
from comoto.records import Laterality

_BCS_DBT_PATIENT = re.compile(r"DBT-P\d{5}")
_OF_THE_PIXELS = "laterality was taken from the pixels"


@dataclass(frozen=True)
class VolumeOrientation:
    """How a volume lies.

    Attributes:
        is_turned: boxes refer to the frames turned by 180 degrees.
        chest_wall: side of the picture, after that turn, where the chest wall is.
        is_upside_down: after that turn the head, or the lateral side of a CC view, is at the bottom; the
            picture is to be put upright before a network sees it.
        laterality: side of the patient's body; None where only the pixels tell.
        from_breast: the chest wall is a guess from the first frame; the breast's outline knows better.
        notes: what was decided, one sentence each.
    """

    is_turned: bool
    chest_wall: Laterality
    is_upside_down: bool
    laterality: Laterality | None
    from_breast: bool
    notes: tuple[str, ...] = ()


def volume_orientation(
    header: ImageHeader, first: Pixels, laterality: Laterality | None
) -> VolumeOrientation:
    """Decide how a volume lies.

    Args:
        header: of the volume.
        first: frame 0 as stored.
        laterality: side of the body from the data set's table; None where there is none.
    """
    touched = touching_side(first)
    if header.boxes_as_stored:
        notes = () if laterality else (_OF_THE_PIXELS,)
        return VolumeOrientation(False, touched, False, laterality, True, notes)
    if _is_believed(header, first, touched):
        return _from_header(header, touched, laterality)
    return _by_reading_rule(header, first, touched, laterality)


def _is_believed(header: ImageHeader, first: Pixels, touched: Laterality) -> bool:
    if header.directions is None or _BCS_DBT_PATIENT.fullmatch(header.patient_id):
        return False
    posterior = {"A": Laterality.LEFT, "P": Laterality.RIGHT}.get(header.directions[0][0])
    return posterior is touched and not _touches_neither(first)


def _from_header(
    header: ImageHeader, touched: Laterality, laterality: Laterality | None
) -> VolumeOrientation:
    said = _tag(header)
    side = laterality or said
    row, column = header.directions or ("", "")
    notes = []
    if laterality is not None and said not in (None, laterality):
        notes.append(f"the header says side {said}, the table {laterality}; the table is followed")
    if side is not None and side is not touched:
        notes.append(f"stored with the chest wall on the other side, as the header says ({row}\\{column})")
    upside_down = _is_upside_down(column, side)
    if upside_down:
        notes.append(
            f"stored upside down, as the header says ({row}\\{column}); put upright for the network, "
            "boxes are in the frames as stored"
        )
    if side is None:
        notes.append(_OF_THE_PIXELS)
    return VolumeOrientation(False, touched, upside_down, side, False, tuple(notes))


def _by_reading_rule(
    header: ImageHeader, first: Pixels, touched: Laterality, laterality: Laterality | None
) -> VolumeOrientation:
    if laterality is None:
        notes = [_OF_THE_PIXELS]
        if _tag(header) not in (None, touched):
            notes.append(f"the header says side {_tag(header)}")
        return VolumeOrientation(False, touched, False, None, False, tuple(notes))
    if touched is laterality:
        return VolumeOrientation(False, laterality, False, laterality, False)
    note = "turned by 180 degrees: frame 0 touches the other side"
    if _touches_neither(first):
        note = "turned by 180 degrees although frame 0 touches neither side (the rule counts a tie as L)"
    return VolumeOrientation(True, laterality, False, laterality, False, (note,))


def _is_upside_down(column: str, side: Laterality | None) -> bool:
    """Say whether columns run to the head or, on views without head and feet, away from the midline.

    Views are shown with the head up, and CC views with the lateral side up (PS3.3 C.8.11.7.1.1): columns of
    a left breast then run to the right of the patient, those of a right breast to the left.
    """
    if "F" in column or "H" in column:
        return "H" in column
    lateral = {Laterality.LEFT: "L", Laterality.RIGHT: "R"}
    return side is not None and column[:1] == lateral[side]


def _tag(header: ImageHeader) -> Laterality | None:
    text = (header.laterality_tag or "").strip().upper()
    return Laterality(text) if text in ("L", "R") else None


def _touches_neither(first: Pixels) -> bool:
    # The BCS-DBT authors' rule compares the sums and calls a tie L, which is no observation: two columns
    # of air, for one. It confirms no header, and a turn that follows from it is told.
    return bool(first[:, 0].sum(dtype=np.int64) == first[:, -1].sum(dtype=np.int64))
