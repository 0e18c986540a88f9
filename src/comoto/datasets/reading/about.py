"""The record of one data set in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CommercialUse = Literal["yes", "no", "by agreement", "unknown"]


@dataclass(frozen=True)
class DatasetAbout:
    """One data set in words.

    Attributes:
        name: as in ``comoto index NAME``.
        title: its full name and who made it.
        modalities: short words, such as ``DBT``, ``FFDM``, ``film`` or ``synthetic DM``.
        boxes: what marks the lesions and how many there are, in a few words: it is a column of a table.
        access: who gets it, in a few words: ``open``, ``account and agreement``, ``on request``.
        licence: as its publisher states it; ``not stated`` where none was found.
        commercial_use: what that licence says of it.
        citation: one paragraph, as the publisher asks for it.
        url: the publisher's page.
        notes: size, splits, and whatever a user should know before the download, such as a limit on
            publishing models.
        not_read: why there is no reader, and what to do instead; empty if there is one.
    """

    name: str
    title: str
    modalities: tuple[str, ...]
    boxes: str
    access: str
    licence: str
    commercial_use: CommercialUse
    citation: str
    url: str
    notes: str = ""
    not_read: str = ""
