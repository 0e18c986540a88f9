"""Small real DICOM files and the manifests that name them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest


def _write_dicom(
    path: Path, frames: np.ndarray, *, bits=10, photometric="MONOCHROME2", window=None, rescale=None
):
    """Write frames (S, H, W), already as stored, as an uncompressed file."""
    frames = np.ascontiguousarray(frames, dtype="<u2")
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    volume = len(frames) > 1
    class_uid = "1.2.840.10008.5.1.4.1.1.13.1.3" if volume else "1.2.840.10008.5.1.4.1.1.1.2"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = class_uid
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Rows, dataset.Columns = frames.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    shared = Dataset()
    place = Dataset() if volume else dataset
    if window is not None:
        place.WindowCenter, place.WindowWidth = window
    if rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = rescale
    if volume:
        dataset.NumberOfFrames = len(frames)
        shared.FrameVOILUTSequence = Sequence([place])
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PixelData = frames.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def write_dicom():
    return _write_dicom


def _breast(shape=(160, 100), side="L", reach=0.7, tissue=400, seed=0):
    """Draw half an ellipse leaning on one side, uint16, air 0, tissue between 300 and 500 or so."""
    rows, columns = shape
    y, x = np.mgrid[:rows, :columns]
    inside = ((x + 0.5) / (reach * columns)) ** 2 + ((y + 0.5 - rows / 2) / (0.4 * rows)) ** 2 < 1
    noise = np.random.default_rng(seed).normal(0, 40, shape)
    image = np.where(inside, np.clip(tissue + noise, 1, 1023), 0).astype(np.uint16)
    return image if side == "L" else np.ascontiguousarray(image[:, ::-1])


@pytest.fixture
def breast():
    return _breast


def _manifest(images, lesions=(), name="made"):
    """Build a manifest from partial rows; what a row leaves out gets a plain value."""
    plain = {
        "modality": "tomosynthesis",
        "study_id": "S",
        "view_key": "lcc",
        "laterality": "L",
        "view": "CC",
        "split": "train",
        "label": "normal",
        "num_slices": pd.NA,
    }
    rows = [plain | {"patient_id": row["image_id"]} | row for row in images]
    return Manifest(
        name,
        pd.DataFrame(rows, columns=list(IMAGE_COLUMNS)),
        pd.DataFrame(
            [dict(zip(LESION_COLUMNS, (*lesion, "cancer"), strict=True)) for lesion in lesions],
            columns=list(LESION_COLUMNS),
        ),
    )


@pytest.fixture
def make_manifest():
    return _manifest
