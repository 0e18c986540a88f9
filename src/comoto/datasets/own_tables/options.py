"""Options of the generic table reader, checked."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from comoto.csv_rows import DELIMITERS
from comoto.datasets.own_tables.columns import parse_mapping
from comoto.errors import ConfigError

CHOICES = {
    "first_slice": ("0", "1"),
    "corners": ("edges", "pixels"),
    "boxes": ("pixels", "normalised", "yolo"),
    "boxes_on": ("stored", "corrected", "mirrored"),
    "headers": ("needed", "all", "never"),
    "delimiter": tuple(DELIMITERS),
    "decimal": ("comma", "point"),
}
"""Words that an option takes; the first of them is the default where there is one."""


@dataclass(frozen=True)
class CsvOptions:
    """How to understand the user's tables; see ``read_table_csv``."""

    columns: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    first_slice: int = 0
    corners: str = "edges"
    boxes: str | None = None
    boxes_on: str | None = None
    headers: str = "needed"
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None

    @property
    def are_shares(self) -> bool:
        """Boxes are given as shares of their image."""
        return self.boxes in ("normalised", "yolo")


def csv_options(
    columns: str | None, words: str | None, encoding: str | None, choices: Mapping[str, str | None]
) -> CsvOptions:
    """Check the texts of ``--set`` and return the options.

    Raises:
        ConfigError: naming the words that the option takes.
    """
    for name, value in choices.items():
        if value is not None:
            one_of(name, str(value), CHOICES[name])
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ConfigError(f"--set encoding={encoding}: no such encoding; try cp1252 or utf-8") from error
    if choices["corners"] == "pixels" and choices["boxes"] in ("normalised", "yolo"):
        raise ConfigError(
            f"--set corners=pixels: boxes={choices['boxes']} are shares of the image, which have no last "
            "pixel; leave corners out"
        )
    return CsvOptions(
        columns=parse_mapping(columns),
        words=_parse_words(words),
        first_slice=int(choices["first_slice"] or "0"),
        corners=choices["corners"] or "edges",
        boxes=choices["boxes"],
        boxes_on=choices["boxes_on"],
        headers=choices["headers"] or "needed",
        encoding=encoding,
        delimiter=choices["delimiter"],
        decimal=choices["decimal"],
    )


def one_of(option: str, value: str, known: Sequence[str]) -> str:
    """Return the value if it is known.

    Raises:
        ConfigError: it is not.
    """
    if value not in known:
        raise ConfigError(f"--set {option.replace('_', '-')}={value}: expected {' or '.join(known)}")
    return value


def _parse_words(text: str | None) -> dict[str, str]:
    """Return ``D:R,I:L`` as a dictionary with lower-case keys."""
    words: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        theirs, colon, ours = (piece.strip() for piece in part.partition(":"))
        if not (theirs and colon and ours):
            raise ConfigError(f"--set words: '{part}'; expected your_word:our_word, such as D:R")
        words[theirs.lower()] = ours
    return words
