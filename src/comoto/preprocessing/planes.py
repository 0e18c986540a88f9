"""The files that hold rendered planes, named by what they show and not by who shows it.

The name is a hash of the image's content and of every setting that decides a pixel (``planes_key``). Two
image ids, two manifests or two stores that ask for the same pixels therefore ask for the same file::

    planes/<first two digits>/<key>.npy   uint8 (planes, h, w), not padded; data begin at byte 4096
    planes/<first two digits>/<key>.json  the plan, the slice and the checksum of each plane; written last

A file gets its name when it is complete. Until then it bears a name that nobody can foresee, so that a worker
that outlived its killed parent cannot mix its bytes with those of the next run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comoto.checksums import read_json_object, write_sealed_json
from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.output_files import atomic_write
from comoto.preprocessing.plan import Plan
from comoto.preprocessing.slices import PrepareOptions
from comoto.records import ImageRecord, IntArray

RENDERING = 2
"""Counts up when the same settings give other pixels; then nothing that is stored passes for done."""

DATA_OFFSET = 4096
"""Planes begin at a page of memory, so that mapping and direct reading are aligned."""

FORMAT = "comoto-planes-2"
MEND = "run the same 'comoto prepare' again, which renders it anew"


@dataclass(frozen=True)
class PlanesInfo:
    """What is known about the planes of one file.

    Attributes:
        plan: how every plane was rendered.
        num_slices: of the source image, prepared or not.
        slice_indices: int64 (planes,), the source slice of each plane, ascending.
        sha256: checksum of each plane's bytes; empty before they are written, and in former formats.
    """

    plan: Plan
    num_slices: int
    slice_indices: IntArray
    sha256: tuple[str, ...] = ()

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
            "sha256": list(self.sha256),
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
            sums = tuple(map(str, content.get("sha256", ())))
            return PlanesInfo(Plan.from_json(content["plan"]), int(content["num_slices"]), slices, sums)
        except (KeyError, TypeError, ValueError, DatasetError) as error:
            raise DatasetError(f"{path}: is damaged, does not describe planes ({error}); {MEND}") from error


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


def read_info(about: Path) -> PlanesInfo:
    """Read the description of planes in the present format.

    Raises:
        DatasetError: it is damaged, or describes other planes.
        OSError: it cannot be read.
    """
    content = read_json_object(about, DatasetError, MEND)
    if content.get("format") != FORMAT or content.get("planes") != about.stem:
        raise DatasetError(f"{about}: describes other planes; {MEND}")
    info = PlanesInfo.from_json(content, about)
    if len(info.sha256) != len(info.slice_indices):
        raise DatasetError(f"{about}: is damaged, not a checksum for each plane; {MEND}")
    return info


def sound_info(store: Path, key: str) -> PlanesInfo | None:
    """Return what is known about planes; None unless they are there, to the bit.

    Reads the planes.
    """
    pixels, about = planes_files(store, key)
    try:
        info = read_info(about)
        planes = map_planes(pixels, info.shape)
    except (DatasetError, FileNotFoundError):
        return None
    return None if any(not is_plane(info, number, plane) for number, plane in enumerate(planes)) else info


def map_planes(pixels: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return a file of planes memory-mapped, uint8 (planes, h, w); nothing is read but the header.

    Raises:
        DatasetError: header or length are not those of such planes.
        OSError: the file cannot be read.
    """
    with pixels.open("rb") as file:
        header = file.read(DATA_OFFSET)
    if header != npy_header(shape) or pixels.stat().st_size != DATA_OFFSET + int(np.prod(shape)):
        raise DatasetError(f"{pixels}: is damaged (not {shape[0]} planes of {shape[1]} x {shape[2]}); {MEND}")
    return np.memmap(pixels, np.uint8, "r", DATA_OFFSET, shape)


def is_plane(info: PlanesInfo, number: int, plane: NDArray[np.uint8]) -> bool:
    """Say whether a plane has the bytes that were written."""
    return hashlib.sha256(np.ascontiguousarray(plane).data).hexdigest() == info.sha256[number]


def write_planes(store: Path, key: str, info: PlanesInfo, planes: Iterable[NDArray[np.uint8]]) -> None:
    """Write planes (h, w) one by one, and their description last; memory holds one plane.

    The file is written, not mapped: a full disk is then an error and not a crash of the process.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; ``filename`` is set.
    """
    pixels, about = planes_files(store, key)
    sums = []
    with atomic_write(pixels) as part, part.open("wb") as file:
        file.write(npy_header(info.shape))
        for plane in planes:
            data = np.ascontiguousarray(plane).data
            sums.append(hashlib.sha256(data).hexdigest())
            file.write(data)
    content = {"format": FORMAT, "planes": key, **info.to_json(), "sha256": sums}
    write_sealed_json(about, content, indent=None)


def take_planes(store: Path, key: str, other: Path) -> PlanesInfo | None:
    """Take planes from another store: a second name for the same file, or a copy on another disk.

    Returns:
        What is known about them; None if the other store has none, or damaged ones.
    """
    info = sound_info(other, key)
    if info is None:
        return None
    for target, source in zip(planes_files(store, key), planes_files(other, key), strict=True):
        with atomic_write(target) as part:
            part.unlink()  # a link is made under a name that is free, and so is the copy
            try:
                part.hardlink_to(source)
            except OSError:
                with source.open("rb") as original, part.open("xb") as copy:
                    shutil.copyfileobj(original, copy, 1 << 20)
    return info


def npy_header(shape: tuple[int, int, int]) -> bytes:
    """Return the header of a ``.npy`` file of uint8 planes, filled with spaces up to ``DATA_OFFSET``."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape!r}, }}".encode("latin1")
    room = DATA_OFFSET - 10  # magic, version and the header's length take 10 bytes
    return b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"
