"""The outlines of INbreast: one Apple property list (OsiriX) an image, with regions and their points.

A region's name is free text in several spellings, so it is compared in lower case against a list of what
occurs. Points are texts ``(x, y)`` in pixels, x the column and y the row, from the top left.
"""

from __future__ import annotations

import plistlib
import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

from comoto.errors import DatasetError

Finding = Literal[
    "mass", "spiculated region", "distortion", "asymmetry", "cluster", "calcification", "unnamed"
]
FINDINGS: tuple[Finding, ...] = get_args(Finding)
"""What a region can be; ``unnamed`` has no name, or one that OsiriX gave it."""

_SPELLINGS = {
    "mass": ("masses",),
    "spiculated region": ("espiculated region", "spiculated regions", "spiculation", "spiculated"),
    "distortion": ("distorsion", "architectural distortion", "architectural distorsion"),
    "asymmetry": ("asimmetry", "assymetry", "asymetry", "assymmetry", "asimetry", "focal asymmetry"),
    "cluster": ("clusters", "cluster of calcifications", "calcification cluster"),
    "calcification": ("calcifications", "calc", "microcalcification", "microcalcifications"),
    "unnamed": ("", "roi"),
}
_FINDING_OF = {word: finding for finding, words in _SPELLINGS.items() for word in (finding, *words)}
_NUMBERED = re.compile(r"^(?:point|roi|closed polygon|unnamed)\s*\d*$")
_LARGEST_FILE = 64 * 2**20
_WAY_OUT = "take the file from the release again"


@dataclass(frozen=True)
class Region:
    """One outlined region.

    Attributes:
        finding: one of ``FINDINGS``; None if the name is none of the known spellings.
        name: as it stands in the file.
        points: (x, y) in pixels; mostly many, one or two for a point-like calcification.
    """

    finding: str | None
    name: str
    points: tuple[tuple[float, float], ...]


def read_regions(path: Path) -> tuple[list[Region], list[str]]:
    """Read one property list: the regions of one image, and what is odd about the file.

    Declarations of XML entities are refused by the parser, so a small file cannot grow in memory.

    Raises:
        DatasetError: the file cannot be read, is too large, or is no property list of regions.
    """
    content = _property_list(path)
    images = content.get("Images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise DatasetError(f"{path}: has no list 'Images' of regions; {_WAY_OUT}")
    regions: list[Region] = []
    oddities: list[str] = []
    for image in images:
        listed = image.get("ROIs", [])
        if not isinstance(listed, list):
            raise DatasetError(f"{path}: 'ROIs' is no list; {_WAY_OUT}")
        stated = image.get("NumberOfROIs", len(listed))
        if stated != len(listed):
            oddities.append(f"{path.name}: NumberOfROIs says {stated}, {len(listed)} are there")
        for number, region in enumerate(listed, start=1):
            regions.append(_region(path, number, region, oddities))
    return regions, oddities


def finding_of(name: str) -> str | None:
    """Return what a region's name means, one of ``FINDINGS``; None for a name that is not known."""
    word = " ".join(name.lower().split())
    return "unnamed" if _NUMBERED.match(word) else _FINDING_OF.get(word)


def _property_list(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DatasetError(f"{path}: is larger than {_LARGEST_FILE >> 20} MiB, no list of regions is")
        with path.open("rb") as file:
            return plistlib.load(file, fmt=plistlib.FMT_XML)
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except Exception as error:  # the parser raises almost any type for a malformed list
        raise DatasetError(
            f"{path}: is no XML property list ({type(error).__name__}: {error}); {_WAY_OUT}"
        ) from error


def _region(path: Path, number: int, region: Any, oddities: list[str]) -> Region:
    if not isinstance(region, dict) or not isinstance(region.get("Point_px", []), list):
        raise DatasetError(f"{path}: region {number} has no list 'Point_px'; {_WAY_OUT}")
    texts = region.get("Point_px", [])
    stated = region.get("NumberOfPoints", len(texts))
    if stated != len(texts):
        oddities.append(f"{path.name}: region {number} says {stated} points, {len(texts)} are there")
    name = str(region.get("Name") or "").strip()
    points = tuple(_point(path, number, text) for text in texts)
    return Region(finding_of(name), name, points)


def _point(path: Path, number: int, text: Any) -> tuple[float, float]:
    """Parse ``(x, y)``."""
    try:
        x, y = (float(part) for part in str(text).strip().removeprefix("(").removesuffix(")").split(","))
    except ValueError as error:
        raise DatasetError(f"{path}: region {number} has a point that is not '(x, y)'; {_WAY_OUT}") from error
    if not (isfinite(x) and isfinite(y)):
        raise DatasetError(f"{path}: region {number} has a point that is not two numbers; {_WAY_OUT}")
    return x, y
