"""Volumes with the habits of four public Hologic Selenia Dimensions objects (2016 to 2018).

JPEG Lossless SV1; slices reach 6 mm beyond the compressed thickness; rows always run to the back and columns
to the left (so left breasts are stored turned by 180 degrees); the side stands only in Frame Anatomy and the
view only in View Code Sequence; window 512 / 512; Volumetric Properties VOLUME and MAX_IP although nothing is
one; pixel measures per frame; a private block of long text, mostly of unknown value representation; traces of
de-identification. The maker is named as ``comoto``, since no such device made them. Pixel Spacing is that of
the simulated grid; the real ones say 0.1063 to 0.1086 mm with 1996 columns and 0.0863 mm with 1890.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEGLosslessSV1

from comoto.simulation.dicom_tomosynthesis import (
    TomosynthesisHeader,
    volume_dataset,
    write_frames,
)
from comoto.simulation.second.exams import VolumeHabits

HOLOGIC_VOLUMES = VolumeHabits(beyond_mm=6.0, window=(256.0, 768.0))
_IMAGE_TYPE = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
_ORIENTATION = [0, 1, 0, 1, 0, 0]
_PRIVATE_CREATOR = "HOLOGIC, Inc."
_PRIVATE_LENGTH = 4000
_UNKNOWN_IN = 4
"""One object of so many keeps the value representation of its private elements."""


def write_hologic(path: Path, header: TomosynthesisHeader, frames: Iterable[NDArray[np.uint16]]) -> None:
    """Write ``frames`` (H, W) in stored order; the name appears when the file is complete."""
    dataset = volume_dataset(header)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    with disable_value_validation():
        _top(dataset, header)
        _shared(dataset)
        _per_frame(dataset, header)
        _acquisition(dataset)
        _private(dataset, header)
        write_frames(path, dataset, (_encoded(frame) for frame in frames))


def _encoded(frame: NDArray[np.uint16]) -> bytes:
    return bytes(imagecodecs.ljpeg_encode(frame, bitspersample=16))


def _top(dataset: FileDataset, header: TomosynthesisHeader) -> None:
    dataset.ImageType = _IMAGE_TYPE
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "MAX_IP"
    dataset.PatientOrientation = ["P", "L"]
    del dataset.ViewPosition
    named = header.series_number % 2 == 0
    side, view = header.laterality.value, header.view.value
    dataset.SeriesDescription = f"{side} {view} Breast Tomosynthesis Image" if named else ""
    dataset.PatientAge = f"{480 + header.series_number % 420}M"
    if header.series_number % 3 == 0:
        dataset.StudyTime = header.study_instance_uid[:32]


def _shared(dataset: FileDataset) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    del shared.PixelMeasuresSequence
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = _ORIENTATION


def _per_frame(dataset: FileDataset, header: TomosynthesisHeader) -> None:
    for number, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        measures = Dataset()
        measures.SliceThickness = round(header.slice_mm, 4)
        measures.PixelSpacing = [round(header.pixel_mm, 4)] * 2
        groups.PixelMeasuresSequence = Sequence([measures])
        groups.PlanePositionSequence[0].ImagePositionPatient = [0, 0, round(number * header.slice_mm, 4)]
        kind = groups.XRay3DFrameTypeSequence[0]
        kind.FrameType = _IMAGE_TYPE
        kind.VolumetricProperties = "VOLUME"
        kind.VolumeBasedCalculationTechnique = "MAX_IP"


def _acquisition(dataset: FileDataset) -> None:
    """Exposures that are not all the same, and the detector's images, binned 2 x 2."""
    projections = dataset.XRay3DAcquisitionSequence[0].PerProjectionAcquisitionSequence
    for number, projection in enumerate(projections):
        projection.ExposureInmAs = round(3.6 + 0.05 * ((number * 7) % 5), 2)
    source = Dataset()
    source.Manufacturer = "comoto"
    source.Rows, source.Columns = 2048, 1664
    source.BitsStored = 14
    source.DetectorBinning = [2, 2]
    dataset.ContributingSourcesSequence = Sequence([source])


def _private(dataset: FileDataset, header: TomosynthesisHeader) -> None:
    block = dataset.private_block(0x0019, _PRIVATE_CREATOR, create=True)
    text = " ".join(f"{number * 37 % 4096:d}" for number in range(_PRIVATE_LENGTH // 4))[:_PRIVATE_LENGTH]
    known = header.series_number % _UNKNOWN_IN == 0
    for offset in (0x50, 0x51, 0x52):
        block.add_new(offset, "LT" if known else "UN", text if known else text.encode())
