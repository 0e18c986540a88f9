"""Boxes of T-SYNTH and M-SYNTH, in the picture as ``comoto.sources`` shows it: chest wall at the left.

Two files beside an image know where its mass is:

- the mask, tissue labels in the geometry of the raw file. The box spans the pixels of label 200, in a
  volume over all slices, and the annotated slice is the middle one of those that the mass is in. Masks of
  M-SYNTH are projections of the mass instead: there the pixels above 42 count, as in the release's own
  example, if they surround the place that the ``.loc`` file names.
- ``.loc``, a line a mass: two or three coordinates of its centre and a kind, which is negative where nothing
  was inserted. The box is a square of fixed half-side about it, 110, 150 or 195 pixels for a mass of 5, 7 or
  9 mm (the release's own, for mammograms). In a mammogram the coordinates are x and y, in a C-view or volume
  y, x and slice; y is counted from the bottom of the picture.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comoto.datasets.reading.boxes import Box
from comoto.errors import ConfigError, DatasetError
from comoto.sources.raw_volume import RawLayout

LESION_LABEL = 200
_PROJECTED = 42.0
_LARGEST_SHARE = 0.25
"""Of the picture's area: a larger box about projected pixels is no mass."""

HALF_SIDES = {"5.0": 110, "7.0": 150, "9.0": 195}
"""Pixels, by the radius of the mass in mm."""


@dataclass(frozen=True)
class Centre:
    """Where a ``.loc`` file says that a mass is; ``slice_index`` is None in two dimensions."""

    x: float
    y: float
    slice_index: int | None


@dataclass(frozen=True)
class PlacedBox:
    """A box in pixels of the picture, not clipped; ``slice_index`` is None in two dimensions."""

    box_xyxy: Box
    slice_index: int | None

    def holds(self, centre: Centre) -> bool:
        """The point lies in the box."""
        x1, y1, x2, y2 = self.box_xyxy
        return x1 <= centre.x <= x2 and y1 <= centre.y <= y2


def picture_shape(layout: RawLayout) -> tuple[int, int]:
    """Return (rows, columns) of the picture."""
    _, rows, columns = layout.shape
    return (columns, rows) if layout.is_turned else (rows, columns)


def read_centres(path: Path, layout: RawLayout, *, is_mammogram: bool) -> list[Centre]:
    """Read a ``.loc`` file.

    Args:
        path: the file.
        layout: of the image.
        is_mammogram: x and y; else y, x and slice.

    Raises:
        DatasetError: a line is not like that, or lies outside of the image.
    """
    rows, columns = picture_shape(layout)
    coordinates = 2 if is_mammogram else 3
    centres = []
    for line, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = text.split()
        if not words:
            continue
        try:
            numbers = [int(word) for word in words]
        except ValueError as error:
            raise DatasetError(f"{path}: line {line} is '{text}'; whole numbers were expected") from error
        if len(numbers) < coordinates:
            raise DatasetError(f"{path}: line {line} is '{text}'; {coordinates} numbers were expected")
        if len(numbers) > coordinates and numbers[-1] < 0:
            continue
        x, y_from_bottom = numbers[:2] if is_mammogram else (numbers[1], numbers[0])
        slice_index = None if layout.num_frames == 1 else numbers[2]
        beyond = slice_index is not None and not 0 <= slice_index < layout.num_frames
        if beyond or not (0 <= x <= columns and 0 <= y_from_bottom <= rows):
            raise DatasetError(f"{path}: line {line} is '{text}', which lies outside of the image")
        centres.append(Centre(float(x), float(rows - y_from_bottom), slice_index))
    return centres


def box_about(centre: Centre, size: str) -> PlacedBox:
    """Return the square of the mass's size about its centre.

    Raises:
        DatasetError: the release has no such size.
    """
    if size not in HALF_SIDES:
        raise DatasetError(f"no half-side is known for a mass of {size} mm")
    half = HALF_SIDES[size]
    box = centre.x - half, centre.y - half, centre.x + half, centre.y + half
    return PlacedBox(box, centre.slice_index)


def box_in_labels(path: Path, layout: RawLayout) -> PlacedBox | None:
    """Return the box of the mass in a mask of tissue labels (HDF5, data set ``dbt``); None if it has none.

    Raises:
        ConfigError: the package h5py is not installed.
        DatasetError: the file is damaged, or its mask is of another size than the image.
    """
    hdf5 = _hdf5()
    planes, rows, columns = layout.num_frames, *layout.shape[1:]
    try:
        with hdf5.File(path, "r") as file:
            mask = file["dbt"]
            shape = tuple(mask.shape)
            if shape not in ((planes, rows, columns), (rows, columns)[: 2 if planes == 1 else 0]):
                raise DatasetError(f"{path}: the mask is of size {shape}, the image {layout.shape}")
            if len(shape) == 2:
                bounds = {0: _bounds(np.asarray(mask[...]) == LESION_LABEL)}
            else:  # one plane at a time: a whole mask is over 100 MB
                bounds = {index: _bounds(np.asarray(mask[index]) == LESION_LABEL) for index in range(planes)}
    except (OSError, KeyError, AttributeError, RuntimeError) as error:
        raise DatasetError(f"{path}: no readable HDF5 file with a data set 'dbt' ({error})") from error
    inside = {index: found for index, found in bounds.items() if found is not None}
    if not inside:
        return None
    corners = np.array(list(inside.values()))
    top, left = corners[:, :2].min(axis=0)
    bottom, right = corners[:, 2:].max(axis=0)
    middle = sorted(inside)[len(inside) // 2]
    return _on_picture((top, left, bottom, right), layout, None if planes == 1 else middle)


def box_in_projection(path: Path, layout: RawLayout, centre: Centre) -> PlacedBox | None:
    """Return the box of the mass in a raw mask of the image's size; None if it shows none about the centre.

    Raises:
        DatasetError: the file is of another size than one or several planes of the image.
    """
    _, rows, columns = layout.shape
    values, rest = divmod(path.stat().st_size, 4)
    if rest or values == 0 or values % (rows * columns):
        raise DatasetError(
            f"{path}: {path.stat().st_size} bytes are no mask of {rows} x {columns} float values"
        )
    plane = np.fromfile(path, np.dtype("<f4"), rows * columns).reshape(rows, columns)
    labelled = plane == LESION_LABEL
    bounds = _bounds(labelled if labelled.any() else plane > _PROJECTED)
    if bounds is None:
        return None
    box = _on_picture(bounds, layout, None)
    x1, y1, x2, y2 = box.box_xyxy
    too_large = (x2 - x1) * (y2 - y1) > _LARGEST_SHARE * rows * columns
    return None if too_large or not box.holds(centre) else box


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return (top, left, bottom, right) of what is set, half-open."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _on_picture(bounds: tuple[int, int, int, int], layout: RawLayout, slice_index: int | None) -> PlacedBox:
    """Turn bounds of the stored plane as ``comoto.sources`` turns the plane itself."""
    top, left, bottom, right = (float(value) for value in bounds)
    if not layout.is_turned:
        return PlacedBox((left, top, right, bottom), slice_index)
    along = layout.shape[2]
    return PlacedBox((top, along - right, bottom, along - left), slice_index)


def _hdf5() -> Any:
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise ConfigError(
            "the masks are HDF5 files, which need the package h5py (pip install h5py); or take the boxes "
            "from the .loc files with --set boxes=loc"
        ) from error
