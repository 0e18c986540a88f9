"""Small simulated files and a small simulated store, for measuring where the user gives none."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from comoto.config import PreprocessConfig
from comoto.geometry import Chain
from comoto.preprocessing import Plan, PreparedStore, PrepareOptions
from comoto.preprocessing.planes import PlanesInfo, write_planes
from comoto.preprocessing.store_folder import finish, open_folder
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Laterality, Manifest

ROWS, COLUMNS, BITS = 1024, 512, 10
_MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
_UID = "1.2.826.0.1.3680043.8.498.1"

Frame = NDArray[np.uint16]


def breast_frame(rows: int = ROWS, columns: int = COLUMNS) -> Frame:
    """Return a simulated frame (rows, columns) of 10 bits: texture inside half an ellipse, air elsewhere."""
    noise = np.random.default_rng(0).normal(0, 1, (rows // 8, columns // 8))
    coarse = np.kron(noise, np.ones((8, 8))) * 60
    fine = np.random.default_rng(1).normal(0, 12, coarse.shape)
    y, x = np.mgrid[: coarse.shape[0], : coarse.shape[1]]
    inside = (x / (0.75 * columns)) ** 2 + ((y - rows / 2) / (0.45 * rows)) ** 2 < 1
    values = np.where(inside, np.clip(500 + coarse + fine, 1, 2**BITS - 1), 0)
    return np.asarray(values, dtype=np.uint16)


ENCODERS: dict[str, tuple[str, Callable[[Frame], bytes]]] = {
    "uncompressed": ("1.2.840.10008.1.2.1", lambda frame: frame.astype("<u2").tobytes()),
    "RLE": ("1.2.840.10008.1.2.5", lambda frame: _rle(frame)),
    "JPEG (8 bits)": (
        "1.2.840.10008.1.2.4.50",
        lambda frame: bytes(imagecodecs.jpeg8_encode((frame >> (BITS - 8)).astype(np.uint8), level=90)),
    ),
    "JPEG Lossless": (
        "1.2.840.10008.1.2.4.57",
        lambda frame: bytes(imagecodecs.ljpeg_encode(frame, bitspersample=16)),
    ),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", lambda frame: bytes(imagecodecs.jpegls_encode(frame))),
    "JPEG 2000": (
        "1.2.840.10008.1.2.4.90",
        lambda frame: bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", reversible=True)),
    ),
    "HTJ2K": ("1.2.840.10008.1.2.4.201", lambda frame: bytes(imagecodecs.htj2k_encode(frame))),
}
"""How each kind of transfer syntax is made: name -> (UID, encoder)."""


def write_sample(path: Path, kind: str) -> Path:
    """Write a simulated mammogram of one frame.

    Args:
        path: of the file.
        kind: a key of ``ENCODERS``.
    """
    uid, encode = ENCODERS[kind]
    frame = breast_frame()
    eight = uid.endswith(".4.50")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = _MAMMOGRAM, _UID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = uid, _UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = _MAMMOGRAM, _UID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{_UID}.1", f"{_UID}.2"
    dataset.PatientID, dataset.Modality = "simulated", "MG"
    dataset.Rows, dataset.Columns = frame.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    stored = 8 if eight else BITS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 if eight else 16, stored, stored - 1
    dataset.PixelRepresentation = 0
    data = encode(frame)
    raw = kind == "uncompressed"
    dataset.PixelData = data if raw else encapsulate([data])
    dataset["PixelData"].VR = "OW" if raw else "OB"
    dataset["PixelData"].is_undefined_length = not raw
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_noise(path: Path, size: int) -> Path:
    """Write bytes that no file system can compress."""
    path.write_bytes(np.random.default_rng(0).bytes(size))
    return path


def write_store(folder: Path, config: PreprocessConfig, images: int) -> PreparedStore:
    """Write a store of simulated mammograms that fill the grid, half of them with a lesion."""
    plane = (breast_frame(config.rows, config.columns) >> (BITS - 8)).astype(np.uint8)
    chain = Chain((config.rows, config.columns))
    info = PlanesInfo(Plan(chain, chain, (0.0, 255.0), "file", Laterality.LEFT), 1, np.zeros(1, np.int64))
    open_folder(folder, "simulated", config, PrepareOptions())
    rows: list[dict[str, Any]] = []
    lesions, keys = [], {}
    for number in range(images):
        name, key = f"image{number}", f"{number:040x}"
        write_planes(folder, key, info, [np.roll(plane, 8 * number, axis=0)])
        keys[name] = key
        about = dict.fromkeys(IMAGE_COLUMNS, "simulated")
        place = {"modality": "mammogram", "laterality": "L", "view": "CC", "split": "train", "num_slices": 1}
        rows.append({**about, "image_id": name, "patient_id": name, **place})
        if number % 2 == 0:
            side = config.columns / 10
            lesions.append((name, side, 4 * side, 2 * side, 5 * side, None, "mass"))
    manifest = Manifest(
        "simulated",
        pd.DataFrame(rows, columns=list(IMAGE_COLUMNS)),
        pd.DataFrame(lesions, columns=list(LESION_COLUMNS)),
    )
    finish(folder, manifest, keys)
    return PreparedStore(folder)


def _rle(frame: Frame) -> bytes:
    """Encode the two byte planes of PS3.5 annex G, each row packed on its own."""
    segments = []
    for shift in (8, 0):
        plane = (frame >> shift).astype(np.uint8)
        packed = b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in plane)
        segments.append(packed + b"\0" * (len(packed) % 2))
    return struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + b"".join(segments)
