"""What an OMI-DB image is: from the JSON copy of its DICOM header, or from the DICOM file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from comoto.datasets.omidb.files import load_json
from comoto.datasets.reading.views import parse_side, parse_view
from comoto.dicom.read import read_header
from comoto.records import Laterality, View

_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_INTENTS = {_PRESENTATION: "presentation", _PROCESSING: "processing"}


@dataclass(frozen=True)
class OmidbHeader:
    """What is needed of a header; empty, 0 or None where it does not say.

    Attributes:
        modality: DICOM's word, ``MG`` for mammograms and tomosynthesis.
        intent: ``presentation``, ``processing`` or empty.
        is_tomosynthesis: several frames, or an object of breast tomosynthesis.
        view_word: such as ``MLO``.
    """

    modality: str
    intent: str
    is_tomosynthesis: bool
    laterality: Laterality | None
    view: View | None
    view_word: str
    rows: int
    columns: int
    num_frames: int

    @property
    def is_complete(self) -> bool:
        """Whether nothing that a manifest needs is missing."""
        return bool(self.laterality and self.view and self.rows and self.columns and self.intent)


def read_json_header(path: Path) -> OmidbHeader:
    """Read a DICOM JSON header: ``{"00200062": {"Value": ["L"]}, ...}``.

    Raises:
        DatasetError: the file is no JSON object.
    """
    content = load_json(path)
    sop_class = _text(content, "00080016")
    frames = _integer(content, "00280008") or 1
    return _header(
        modality=_text(content, "00080060").upper(),
        intent=_text(content, "00080068"),
        sop_class=sop_class,
        side=_text(content, "00200062") or _text(content, "00200060"),
        view=_text(content, "00185101"),
        size=(frames, _integer(content, "00280010"), _integer(content, "00280011")),
    )


def read_dicom_header(path: Path) -> OmidbHeader:
    """Read the header of the file itself.

    Raises:
        DicomError: it cannot be read.
    """
    header = read_header(path)
    return _header(
        modality="MG",
        intent="",
        sop_class=header.sop_class_uid,
        side=header.laterality_tag or "",
        view=header.view_position or "",
        size=(header.num_frames, header.rows, header.columns),
    )


def completed(header: OmidbHeader, by: OmidbHeader) -> OmidbHeader:
    """Return the header with what another one knows and it does not."""
    return replace(
        header,
        intent=header.intent or by.intent,
        laterality=header.laterality or by.laterality,
        view=header.view or by.view,
        view_word=header.view_word or by.view_word,
        rows=by.rows,
        columns=by.columns,
        num_frames=by.num_frames,
        is_tomosynthesis=header.is_tomosynthesis or by.is_tomosynthesis,
    )


def _header(
    modality: str, intent: str, sop_class: str, side: str, view: str, size: tuple[int, int, int]
) -> OmidbHeader:
    frames, rows, columns = size
    known = parse_view(view)
    other = View.OTHER if view else None
    words = intent.lower()
    meant = next((word for word in _INTENTS.values() if word in words), "")
    is_tomosynthesis = frames > 1 or sop_class == _TOMOSYNTHESIS
    return OmidbHeader(
        modality=modality,
        intent=meant or _INTENTS.get(sop_class, "presentation" if is_tomosynthesis else ""),
        is_tomosynthesis=is_tomosynthesis,
        laterality=parse_side(side),
        view=other if known is None else known.view,
        view_word=view.strip().upper() if known is None else known.word,
        rows=rows,
        columns=columns,
        num_frames=frames,
    )


def _text(content: Mapping[str, Any], tag: str) -> str:
    element = content.get(tag)
    value = element.get("Value") if isinstance(element, dict) else element
    if isinstance(value, list):
        value = value[0] if value else None
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _integer(content: Mapping[str, Any], tag: str) -> int:
    text = _text(content, tag)
    return int(text) if text.isdecimal() else 0
