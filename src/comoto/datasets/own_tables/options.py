"""Options of the generic table reader."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from comoto.datasets.own_tables.columns import parse_mapping
from comoto.datasets.reading.options import AllowMissing, DatasetAbout, Words
from comoto.errors import ConfigError


def _parse_words(value: Any) -> Any:
    """Return ``D:R,I:L``, or a dictionary, as a dictionary with lower-case keys.

    Raises:
        ConfigError: it is written otherwise.
    """
    pairs = dict(_meanings(value)) if isinstance(value, str) else value
    if not isinstance(pairs, Mapping):
        return value
    return {str(theirs).lower(): ours for theirs, ours in pairs.items()}


def _meanings(text: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, (part.strip() for part in text.split(","))):
        theirs, colon, ours = (piece.strip() for piece in part.partition(":"))
        if not (theirs and colon and ours):
            raise ConfigError(f"--set words: '{part}'; expected your_word:our_word, such as D:R")
        yield theirs, ours


class CsvOptions(AllowMissing):
    """Options of ``read_table_csv``: how to understand the user's tables."""

    about = DatasetAbout(
        name="csv",
        title="Your own images: a table of images and a table of lesions",
        modalities=("any",),
        boxes="as your table says",
        access="yours",
        licence="yours",
        commercial_use="unknown",
        citation="Cite what your images come from.",
        url="docs/datasets/csv.md",
        notes="The column path is enough; what the tables do not say is read from the image headers.",
    )

    tables: Path | None = None
    """Folder of images.csv and lesions.csv, or one file that holds both, if it is not ROOT."""
    images: str | None = None
    """Name of the images table, if it is not images.csv."""
    lesions: str | None = None
    """Name of the lesions table, if it is not lesions.csv; ``none`` if there is none."""
    columns: Annotated[Mapping[str, str], BeforeValidator(parse_mapping)] = {}
    """Names of your columns, ``ours:yours,ours:yours``; ``images.`` or ``lesions.`` may stand before ours."""
    words: Annotated[Mapping[str, str], BeforeValidator(_parse_words)] = {}
    """Meanings of your words for side, view, modality and split, ``yours:ours,yours:ours``."""
    first_slice: Annotated[int, Field(ge=0, le=1)] = 0
    """Number of the first slice in your table."""
    corners: Literal["edges", "pixels"] = "edges"
    """Whether x2 and y2 are the right and the lower edge, or the last pixels inside the box; to those one is
    added."""
    boxes: Literal["pixels", "normalised", "yolo"] | None = None
    """``pixels`` if not given; ``normalised``: shares of the image's width and height; ``yolo``: shares too,
    and x and y (or x_center and y_center) are the box's centre. Given as ``pixels``, numbers that look like
    shares or like those of smaller copies are believed."""
    boxes_on: Literal["stored", "corrected", "mirrored"] | None = None
    """The pictures that boxes were drawn on: frames as they are in the file (if not given), frames that were
    turned so that the breast touches its side, or copies that show right breasts like left ones. Given as
    ``stored``, boxes that look mirrored are believed."""
    headers: Literal["needed", "all", "never"] = "needed"
    """Which files are opened: where the tables are silent; all of them, to compare as well; none."""
    encoding: str | None = None
    """Of the tables, such as cp1252; UTF-8 and UTF-16 are recognised."""
    delimiter: Literal["comma", "semicolon", "tab", "pipe"] | None = None
    """Recognised if not given."""
    decimal: Literal["comma", "point"] | None = None
    """What the comma in 1,234 means; recognised if not given, and only asked for where both are possible."""
    exclude: Words = ()
    """Images that are left out wholly, by image_id (or path, where there is none): the way out where a row
    of theirs is wrong."""

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                codecs.lookup(value)
            except LookupError as error:
                raise ValueError("no such encoding; try cp1252 or utf-8") from error
        return value

    @model_validator(mode="after")
    def _shares_have_no_last_pixel(self) -> CsvOptions:
        if self.corners == "pixels" and self.are_shares:
            raise ValueError(
                f"corners=pixels: boxes={self.boxes} are shares of the image, which have no last pixel; "
                "leave corners out"
            )
        return self

    @property
    def are_shares(self) -> bool:
        """Boxes are given as shares of their image."""
        return self.boxes in ("normalised", "yolo")

    def given(self, name: str) -> bool:
        """Return whether the user gave an option."""
        return name in self.model_fields_set and getattr(self, name) is not None
