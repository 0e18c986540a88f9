"""Which projection an image is and how the breast was held, from codes where no text says it."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from comoto.dicom.attributes import Attributes, text_of
from comoto.dicom.log_once import warn_once

_VIEWS = {
    "CC": ("399162004", "R-10242"),
    "MLO": ("399368009", "R-10226"),
    "ML": ("399260004", "R-10224"),
    "LM": ("399352003", "R-10228"),
    "LMO": ("399099002", "R-10230"),
    "FB": ("399196006", "R-10244"),
    "SIO": ("399188001", "R-102D0"),
    "ISO": ("441555000", "R-40AAA"),
    "XCCL": ("399192008", "R-1024A"),
    "XCCM": ("399101009", "R-1024B"),
    "SPECIMEN": ("127457009", "G-8310"),
}
"""View (PS3.16 CID 4014): codes of SNOMED CT and the older ones of SRT. FB is from below, SIO superolateral
to
inferomedial oblique, ISO the other way, XCCL and XCCM exaggerated to one side."""
_MODIFIERS = {
    "cleavage": ("399161006", "R-102D2"),
    "axillary tail": ("399011000", "R-102D1"),
    "rolled lateral": ("399197002", "R-102D3"),
    "rolled medial": ("399226006", "R-102D4"),
    "rolled inferior": ("414493004", "R-102CA"),
    "rolled superior": ("415670009", "R-102C9"),
    "implant displaced": ("399209000", "R-102D5"),
    "magnification": ("399163009", "R-102D6"),
    "spot compression": ("399055006", "R-102D7"),
    "tangential": ("399110001", "R-102C2"),
    "nipple in profile": ("442581004", "R-40AB3"),
    "anterior compression": ("441752004", "P2-00161"),
    "infra-mammary fold": ("442593008", "R-40ABE"),
    "axillary tissue": ("442580003", "R-40AB2"),
}
"""View Modifier (PS3.16 CID 4015)."""
_VIEW_OF_CODE = {code: word for word, codes in _VIEWS.items() for code in codes}
_MODIFIER_OF_CODE = {code: word for word, codes in _MODIFIERS.items() for code in codes}


def view_of(attributes: Attributes) -> str | None:
    """Return the view as the header has it: the text of View Position, else the word of the view code.

    None where it says nothing, or has a code that is not one of mammography: a view is not guessed.
    """
    position = attributes.first(lambda group: text_of(group, "ViewPosition"))
    codes = (text_of(item, "CodeValue") for item in _view_items(attributes))
    coded = next((_VIEW_OF_CODE[code] for code in codes if code in _VIEW_OF_CODE), None)
    if position is None:
        return coded
    if coded is not None and position.upper() in _VIEWS and position.upper() != coded:
        warn_once(
            "two views",
            f"{attributes.path}: View Position says {position}, the view code {coded}; the first is taken, "
            "name the view in a table if it is the other",
        )
    return position


def modifiers_of(attributes: Attributes) -> tuple[str, ...]:
    """Return how the view differs from the plain one, such as ``spot compression``; in the file's order."""
    words = []
    for group in _view_items(attributes):
        for item in group.get("ViewModifierCodeSequence") or []:
            code = text_of(item, "CodeValue") or ""
            words.append(_MODIFIER_OF_CODE.get(code, "modifier of another kind"))
    return tuple(dict.fromkeys(words))


def _view_items(attributes: Attributes) -> Iterator[Dataset]:
    """Yield the items of View Code Sequence; its modifiers are inside (PS3.3 C.8.11.7)."""
    for group in attributes.all:
        yield from group.get("ViewCodeSequence") or []
