"""The volumes of a manifest as the challenge's tables, and a hit radius in their pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.defaults import HIT_RADIUS
from comoto.errors import ComotoError, ConfigError, DatasetError
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.evaluation.hit_radius import millimetre_radius, radius_problem
from comoto.image_header import ImageHeader
from comoto.records import Manifest, Modality, Split
from comoto.sources import read_source_header
from comoto.tables import Float64Array

_RADIUS = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(mm|px|pixels)?\s*", re.IGNORECASE)
_ALIKE = 0.01
_LOOKED_AT = 20
"""Headers that are read to find out how large the images are."""

Spacing = tuple[float, float]
"""Height and width of a source pixel in mm."""


@dataclass(frozen=True)
class HitRadius:
    """A least hit radius.

    Attributes:
        value: above 0.
        in_mm: whether ``value`` is in millimetres, else in pixels.
    """

    value: float = HIT_RADIUS
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


class Headers:
    """What files say about themselves; each is asked once, and not before somebody wants to know.

    Args:
        paths: of the files by ``image_id``, in the order in which they are asked.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = paths
        self._read: dict[str, ImageHeader | ComotoError] = {}

    def of(self, image_id: str) -> ImageHeader:
        """Return what one file says.

        Raises:
            ComotoError: it cannot be read.
        """
        if image_id not in self._read:
            try:
                self._read[image_id] = read_source_header(self.paths[image_id])
            except ComotoError as error:
                self._read[image_id] = error
        found = self._read[image_id]
        if isinstance(found, ComotoError):
            raise found
        return found

    def shapes(self, most: int) -> list[tuple[int, int]]:
        """Return (rows, columns) of the first files, without those that cannot be read.

        A manifest may be here without its images.
        """
        shapes = []
        for image_id in islice(self.paths, most):
            try:
                header = self.of(image_id)
            except ComotoError:
                continue
            shapes.append((header.rows, header.columns))
        return shapes

    def spacings(self) -> dict[str, Spacing]:
        """Return the size of a pixel by ``image_id``; of none if it is not known of all."""
        found: dict[str, Spacing] = {}
        for image_id in self.paths:
            try:
                spacing = self.of(image_id).spacing_mm
            except ComotoError:
                return {}
            if spacing is None:
                return {}
            found[image_id] = spacing
        return found


@dataclass(frozen=True)
class OwnVolumes:
    """What ``evaluate`` takes, from a manifest.

    Attributes:
        labels, boxes: the challenge's tables.
        min_radius: in pixels.
        warnings: what is odd about the radius.
        headers: of the volumes with a lesion.
        volumes: in the order of ``labels``.
    """

    labels: pd.DataFrame
    boxes: pd.DataFrame
    min_radius: float
    warnings: tuple[str, ...]
    headers: Headers = field(repr=False)
    volumes: Manifest = field(repr=False)

    @cached_property
    def spacings(self) -> dict[str, Spacing]:
        """Size of a pixel of the volumes with a lesion by ``image_id``; of none if it is not known of all.

        The first look reads those of their headers that were not needed before.
        """
        return self.headers.spacings()

    @cached_property
    def slice_mm(self) -> Float64Array | None:
        """Distance of the slices of each volume, NaN for those without a lesion; None if not known of all."""
        try:
            return slice_distances(self)
        except ConfigError:
            return None


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
    headers = Headers(dict(zip(with_lesion["image_id"], map(Path, with_lesion["path"]), strict=True)))
    pixels = _in_pixels(radius.value, headers) if radius.in_mm else radius.value
    problem = radius_problem(pixels, headers.shapes(_LOOKED_AT))
    warnings = () if problem is None else (f"{manifest.name}: {problem}; choose another --min-radius",)
    return OwnVolumes(labels, boxes, pixels, warnings, headers, volumes)


def slice_distances(own: OwnVolumes) -> Float64Array:
    """Return how far the slices of each volume lie apart in mm, NaN for volumes without a lesion.

    Raises:
        ConfigError: a file of a volume with a lesion cannot be read, or does not say it.
    """
    distances = []
    for image_id in own.volumes.images["image_id"]:
        if image_id not in own.headers.paths:
            distances.append(np.nan)
            continue
        try:
            distance = own.headers.of(image_id).slice_mm
        except ComotoError as error:
            raise ConfigError(
                f"--depth-tolerance: the distance of slices cannot be read: {error}; add --slice-mm"
            ) from error
        if distance is None:
            raise ConfigError(
                f"--depth-tolerance: {own.headers.paths[image_id]} does not say how far its slices lie "
                "apart; add --slice-mm (1 on BCS-DBT)"
            )
        distances.append(distance)
    return np.array(distances)


def _in_pixels(millimetres: float, headers: Headers) -> float:
    """Return a radius in pixels, where the pixels of all images are alike."""
    given = f"--min-radius {millimetres:g}mm"
    radii = []
    for image_id, path in headers.paths.items():
        try:
            spacing = headers.of(image_id).spacing_mm
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
