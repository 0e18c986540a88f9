"""In which order the frames of a volume lie in the breast, which need not be the order of the file.

Places (Image Position (Patient) along the normal of Image Orientation) tell first, then In-Stack Position
Number, then Dimension Index Values (PS3.3 C.7.6.16 and C.7.6.17). An order that goes one way is left as it
is, whichever way that is; frames that jump to and fro are sorted; two stacks in one object are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from comoto.dicom.attributes import Attributes, cosines_of, numbers_of, text_of, vector_of
from comoto.dicom.log_once import warn_once
from comoto.errors import DicomError

_BACKWARDS = 0.2
"""A step against the others counts from this share of the median step on: places are rounded."""
_MOSTLY_BACKWARDS = -0.5
_SAME_DIRECTION = 1e-2


def frame_order(attributes: Attributes, num_frames: int) -> tuple[int, ...] | None:
    """Return the number in the file of each slice; None where the order of the file is right or all there is.

    Raises:
        DicomError: the object holds frames of two stacks, orientations or sides.
    """
    if num_frames < 2 or len(attributes.frames) != num_frames:
        return None
    _check_one_stack(attributes)
    places, numbers = frame_places(attributes), _stack_positions(attributes)
    keys = places if places is not None and len(set(places)) > 1 else numbers
    if keys is None or len(set(keys)) == 1 or _goes_one_way(keys):
        return None
    if len(set(keys)) < num_frames:
        raise DicomError(
            f"{attributes.path}: {num_frames} frames lie in {len(set(keys))} places, and not in order: "
            "several stacks in one object; export each as an object of its own"
        )
    order = sorted(range(num_frames), key=lambda frame: keys[frame])
    if _runs_backwards(order, numbers):
        order.reverse()
    warn_once(
        "frame order",
        f"{attributes.path}: the frames are not stored in the order in which they lie in the breast; they "
        "are sorted, and slice numbers count in that order, not in that of the file",
    )
    return tuple(order)


def _check_one_stack(attributes: Attributes) -> None:
    for what, values in (
        ("stacks (Stack ID)", attributes.of_frames(lambda group: text_of(group, "StackID"))),
        ("sides (Frame Laterality)", attributes.of_frames(_side)),
    ):
        known = dict.fromkeys(value for value in values if value)
        if len(known) > 1:
            raise DicomError(
                f"{attributes.path}: the frames are of {len(known)} {what}, {', '.join(known)}; export each "
                "as an object of its own"
            )
    directions = [value for value in attributes.of_frames(cosines_of) if value is not None]
    if directions and np.ptp(np.array(directions), axis=0).max() > _SAME_DIRECTION:
        raise DicomError(
            f"{attributes.path}: the frames lie in different directions (Image Orientation (Patient)); "
            "export the frames of each direction as an object of its own"
        )


def _side(group: Dataset) -> str | None:
    side = (text_of(group, "FrameLaterality") or "").upper()
    return side if side in ("L", "R") else None


def frame_places(attributes: Attributes) -> list[float] | None:
    """Return the place of each frame along the normal, in mm to a thousandth; None where any is unknown."""
    cosines = attributes.first(cosines_of)
    places = attributes.of_frames(lambda group: vector_of(group, "ImagePositionPatient", 3))
    known = [place for place in places if place is not None]
    if cosines is None or not known or len(known) < len(places):
        return None
    normal = np.cross(cosines[:3], cosines[3:])
    if np.linalg.norm(normal) < _SAME_DIRECTION:
        return None
    along = np.array(known) @ (normal / np.linalg.norm(normal))
    return [round(float(place), 3) for place in along]


def _stack_positions(attributes: Attributes) -> list[float] | None:
    """Return In-Stack Position Number of each frame, else the one dimension index that tells frames apart."""
    own = attributes.of_frames(lambda group: vector_of(group, "InStackPositionNumber", 1))
    if own and None not in own:
        return [value[0] for value in own if value is not None]
    indices = attributes.of_frames(lambda group: tuple(numbers_of(group, "DimensionIndexValues")) or None)
    rows = [value for value in indices if value is not None and None not in value]
    if not rows or len(rows) < len(indices) or len({len(row) for row in rows}) > 1:
        return None
    columns = [[value or 0.0 for value in column] for column in zip(*rows, strict=True)]
    return next((column for column in columns if len(set(column)) == len(column)), None)


def _goes_one_way(keys: Sequence[float]) -> bool:
    steps = np.diff(keys)
    least = _BACKWARDS * float(np.median(np.abs(steps)))
    if least:
        return bool((steps > -least).all() or (steps < least).all())
    return bool((steps >= 0).all() or (steps <= 0).all())


def _runs_backwards(order: Sequence[int], numbers: Sequence[float] | None) -> bool:
    """Say whether sorting has turned the stack round, as its own numbers or most of the file's order tell."""
    ranks = order if numbers is None else [numbers[frame] for frame in order]
    if len(set(ranks)) == 1:
        return False
    return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) < _MOSTLY_BACKWARDS
