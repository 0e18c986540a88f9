"""The prepared store: every image rendered once onto the network's grid, read back memory-mapped.

A store is a folder::

    store.json               format, configuration and its hash; written first
    planes/                  the pixels, named by content and settings (``comoto.preprocessing.planes``)
    images/<image_id>.json   which planes an image shows, and what its source file looked like
    manifest/                written when every image is there, ``manifest.json`` last
    broken.json              what could not be prepared, and why; only if there is something
    lock                     held by the preparation that is running

A *plane* is a row of the array, a *slice* is a slice of the volume; ``slice_indices`` translates. Stores of
the former format, in which every image has its own file ``images/<image_id>.npy``, are still read.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.geometry import clip_boxes, visible_boxes
from comoto.geometry.boxes import area
from comoto.preprocessing.plan import Plan
from comoto.preprocessing.planes import DATA_OFFSET, PlanesInfo, planes_files
from comoto.preprocessing.slices import PrepareOptions, regular_slices
from comoto.records import LESION_COLUMNS, FloatArray, ImageRecord, IntArray, Lesion, Manifest

FORMAT = "comoto-store-2"
FORMER_FORMAT = "comoto-store-1"
INDEX = "planes.json"
"""In the manifest's folder: image id -> name of its planes."""
PATH_NOT_KEPT = "path-not-kept"
"""Stands for every path in the manifest of a store that was prepared without keeping them."""


class PreparedStore:
    """Read access to a finished store.

    Attributes:
        folder: of the store.
        manifest: its images and lesions.
        config: how the images were rendered.
        options: which slices were rendered.

    Raises:
        DatasetError: the folder is no store, its preparation was not finished, or files are missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.config, self.options, _ = read_settings(self.folder)
        if not (self.folder / "manifest" / "manifest.json").is_file():
            raise DatasetError(f"{self.folder}: preparation is not finished; run 'comoto prepare' again")
        self.manifest = Manifest.load(self.folder / "manifest")
        self._records = {record.image_id: record for record in self.manifest.records()}
        self._infos: dict[str, PlanesInfo] = {}
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
        """Return the planes memory-mapped, uint8 (planes, h, w); h and w are the plan's ``grid_shape``."""
        self.record(image_id)
        array = np.load(self.planes_path(image_id), mmap_mode="r", allow_pickle=False)
        return np.asanyarray(array, dtype=np.uint8)

    def plane(self, image_id: str, index: int) -> NDArray[np.uint8]:
        """Return one plane memory-mapped, uint8 (h, w); quicker than ``pixels`` where one is wanted.

        The pages are read when they are touched, so that the copy into a batch is the only one.
        """
        info = self.info(image_id)
        planes, rows, columns = info.shape
        if not 0 <= index < planes:
            raise IndexError(f"{image_id}: no plane {index} of {planes}")
        if image_id not in self._keys:
            return np.asarray(self.pixels(image_id)[index])
        with self._files[image_id][0].open("rb", buffering=0) as file:
            start = DATA_OFFSET + index * rows * columns
            first = start // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            length = start - first + rows * columns
            pages = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=first)
        return np.frombuffer(pages, np.uint8, rows * columns, start - first).reshape(rows, columns)

    def planes_path(self, image_id: str) -> Path:
        """Return the file that holds the planes; images that show the same share it."""
        self.record(image_id)
        return self._files[image_id][0]

    def info(self, image_id: str) -> PlanesInfo:
        """Return plan and slices of an image."""
        if image_id not in self._infos:
            self.record(image_id)
            path = self._files[image_id][1]
            self._infos[image_id] = PlanesInfo.from_json(read_json(path), path)
        return self._infos[image_id]

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
        """Return the name of each image's planes; nothing in a store of the former format."""
        index = self.folder / "manifest" / INDEX
        return {name: str(key) for name, key in read_json(index).items()} if index.is_file() else {}

    def _files_of(self, image_id: str) -> tuple[Path, Path]:
        """Return the files of an image: its planes, and what is known about them."""
        if self._keys:
            return planes_files(self.folder, self._keys.get(image_id, "none"))
        own = quote(image_id, safe="")
        return self.folder / "images" / f"{own}.npy", self.folder / "images" / f"{own}.json"


def _names(folder: Path) -> set[str]:
    """Return the files of a store that hold pixels or describe them, relative to it."""
    folders = ["images", *(f"planes/{name}" for name in _listed(folder / "planes"))]
    return {f"{inner}/{name}" for inner in folders for name in _listed(folder / inner)}


def _listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def image_file(folder: Path, image_id: str) -> Path:
    """Return the path of what a store knows about an image."""
    return folder / "images" / f"{quote(image_id, safe='')}.json"


def read_settings(folder: Path) -> tuple[PreprocessConfig, PrepareOptions, str]:
    """Return configuration, options and the manifest's name of a store, finished or not.

    Raises:
        DatasetError: the folder is no store of this format.
    """
    path = folder / "store.json"
    if not path.is_file():
        raise DatasetError(f"{folder}: no store.json here; make a store with 'comoto prepare'")
    content = read_json(path)
    if content.get("format") not in (FORMAT, FORMER_FORMAT):
        raise DatasetError(
            f"{path}: format {content.get('format')!r} is not {FORMAT}; prepare the images again"
        )
    try:
        config = PreprocessConfig.model_validate(content["config"])
        return config, PrepareOptions.model_validate(content["options"]), str(content["manifest"])
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{path}: settings are not readable: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DatasetError: the file is not JSON or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: expected a JSON object")
    return content
