"""The prepared store: every image rendered once onto the network's grid, read back memory-mapped.

A store is a folder::

    store.json            format, configuration and its hash; written first
    images/<image_id>.npy uint8 (planes, h, w), not padded
    images/<image_id>.json the plan, the source file and the slice of each plane; written last per image
    manifest/             written when every image is there

A *plane* is a row of the array, a *slice* is a slice of the volume; ``slice_indices`` translates.
"""

from __future__ import annotations

import json
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
from comoto.geometry import visible_boxes
from comoto.preprocessing.plan import Plan
from comoto.preprocessing.slices import PrepareOptions, regular_slices
from comoto.records import LESION_COLUMNS, FloatArray, ImageRecord, IntArray, Lesion, Manifest

FORMAT = "comoto-store-1"


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
        self._abouts: dict[str, dict[str, Any]] = {}
        there = {path.name for path in (self.folder / "images").glob("*")}
        missing = [name for name in self._records if not {f.name for f in self._files(name)} <= there]
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
        return Plan.from_json(self._about(image_id)["plan"])

    def num_slices(self, image_id: str) -> int:
        """Return the number of slices of the source image, prepared or not."""
        return int(self._about(image_id)["num_slices"])

    def slice_indices(self, image_id: str) -> IntArray:
        """Return the source slice of each plane, int64 (planes,), ascending."""
        return np.array(self._about(image_id)["slice_indices"], dtype=np.int64)

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
        array = np.load(self._files(image_id)[0], mmap_mode="r", allow_pickle=False)
        return np.asanyarray(array, dtype=np.uint8)

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

    def _files(self, image_id: str) -> tuple[Path, Path]:
        return image_files(self.folder, image_id)

    def _about(self, image_id: str) -> dict[str, Any]:
        if image_id not in self._abouts:
            self.record(image_id)
            self._abouts[image_id] = read_json(self._files(image_id)[1])
        return self._abouts[image_id]


def image_files(folder: Path, image_id: str) -> tuple[Path, Path]:
    """Return the paths of an image's planes and of what is known about them."""
    name = quote(image_id, safe="")
    return folder / "images" / f"{name}.npy", folder / "images" / f"{name}.json"


def read_settings(folder: Path) -> tuple[PreprocessConfig, PrepareOptions, str]:
    """Return configuration, options and the manifest's name of a store, finished or not.

    Raises:
        DatasetError: the folder is no store of this format.
    """
    path = folder / "store.json"
    if not path.is_file():
        raise DatasetError(f"{folder}: no store.json here; make a store with 'comoto prepare'")
    content = read_json(path)
    if content.get("format") != FORMAT:
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
