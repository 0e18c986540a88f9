"""The prepared store: every image rendered once onto the network's grid, read back memory-mapped.

A store is a folder::

    store.json               format, configuration and its hash; written first
    planes/                  the pixels, named by content and settings (``comoto.preprocessing.planes``)
    images/<image_id>.json   which planes an image shows, and what its source file looked like
    manifest/                written when every image is there, ``manifest.json`` last
    broken.json              what could not be prepared, and why; only if there is something
    lock                     there while a preparation is running

Every file that is read again carries a checksum or is vouched for by one that does. Small files are checked
when they are read, planes when they are first used.

A *plane* is a row of the array, a *slice* is a slice of the volume; ``slice_indices`` translates. Stores of
former formats are still read: the last one had no checksums, and in the one before every image had its own
file ``images/<image_id>.npy``.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.arguments import AnyPath, as_path
from comoto.checksums import read_json_object
from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.geometry import clip_boxes, visible_boxes
from comoto.geometry.boxes import area
from comoto.preprocessing.plan import Plan
from comoto.preprocessing.planes import (
    DATA_OFFSET,
    MEND,
    PlanesInfo,
    is_plane,
    map_planes,
    planes_files,
    read_info,
)
from comoto.preprocessing.slices import PrepareOptions, regular_slices
from comoto.records import LESION_COLUMNS, FloatArray, ImageRecord, IntArray, Lesion, Manifest, Modality

FORMAT = "comoto-store-3"
FORMER_FORMATS = ("comoto-store-2", "comoto-store-1")
"""Without checksums."""
INDEX = "planes.json"
"""In the manifest's folder: image id -> name of its planes."""
PATH_NOT_KEPT = "path-not-kept"
"""Stands for every path in the manifest of a store that was prepared without keeping them."""
REWRITE = "run the same 'comoto prepare' again, which writes it anew"
_SLICES_OF_ONE = 2
"""What is said of a single image as a volume, for the challenge's rule: it puts the middle of a detection on
slice 0 at 0.5, and forgives a quarter of the slices, which of one slice alone would be less than that."""
_MOST_OF_NAME = 120
"""Bytes of a file name; encrypting file systems allow 143, and the hash and a suffix have to fit."""


