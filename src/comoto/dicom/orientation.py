"""How a picture lies on the patient: in which anatomical directions its rows and columns run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset

from comoto.dicom.attributes import cosines_of, texts_of

_LETTERS = frozenset("APRLHF")
_AXES = (("L", "R"), ("P", "A"), ("H", "F"))
"""Letters of the positive and the negative direction of the patient's axes (PS3.3 C.7.6.2.1.1)."""
_SMALLEST_SHARE = 0.25
"""Direction cosines below this (an angle of less than 15 degrees) give no letter."""


def anatomical_directions(groups: Iterable[Dataset]) -> tuple[str, str] | None:
    """Return the directions in which a row (to the right) and a column (downwards) run.

    From Patient Orientation (PS3.3 C.7.6.1.1.1), else from Image Orientation (Patient) (C.7.6.2.1.1), whose
    direction cosines are named by the axes that they mostly follow.

    Args:
        groups: data sets that may hold the attributes, the most trusted first.

    Returns:
        Letters of A, P, R, L, H, F, the strongest first: ``("A", "R")`` for an upright left CC view,
        ``("P", "FL")`` for an upright right MLO view. None where the header does not say so.
    """
    known = list(groups)
    for group in known:
        words = texts_of(group, "PatientOrientation")
        if len(words) == 2 and all(word and set(word) <= _LETTERS for word in words):
            return words[0], words[1]
    for group in known:
        cosines = cosines_of(group)
        if cosines is not None:
            row, column = _letters(cosines[:3]), _letters(cosines[3:])
            if row and column:
                return row, column
    return None


def _letters(cosines: Sequence[float]) -> str:
    named = [
        (abs(value), letters[value < 0])
        for value, letters in zip(cosines, _AXES, strict=True)
        if abs(value) >= _SMALLEST_SHARE
    ]
    return "".join(letter for _, letter in sorted(named, reverse=True))
