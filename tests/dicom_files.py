"""A writer of small DICOM files for tests, with every deviation that a reader has to survive.

It shares no code with the package: elements are set by hand, fragments and offset tables are packed here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

UID = {
    "implicit": "1.2.840.10008.1.2",
    "raw": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "rle": "1.2.840.10008.1.2.5",
    "jpeg": "1.2.840.10008.1.2.4.50",
    "ljpeg57": "1.2.840.10008.1.2.4.57",
    "ljpeg": "1.2.840.10008.1.2.4.70",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "j2k": "1.2.840.10008.1.2.4.90",
    "htj2k": "1.2.840.10008.1.2.4.201",
}
RAW = ("implicit", "raw", "big")
BREAST_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"


def texture(
    frames: int = 3, rows: int = 24, columns: int = 16, bits: int = 10, seed: int = 0
) -> NDArray[Any]:
    """Random frames (S, H, W) that use every bit."""
    values = np.random.default_rng(seed).integers(0, 1 << bits, (frames, rows, columns))
    values[:, 0, 0] = (1 << bits) - 1
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def breast(frames: int, rows: int, columns: int, side: str, level: int = 500) -> NDArray[np.uint16]:
    """Frames with a half disc of tissue that touches one side; frame k has the value level + k."""
    y, x = np.mgrid[:rows, :columns]
    inside = (x + 0.5) ** 2 + (y + 0.5 - rows / 2) ** 2 < (columns * 0.6) ** 2
    if side == "R":
        inside = inside[:, ::-1]
    return np.stack([np.where(inside, level + k, 0) for k in range(frames)]).astype(np.uint16)


def encode(frame: NDArray[Any], codec: str, precision: int) -> bytes:
    """One frame as it stands in a fragment; JPEG, not JPEG 2000, holds signed values as if unsigned."""
    if codec.startswith(("jpeg", "ljpeg")) and frame.dtype.kind == "i":
        frame = frame.view(f"u{frame.dtype.itemsize}")
    if codec == "j2k":
        return bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", bitspersample=precision))
    if codec == "htj2k":
        return bytes(imagecodecs.htj2k_encode(frame))
    if codec == "jpegls":
        return bytes(imagecodecs.jpegls_encode(frame))
    if codec == "ljpeg57":
        return bytes(imagecodecs.ljpeg_encode(frame, bitspersample=precision))
    if codec == "ljpeg":
        return bytes(imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1, bitspersample=precision))
    if codec == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(frame, level=95))
    if codec == "rle":
        return _rle(frame)
    return frame.astype(frame.dtype.newbyteorder(">" if codec == "big" else "<")).tobytes()


def encapsulated(frames: Sequence[bytes], pieces: int = 1, table: str | Sequence[int] = "right") -> bytes:
    """Offset table (``right``, ``empty``, ``missing`` or given) and fragments, without the delimiter."""
    offsets, items = [], b""
    for data in frames:
        offsets.append(len(items))
        step = -(-len(data) // pieces)
        step += step % 2
        for start in range(0, len(data), step):
            part = data[start : start + step]
            part += b"\0" * (len(part) % 2)
            items += struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part
    if table == "missing":
        return items
    numbers = {"right": offsets, "empty": []}[table] if isinstance(table, str) else list(table)
    return struct.pack(f"<HHI{len(numbers)}I", 0xFFFE, 0xE000, 4 * len(numbers), *numbers) + items


def write_dicom(
    path: Path,
    frames: NDArray[Any],
    codec: str = "j2k",
    *,
    bits_stored: int = 10,
    precision: int | None = None,
    window: tuple[float, float] | None = (400.0, 600.0),
    tags: Mapping[str, Any] | None = None,
    pieces: int = 1,
    table: str | Sequence[int] = "right",
    pixel_data: bytes | None = None,
    uid: str | None = None,
) -> Path:
    """Write frames (S, H, W), or a mammogram (H, W), in the form of the BCS-DBT release.

    Args:
        path: the file; folders are made.
        codec: a key of ``UID``.
        bits_stored: what the header says.
        precision: what the codestream says; the allocated bits if not given.
        window: of the shared functional groups (volume) or of the top level (mammogram).
        tags: attributes to set or, if None, to leave out.
        pieces: fragments per frame.
        table: see ``encapsulated``.
        pixel_data: bytes instead of the encoded frames.
        uid: transfer syntax to claim instead of the true one.
    """
    dataset = FileDataset("", {}, file_meta=_meta(UID[codec]), preamble=b"\0" * 128)
    stack = frames if frames.ndim == 3 else frames[None]
    _identify(dataset, path)
    dataset.Rows, dataset.Columns = stack.shape[1:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * stack.dtype.itemsize
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits_stored, bits_stored - 1, 0
    if frames.ndim == 3:
        dataset.NumberOfFrames = len(stack)
        _functional_groups(dataset, len(stack), window)
    elif window is not None:
        dataset.WindowCenter, dataset.WindowWidth = window
    if pixel_data is None:
        encoded = [encode(frame, codec, precision or dataset.BitsAllocated) for frame in stack]
        pixel_data = b"".join(encoded) if codec in RAW else encapsulated(encoded, pieces, table)
    dataset.PixelData = pixel_data
    dataset["PixelData"].VR = "OB" if codec not in RAW or stack.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = codec not in RAW
    for keyword, value in (tags or {}).items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = {"implicit_vr": codec == "implicit", "little_endian": codec != "big"}
    dcmwrite(path, dataset, force_encoding=True, **encoding)
    if uid is not None:
        path.write_bytes(path.read_bytes().replace(_transfer_syntax(UID[codec]), _transfer_syntax(uid), 1))
    return path


def _transfer_syntax(uid: str) -> bytes:
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return b"\x02\x00\x10\x00UI" + struct.pack("<H", len(value)) + value


def _meta(transfer_syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = BREAST_TOMOSYNTHESIS
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = "1.2.3.4"
    meta.FileMetaInformationVersion = b"\0\1"
    return meta


def _identify(dataset: Dataset, path: Path) -> None:
    dataset.SOPClassUID = BREAST_TOMOSYNTHESIS
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.2"
    dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.3"
    dataset.PatientID = "DBT-P00001"
    dataset.PatientName = "DBT-P00001"
    dataset.Modality = "MG"
    dataset.ViewPosition = "CC"


def _functional_groups(dataset: Dataset, frames: int, window: tuple[float, float] | None) -> None:
    shared, anatomy = Dataset(), Dataset()
    anatomy.FrameLaterality = "L"
    shared.FrameAnatomySequence = [anatomy]
    if window is not None:
        lut = Dataset()
        lut.WindowCenter, lut.WindowWidth = window
        shared.FrameVOILUTSequence = [lut]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for index in range(frames):
        content = Dataset()
        content.InStackPositionNumber = index + 1
        group = Dataset()
        group.FrameContentSequence = [content]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups


def _rle(frame: NDArray[Any]) -> bytes:
    planes = frame.astype(frame.dtype.newbyteorder(">")).view(np.uint8).reshape(frame.size, -1)
    segments = []
    for plane in planes.T:
        rows = plane.reshape(frame.shape)
        data = b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in rows)
        segments.append(data + b"\0" * (len(data) % 2))
    offsets = [64 + sum(map(len, segments[:k])) for k in range(len(segments))]
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(offsets))) + b"".join(segments)