class PreparedStore:
    """Read access to a finished store.

    Attributes:
        folder: of the store.
        manifest: its images and lesions.
        config: how the images were rendered.
        options: which slices were rendered.
        appearance: how the planes were changed after rendering, and what that was fitted to; None if they
            were not (``comoto appearance match``).

    Raises:
        DatasetError: the folder is no store, its preparation was not finished, or files are missing or
            damaged.

    Examples:
        >>> store = PreparedStore("stores/bcs-dbt")
        >>> store
        PreparedStore(stores/bcs-dbt: 6 tomosynthesis images on a grid of 64 x 32)
        >>> first = store.image_ids[0]
        >>> store.pixels(first).shape, store.slice_indices(first).tolist()
        ((4, 61, 31), [0, 1, 2, 3])
        >>> boxes, slices = store.lesions_on_grid(first)
        >>> boxes.round().tolist(), slices.tolist()
        ([[8.0, 28.0, 20.0, 43.0]], [2])
    """

    def __init__(self, folder: AnyPath) -> None:
        self.folder = as_path("folder", folder)
        settings = read_settings(self.folder)
        self.config, self.options, self.appearance = settings.config, settings.options, settings.appearance
        self._is_sealed = settings.format == FORMAT
        if not (self.folder / "manifest" / "manifest.json").is_file():
            raise DatasetError(f"{self.folder}: preparation is not finished; run 'comoto prepare' again")
        self.manifest = Manifest.load(self.folder / "manifest")
        self._records = {record.image_id: record for record in self.manifest.records()}
        self._infos: dict[str, PlanesInfo] = {}
        self._sound: dict[Path, bytearray] = {}  # which planes of a file have been checked
        self._keys = self._read_index()
        self._files = {name: self._files_of(name) for name in self._records}
        there = _names(self.folder)
        missing = [
            name
            for name, files in self._files.items()
            if not {str(path.relative_to(self.folder)) for path in files} <= there
        ]
        if missing:
            raise DatasetError(
                f"{self.folder}: {len(missing)} prepared images are missing, first {missing[0]}; "
                "run 'comoto prepare' again"
            )

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        kinds = " and ".join(sorted(set(self.manifest.images["modality"])))
        grid = f"{self.config.rows} x {self.config.columns}"
        return f"PreparedStore({self.folder}: {len(self)} {kinds} images on a grid of {grid})"

    def __fspath__(self) -> str:
        """Return the folder: a store can be named where a path to one can."""
        return str(self.folder)

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids in the order of the manifest."""
        return tuple(self._records)

    def record(self, image_id: str) -> ImageRecord:
        """Return the image's row of the manifest.

        Raises:
            DatasetError: no such image.
        """
        if image_id not in self._records:
            raise DatasetError(f"{self.folder}: holds no image '{image_id}'")
        return self._records[image_id]

    def plan(self, image_id: str) -> Plan:
        """Return how the image was rendered."""
        return self.info(image_id).plan

    def num_slices(self, image_id: str) -> int:
        """Return the number of slices of the source image, prepared or not."""
        return self.info(image_id).num_slices

    def slice_indices(self, image_id: str) -> IntArray:
        """Return the source slice of each plane, int64 (planes,), ascending."""
        return self.info(image_id).slice_indices

    def regular_planes(self, image_id: str) -> IntArray:
        """Return the planes (N,) that are there wherever the lesions are, ascending.

        A search for lesions may look at these alone: in a store of sampled slices the other planes tell where
        the annotated lesions are.
        """
        regular = regular_slices(self.num_slices(image_id), self.options)
        return np.flatnonzero(np.isin(self.slice_indices(image_id), regular))

    def pixels(self, image_id: str) -> NDArray[np.uint8]:
        """Return the planes memory-mapped, uint8 (planes, h, w); h and w are the plan's ``grid_shape``.

        All of them are read and checked the first time; ``plane`` checks only what it returns.

        Raises:
            DatasetError: planes are damaged.
        """
        planes = self._open_planes(image_id)
        for number, plane in enumerate(planes):
            self._check_plane(image_id, number, plane)
        return planes

    def plane(self, image_id: str, index: int) -> NDArray[np.uint8]:
        """Return one plane memory-mapped, uint8 (h, w); quicker than ``pixels`` where one is wanted.

        The pages are read when they are touched, so that the copy into a batch is the only one. The first
        time the plane is checked.

        Raises:
            DatasetError: the plane is damaged.
        """
        info = self.info(image_id)
        planes, rows, columns = info.shape
        if not 0 <= index < planes:
            raise IndexError(f"{image_id}: no plane {index} of {planes}")
        if image_id not in self._keys:
            return np.asarray(self.pixels(image_id)[index])
        if self._files[image_id][0] not in self._sound:
            self._open_planes(image_id)
        with self._files[image_id][0].open("rb", buffering=0) as file:
            start = DATA_OFFSET + index * rows * columns
            first = start // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            length = start - first + rows * columns
            pages = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=first)
        plane = np.frombuffer(pages, np.uint8, rows * columns, start - first).reshape(rows, columns)
        self._check_plane(image_id, index, plane)
        return plane

    def planes_path(self, image_id: str) -> Path:
        """Return the file that holds the planes; images that show the same share it."""
        self.record(image_id)
        return self._files[image_id][0]

    def info(self, image_id: str) -> PlanesInfo:
        """Return plan and slices of an image.

        Raises:
            DatasetError: the file that says so is damaged.
        """
        if image_id not in self._infos:
            self.record(image_id)
            path = self._files[image_id][1]
            found = read_info(path) if self._is_sealed else PlanesInfo.from_json(read_json(path), path)
            self._infos[image_id] = found
        return self._infos[image_id]

    def _open_planes(self, image_id: str) -> NDArray[np.uint8]:
        """Return all planes memory-mapped, of the announced shape but not checked."""
        path, shape = self.planes_path(image_id), self.info(image_id).shape
        planes = map_planes(path, shape) if self._keys else _load_former(path, shape)
        self._sound.setdefault(path, bytearray(shape[0]))
        return planes

    def _check_plane(self, image_id: str, number: int, plane: NDArray[np.uint8]) -> None:
        path, info = self._files[image_id][0], self._infos[image_id]
        if self._sound[path][number] or not info.sha256:
            return
        if not is_plane(info, number, plane):
            raise DatasetError(f"{path}: plane {number} of '{image_id}' is damaged (checksum); {MEND}")
        self._sound[path][number] = 1

    def lesions_on_grid(self, image_id: str) -> tuple[FloatArray, IntArray]:
        """Return lesion boxes and their slices.

        Boxes are cut to the grid; one that loses more than 75 % of its area to the crop is left out.

        Returns:
            float32 (N, 4) in pixels of the grid, and int64 (N,) source slices (0 on a mammogram).
        """
        lesions = self.record(image_id).lesions
        plan = self.plan(image_id)
        boxes, keep = visible_boxes(
            plan.boxes_to_grid([lesion.box_xyxy for lesion in lesions]), plan.grid_shape
        )
        slices = np.array([lesion.slice_index or 0 for lesion in lesions], dtype=np.int64)
        return boxes.astype(np.float32), slices[keep]

    def lost_lesions(self, image_id: str) -> list[tuple[Lesion, float]]:
        """Return the lesions that ``lesions_on_grid`` leaves out, with the share of its box that is left."""
        lesions, plan = self.record(image_id).lesions, self.plan(image_id)
        boxes = plan.boxes_to_grid([lesion.box_xyxy for lesion in lesions])
        _, kept = visible_boxes(boxes, plan.grid_shape)
        shares = area(clip_boxes(boxes, plan.grid_shape)) / area(boxes)
        lost = zip(lesions, shares.tolist(), kept.tolist(), strict=True)
        return [(lesion, share) for lesion, share, stays in lost if not stays]

    def as_volumes(self) -> PreparedStore:
        """Return the store with its mammograms as volumes of one slice, which a student learns like others.

        Nothing on disk changes; volumes stay what they are. The manifest says two slices, for the challenge's
        rule of depth, by which no detection of one slice could be a hit.
        """
        if all(record.modality is Modality.TOMOSYNTHESIS for record in self._records.values()):
            return self
        other = copy(self)
        records = [_as_volume(record) for record in self._records.values()]
        other._records = {record.image_id: record for record in records}
        former = self.manifest
        other.manifest = Manifest.from_records(former.name, records, former.notes, former.dropped)
        return other

    def relabelled(self, lesions: Mapping[str, tuple[Lesion, ...]]) -> PreparedStore:
        """Return the store of the named images alone, with these lesions in place of the annotated ones.

        Nothing on disk changes.

        Args:
            lesions: image id -> its lesions, in source pixels.

        Raises:
            DatasetError: an image is unknown, or a box is empty.
        """
        other = copy(self)
        other._records = {name: replace(self.record(name), lesions=found) for name, found in lesions.items()}
        rows = [
            (name, *lesion.box_xyxy, lesion.slice_index, lesion.category)
            for name, found in lesions.items()
            for lesion in found
        ]
        other.manifest = Manifest(
            self.manifest.name,
            self.manifest.images[self.manifest.images["image_id"].isin(list(lesions))],
            pd.DataFrame(rows, columns=list(LESION_COLUMNS)),
        )
        return other

    def _read_index(self) -> dict[str, str]:
        """Return the name of each image's planes; nothing in a store of the first format."""
        if self._is_sealed:
            return read_index(self.folder)
        index = self.folder / "manifest" / INDEX
        return {name: str(key) for name, key in read_json(index).items()} if index.is_file() else {}

    def _files_of(self, image_id: str) -> tuple[Path, Path]:
        """Return the files of an image: its planes, and what is known about them."""
        if self._keys:
            return planes_files(self.folder, self._keys.get(image_id, "none"))
        about = self.folder / "images" / f"{quote(image_id, safe='')}.json"
        return about.with_suffix(".npy"), about


