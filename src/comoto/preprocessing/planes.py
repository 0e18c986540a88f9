"""The files that hold rendered planes, named by what they show and not by who shows it.

The name is a hash of the image's content and of every setting that decides a pixel (``planes_key``). Two
image ids, two manifests or two stores that ask for the same pixels therefore ask for the same file::

    planes/<first two digits>/<key>.npy   uint8 (planes, h, w), not padded; data begin at byte 4096
    planes/<first two digits>/<key>.json  the plan and the slice of each plane; written last

A file gets its name when it is complete. Until then it bears the name of nobody else's work, so that a
worker that outlived its killed parent cannot mix its bytes with those of the next run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.preprocessing.plan import Plan
from comoto.preprocessing.slices import PrepareOptions
from comoto.records import ImageRecord, IntArray

RENDERING = 2
"""Counts up when the same settings give other pixels; then nothing that is stored passes for done."""

DATA_OFFSET = 4096
"""Planes begin at a page of memory, so that mapping and direct reading are aligned."""

PART = ".part"


@dataclass(frozen=True)
class PlanesInfo:
    """What is known about the planes of one file.

    Attributes:
        plan: how every plane was rendered.
        num_slices: of the source image, prepared or not.
        slice_indices: int64 (planes,), the source slice of each plane, ascending.
    """

    plan: Plan
    num_slices: int
    slice_indices: IntArray

    @property
    def shape(self) -> tuple[int, int, int]:
        """(planes, h, w)."""
        return len(self.slice_indices), *self.plan.grid_shape

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which ``from_json`` makes an equal object."""
        return {
            "num_slices": self.num_slices,
            "slice_indices": self.slice_indices.tolist(),
            "plan": self.plan.to_json(),
        }

    @staticmethod
    def from_json(content: dict[str, Any], path: Path) -> PlanesInfo:
        """Make the object that ``to_json`` described.

        Args:
            content: plain values.
            path: of the file they come from, for messages.

        Raises:
            DatasetError: something is missing.
        """
        try:
            slices = np.array(content["slice_indices"], dtype=np.int64)
            slices.flags.writeable = False  # shared by all who ask
            return PlanesInfo(Plan.from_json(content["plan"]), int(content["num_slices"]), slices)
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path}: does not describe planes: {error!r}; delete it") from error


def planes_key(
    fingerprint: str, record: ImageRecord, config: PreprocessConfig, options: PrepareOptions
) -> str:
    """Return the name of an image's planes, 40 hexadecimal digits: all that decides their pixels, hashed.

    Args:
        fingerprint: of the image's content.
        record: its side and modality decide; with sampled slices also where its lesions are.
        config: grid, crop, mirror and window.
        options: which slices.
    """
    slices = sorted({lesion.slice_index or 0 for lesion in record.lesions})
    content = {
        "rendering": RENDERING,
        "source": fingerprint,
        "modality": record.modality.value,
        "laterality": None if record.laterality is None else record.laterality.value,
        "config": config.model_dump(mode="json"),
        "options": {"slices": "all"} if options.slices == "all" else options.model_dump(mode="json"),
        "lesion_slices": [] if options.slices == "all" else slices,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:40]


def planes_files(store: Path, key: str) -> tuple[Path, Path]:
    """Return the paths of the planes and of what is known about them."""
    folder = store / "planes" / key[:2]
    return folder / f"{key}.npy", folder / f"{key}.json"


def read_info(store: Path, key: str) -> PlanesInfo | None:
    """Return what is known about planes; None unless they are there and of the right length.

    Raises:
        DatasetError: the description is damaged.
    """
    pixels, about = planes_files(store, key)
    try:
        content = json.loads(about.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DatasetError(f"{about}: not readable as JSON: {error}; delete it") from error
    info = PlanesInfo.from_json(content, about)
    try:
        return info if pixels.stat().st_size == DATA_OFFSET + int(np.prod(info.shape)) else None
    except FileNotFoundError:
        return None


def write_planes(store: Path, key: str, info: PlanesInfo, planes: Iterable[NDArray[np.uint8]]) -> None:
    """Write planes (h, w) one by one, and their description last; memory holds one plane.

    The file is written, not mapped: a full disk is then an error and not a crash of the process.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; ``filename`` is set.
    """
    pixels, about = planes_files(store, key)
    with _own_part(pixels) as part, part.open("wb") as file:
        file.write(npy_header(info.shape))
        for plane in planes:
            file.write(np.ascontiguousarray(plane).data)
    with _own_part(about) as part:
        part.write_text(json.dumps(info.to_json()) + "\n", encoding="utf-8")


def take_planes(store: Path, key: str, other: Path) -> bool:
    """Take planes from another store: a second name for the same file, or a copy on another disk.

    Returns:
        Whether the other store has them.
    """
    if read_info(other, key) is None:
        return False
    for target, source in zip(planes_files(store, key), planes_files(other, key), strict=True):
        with _own_part(target) as part:
            try:
                part.hardlink_to(source)
            except OSError:
                shutil.copyfile(source, part)
    return True


def npy_header(shape: tuple[int, int, int]) -> bytes:
    """Return the header of a ``.npy`` file of uint8 planes, filled with spaces up to ``DATA_OFFSET``."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape!r}, }}".encode("latin1")
    room = DATA_OFFSET - 10  # magic, version and the header's length take 10 bytes
    return b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"


@contextmanager
def _own_part(path: Path) -> Iterator[Path]:
    """Yield a name that no other process writes to; it becomes ``path`` if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if error.filename is None:  # a write to an open file, such as on a full disk
            raise OSError(error.errno, os.strerror(error.errno or 5), str(path)) from error
        raise
    finally:
        part.unlink(missing_ok=True)
