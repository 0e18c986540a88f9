"""The volumes of a manifest as the challenge's tables, and a hit radius in their pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.errors import ComotoError, ConfigError, DatasetError
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.evaluation.hit_radius import millimetre_radius, radius_problem
from comoto.evaluation.matching import CENTER_RADIUS
from comoto.records import ImageHeader, Manifest, Modality, Split
from comoto.sources import read_source_header

_RADIUS = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(mm|px|pixels)?\s*", re.IGNORECASE)
_ALIKE = 0.01
_LOOKED_AT = 20
"""Headers that are read to find out how large the images are."""


@dataclass(frozen=True)
class HitRadius:
    """A least hit radius.

    Attributes:
        value: above 0.
        in_mm: whether ``value`` is in millimetres, else in pixels.
    """

    value: float = CENTER_RADIUS
    in_mm: bool = False

    @staticmethod
    def parse(text: str | float) -> HitRadius:
        """Read ``100`` or ``8.5mm``.

        Raises:
            ConfigError: it is neither, or not above 0.
        """
        match = _RADIUS.fullmatch(str(text))
        if match is None or not float(match[1]) > 0:
            raise ConfigError(
                f"--min-radius {text}: expected pixels, such as 100, or millimetres, such as 8.5mm, above 0"
            )
        return HitRadius(float(match[1]), (match[2] or "").lower() == "mm")

    def pixels(self) -> float:
        """Return the radius in pixels where no image is at hand.

        Raises:
            ConfigError: it is in millimetres.
        """
        if self.in_mm:
            raise ConfigError(
                f"--min-radius {self.value:g}mm: tables do not know how large a pixel is; give it in pixels, "
                "or evaluate with --manifest"
            )
        return self.value


@dataclass(frozen=True)
class OwnVolumes:
    """What ``evaluate`` takes, from a manifest.

    Attributes:
        labels, boxes: the challenge's tables.
        min_radius: in pixels.
        warnings: what is odd about the radius.
    """

    labels: pd.DataFrame
    boxes: pd.DataFrame
    min_radius: float
    warnings: tuple[str, ...]


def part_of(manifest: Manifest, split: Split | None) -> Manifest:
    """Return the images of one split, or the manifest as it is.

    Raises:
        DatasetError: no image is in the split.
    """
    if split is None:
        return manifest
    images = manifest.split(split)
    if not len(images):
        have = ", ".join(sorted(manifest.images["split"].unique()))
        raise DatasetError(f"{manifest.name}: no image is in the split {split.value} (there are: {have})")
    return images


def own_volumes(manifest: Manifest, radius: HitRadius) -> OwnVolumes:
    """Return the tables of a manifest's volumes; all its lesions count.

    Args:
        manifest: of one split; mammograms are passed over.
        radius: if in millimetres, the files of the volumes with a lesion say how large their pixels are.

    Raises:
        DatasetError: there is no volume, or a lesion has no slice.
        ConfigError: the radius is in millimetres, and the pixels are of different or unknown size.
    """
    volumes = manifest.select(manifest.images["modality"] == Modality.TOMOSYNTHESIS.value)
    if not len(volumes):
        raise DatasetError(
            f"{manifest.name}: no volume here; predictions on mammograms are scored with "
            "'comoto evaluate --mammogram-predictions'"
        )
    labels, boxes = challenge_tables(volumes)
    with_lesion = volumes.images[volumes.images["image_id"].isin(volumes.lesions["image_id"])]
    paths = [Path(path) for path in with_lesion["path"]]
    pixels = _in_pixels(radius.value, paths) if radius.in_mm else radius.value
    shapes = [(header.rows, header.columns) for header in _headers(paths[:_LOOKED_AT])]
    problem = radius_problem(pixels, shapes)
    warnings = () if problem is None else (f"{manifest.name}: {problem}; choose another --min-radius",)
    return OwnVolumes(labels, boxes, pixels, warnings)


def _in_pixels(millimetres: float, paths: list[Path]) -> float:
    """Return a radius in pixels, where the pixels of all images are alike."""
    given = f"--min-radius {millimetres:g}mm"
    radii = []
    for path in paths:
        try:
            spacing = read_source_header(path).spacing_mm
        except ComotoError as error:
            raise ConfigError(f"{given}: the size of a pixel cannot be read: {error}") from error
        if spacing is None:
            raise ConfigError(f"{given}: {path} does not say how large a pixel is; give the radius in pixels")
        radii.append(millimetre_radius(millimetres, spacing))
    if not radii:
        raise DatasetError("no volume here has a lesion; a sensitivity needs at least one")
    if max(radii) > min(radii) * (1 + _ALIKE):
        raise ConfigError(
            f"{given}: is {min(radii):.4g} to {max(radii):.4g} pixels, because the images have pixels "
            "of different size; evaluate them apart, or give the radius in pixels"
        )
    return float(np.mean(radii))


def _headers(paths: list[Path]) -> Iterator[ImageHeader]:
    """Yield the headers that can be read: a manifest may be here without its images."""
    for path in paths:
        try:
            yield read_source_header(path)
        except ComotoError:
            continue