def _as_volume(record: ImageRecord) -> ImageRecord:
    if record.modality is Modality.TOMOSYNTHESIS:
        return record
    lesions = tuple(replace(lesion, slice_index=0) for lesion in record.lesions)
    return replace(record, modality=Modality.TOMOSYNTHESIS, num_slices=_SLICES_OF_ONE, lesions=lesions)


def _names(folder: Path) -> set[str]:
    """Return the files of a store that hold pixels or describe them, relative to it."""
    folders = ["images", *(f"planes/{name}" for name in _listed(folder / "planes"))]
    return {f"{inner}/{name}" for inner in folders for name in _listed(folder / inner)}


def _listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def image_file(folder: Path, image_id: str) -> Path:
    """Return the path of what a store knows about an image; a long id is cut and made unique by its hash."""
    name = quote(image_id, safe="", errors="surrogatepass")
    if len(name) > _MOST_OF_NAME:
        digest = hashlib.sha256(image_id.encode("utf-8", "surrogatepass")).hexdigest()
        name = f"{name[: _MOST_OF_NAME - 32]}~{digest[:40]}"  # longer than any name that was not cut
    return folder / "images" / f"{name}.json"


@dataclass(frozen=True)
class StoreSettings:
    """What ``store.json`` says.

    Attributes:
        name: of the manifest.
        format: ``FORMAT`` or one of ``FORMER_FORMATS``.
        appearance: how the planes were changed after rendering (``comoto appearance match``); None if they
            were not.
    """

    config: PreprocessConfig
    options: PrepareOptions
    name: str
    format: str
    appearance: Mapping[str, Any] | None = None


