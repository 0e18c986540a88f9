"""Side and projection in the words of tables and headers, and keys of views made from them.

The only home of both: readers and predictions name repeated views by ``view_keys``. No text is searched with
a pattern that may look at it twice: a cell of a table may hold anything, of any length.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

_MODIFIERS = {
    "S": ("spot", "spotcompression", "spotcompressed"),
    "M": ("mag", "magnification", "magnified"),
    "ID": ("implantdisplaced",),
    "RL": ("rolledlateral", "rolledlaterally"),
    "RM": ("rolledmedial", "rolledmedially"),
    "RI": ("rolledinferior",),
    "RS": ("rolledsuperior",),
    "CV": ("cleavage",),
    "AT": ("axillarytail",),
    "AX": ("axillarytissue",),
    "TAN": ("tangential",),
    "NP": ("nippleinprofile",),
    "AC": ("anteriorcompression",),
    "IMF": ("inframammaryfold",),
}
"""View modifiers (PS3.16 CID 4015) by the labels of the American College of Radiology, and their words."""

_TOGETHER = ("ID", "S", "M")
"""Modifiers of which an image may have two, in the order of their labels."""

_LATERAL = "lat"
"""Lateral to some, the axillary tail of the left breast to others."""

_NOT_LETTERS = re.compile(r"[^a-z]")


@dataclass(frozen=True)
class ViewWord:
    """What a word for a view says.

    Attributes:
        view: CC, MLO or any other; one with a modifier (spot, magnification, implant displaced) is another:
            it does not show what the view of that name shows.
        word: the projection in capitals, such as ``XCCL``, and the labels of its modifiers: ``CCID``.
        laterality: None where the word names no side.
        repeat: digits at the end, which mark a repeated acquisition; mostly empty.
    """

    view: View
    word: str
    laterality: Laterality | None
    repeat: str


def parse_side(text: str) -> Laterality | None:
    """Return the side of the body that ``L``, ``Left``, ``rechts`` ... names; None if it names none."""
    return _SIDES.get(_NOT_LETTERS.sub("", text.lower()))


def parse_view(text: str) -> ViewWord | None:
    """Return what ``CC``, ``R-MLO``, ``lcc1``, ``Left Cranio-Caudal``, ``LCC ID`` ... names; None if nothing.

    A word that can be read in two ways (``LMLM``, ``LAT``) names no view.
    """
    word = text.strip().lower()
    if len(word) > _LONGEST:
        return None
    base = word.rstrip("0123456789")
    letters, repeat = _NOT_LETTERS.sub("", base), word[len(base) :]
    if letters == _LATERAL:
        return None
    if letters in _VIEWS:
        return _view_word(_VIEWS[letters], None, repeat)
    for side in _LONGEST_SIDE_FIRST:
        if letters.startswith(side) and letters[len(side) :] in _VIEWS:
            return _view_word(_VIEWS[letters[len(side) :]], _SIDES[side], repeat)
    return None


def _view_word(word: str, laterality: Laterality | None, repeat: str) -> ViewWord | None:
    if not word:
        return None
    view = View(word) if word in ("CC", "MLO") else View.OTHER
    return ViewWord(view, word, laterality, repeat)


def _all_views() -> dict[str, str]:
    """Return every understood word without side; an empty meaning where there are two."""
    views = dict(_PROJECTIONS)
    for letters, word in _modified():
        if letters not in _PROJECTIONS:  # LM is a projection, and no L with a modifier
            views[letters] = word if views.get(letters, word) == word else ""
    return views


def _modified() -> Iterator[tuple[str, str]]:
    """Yield the words of projections with a modifier, or with two of those that occur together."""
    modifiers = {word: label for label, words in _MODIFIERS.items() for word in (label.lower(), *words)}
    common = {word: label for word, label in modifiers.items() if label in _TOGETHER}
    pairs = {
        first + second: "".join(label for label in _TOGETHER if label in (one, other))
        for first, one in common.items()
        for second, other in common.items()
        if one != other
    }
    for letters, word in _PROJECTIONS.items():
        for modifier, labels in (modifiers | pairs).items():
            yield letters + modifier, word + labels
            if labels in ("S", "M", "SM"):  # these some write before the projection: LMCC, RSMLO
                yield modifier + letters, word + labels


_VIEWS = _all_views()
_LONGEST_SIDE_FIRST = sorted(_SIDES, key=len, reverse=True)
_LONGEST = 200
"""Letters of a cell that may be a view; a longer one is something else."""


def view_keys(within: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return keys that are unique within their groups: a repeated ``lcc`` becomes ``lcc1``, ``lcc2``, ...

    Args:
        within: the group of each key, such as its study.
        keys: as long as ``within``; the first of a kind keeps its key.
    """
    taken = set(zip(within, keys, strict=True))
    seen: set[tuple[str, str]] = set()
    tried: dict[tuple[str, str], int] = defaultdict(int)
    result = []
    for group, key in zip(within, keys, strict=True):
        own = group, key
        while own in seen or (own != (group, key) and own in taken):
            tried[group, key] += 1
            own = group, f"{key}{tried[group, key]}"
        seen.add(own)
        result.append(own[1])
    return result
