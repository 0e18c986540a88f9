"""Side and projection in the words of tables and headers, and keys of views made from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from comoto.records import Laterality, View

_LEFT = ("l", "lt", "left", "links", "gauche", "izquierda", "esquerda", "sinistra")
_RIGHT = ("r", "rt", "right", "rechts", "droite", "derecha", "direita", "destra")
_SIDES = dict.fromkeys(_LEFT, Laterality.LEFT) | dict.fromkeys(_RIGHT, Laterality.RIGHT)

_PROJECTIONS = {
    "craniocaudal": "CC",
    "mediolateraloblique": "MLO",
    "mediolateral": "ML",
    "lateromedial": "LM",
    "lateromedialoblique": "LMO",
    "exaggeratedcraniocaudal": "XCC",
    "exaggeratedcraniocaudallateral": "XCCL",
    "exaggeratedcraniocaudallaterally": "XCCL",
    "exaggeratedcraniocaudalmedial": "XCCM",
    "exaggeratedcraniocaudalmedially": "XCCM",
    "cleavage": "CV",
    "axillarytail": "AT",
    "tangential": "TAN",
    "caudocranial": "FB",
}
_WORDS = ("CC", "MLO", "ML", "LM", "LMO", "XCC", "XCCL", "XCCM", "FB", "ISO", "SIO", "AT", "CV", "TAN")
_PROJECTIONS |= {word.lower(): word for word in _WORDS}
"""DICOM's View Position (PS3.3 C.8.11.7.1.2) and its names in full, letters only."""

_LETTERS = re.compile(r"[^a-z]")
_VIEW = re.compile(r"^(.*?)(\d*)$", re.DOTALL)


@dataclass(frozen=True)
class ViewWord:
    """What a word for a view says.

    Attributes:
        view: CC, MLO or any other.
        word: the projection in capitals, such as ``XCCL``.
        laterality: None where the word names no side.
        repeat: digits at the end, which mark a repeated acquisition; mostly empty.
    """

    view: View
    word: str
    laterality: Laterality | None
    repeat: str


def parse_side(text: str) -> Laterality | None:
    """Return the side of the body that ``L``, ``Left``, ``rechts`` ... names; None if it names none."""
    return _SIDES.get(_LETTERS.sub("", text.lower()))


def parse_view(text: str) -> ViewWord | None:
    """Return what ``CC``, ``R-MLO``, ``lcc1``, ``Left Cranio-Caudal`` ... names; None if it names no view."""
    match = _VIEW.match(text.strip().lower())
    letters, repeat = (_LETTERS.sub("", match.group(1)), match.group(2)) if match else ("", "")
    if letters in _PROJECTIONS:
        return _view_word(_PROJECTIONS[letters], None, repeat)
    for side in sorted(_SIDES, key=len, reverse=True):
        if letters.startswith(side) and letters[len(side) :] in _PROJECTIONS:
            return _view_word(_PROJECTIONS[letters[len(side) :]], _SIDES[side], repeat)
    return None


def _view_word(word: str, laterality: Laterality | None, repeat: str) -> ViewWord:
    view = View(word) if word in ("CC", "MLO") else View.OTHER
    return ViewWord(view, word, laterality, repeat)


def view_keys(within: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return keys that are unique within their groups: a repeated ``lcc`` becomes ``lcc1``, ``lcc2``, ...

    Args:
        within: the group of each key, such as its study.
        keys: as long as ``within``; the first of a kind keeps its key.
    """
    table = pd.DataFrame({"within": list(within), "key": list(keys)})
    repeated = table.duplicated()
    taken = set(zip(table["within"][~repeated], table["key"][~repeated], strict=True))
    result = list(table["key"])
    for row in table.index[repeated]:
        group, key = table.loc[row, "within"], table.loc[row, "key"]
        number = 1
        while (group, f"{key}{number}") in taken:
            number += 1
        result[row] = f"{key}{number}"
        taken.add((group, result[row]))
    return result