def read_settings(folder: Path) -> StoreSettings:
    """Return the settings of a store, finished or not.

    Raises:
        DatasetError: the folder is no store of a known format, or ``store.json`` is damaged.
    """
    path = folder / "store.json"
    if not path.is_file():
        raise DatasetError(f"{folder}: no store.json here; make a store with 'comoto prepare'")
    way_out = "delete it and run the same 'comoto prepare' again, which keeps what fits its settings"
    content = read_json_object(path, DatasetError, way_out, unsealed=FORMER_FORMATS)
    if content.get("format") not in (FORMAT, *FORMER_FORMATS):
        raise DatasetError(
            f"{path}: format {content.get('format')!r} is not {FORMAT}; prepare the images again"
        )
    try:
        config = PreprocessConfig.model_validate(content["config"])
        options = PrepareOptions.model_validate(content["options"])
        appearance = None if content.get("appearance") is None else dict(content["appearance"])
        name, written = str(content["manifest"]), str(content["format"])
        return StoreSettings(config, options, name, written, appearance)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: settings are not readable: {error}; {way_out}") from error


def read_index(folder: Path) -> dict[str, str]:
    """Return the name of each image's planes in a finished store of the present format.

    Raises:
        DatasetError: the file that says so is missing or damaged.
    """
    path = folder / "manifest" / INDEX
    if not path.is_file():
        raise DatasetError(f"{path}: is missing; {REWRITE}")
    content = read_json_object(path, DatasetError, REWRITE)
    return {str(name): str(key) for name, key in dict(content.get("planes", {})).items()}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object without a checksum.

    Raises:
        DatasetError: the file is not JSON or no object.
    """
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: expected a JSON object")
    return content


def _load_former(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the planes of a store of the first format memory-mapped."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path}: is damaged ({error}); prepare into a new folder") from error
    if array.dtype != np.uint8 or array.shape != shape:
        raise DatasetError(f"{path}: is damaged (not planes of {shape}); prepare into a new folder")
    return np.asanyarray(array, dtype=np.uint8)
