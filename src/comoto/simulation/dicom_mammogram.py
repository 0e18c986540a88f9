"""Write a mammogram as the VinDr-Mammo release has it: few tags, hexadecimal identifiers, no SOP class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from comoto.output_files import atomic_write
from comoto.records import Laterality, View

MAMMOGRAM_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
_REPLACED_UID = "1.2.3.4"


@dataclass(frozen=True)
class MammogramHeader:
    """What one mammogram says about itself.

    Attributes:
        window: (center, width) in values where more is whiter.
        inverted: store as MONOCHROME1.
        sop_class_removed: leave the SOP class out and replace it in the file meta information.
    """

    study_uid: str
    series_uid: str
    instance_uid: str
    laterality: Laterality
    view: View
    pixel_mm: float
    bits: int
    window: tuple[float, float]
    inverted: bool
    sop_class_removed: bool


def write_mammogram(path: Path, header: MammogramHeader, pixels: NDArray[np.uint16]) -> None:
    """Write ``pixels`` (H, W; more is whiter) losslessly; the name appears when the file is complete."""
    top = 2**header.bits - 1
    stored = (top - pixels).astype(np.uint16) if header.inverted else pixels
    stream = imagecodecs.jpeg2k_encode(
        stored, level=0, codecformat="j2k", bitspersample=header.bits, reversible=True, numthreads=1
    )
    with disable_value_validation(), atomic_write(path) as part:
        dataset = _dataset(header, (pixels.shape[0], pixels.shape[1]))
        dataset.PixelData = encapsulate([bytes(stream)], has_bot=True)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(part, enforce_file_format=True)


def _dataset(header: MammogramHeader, shape: tuple[int, int]) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _REPLACED_UID if header.sop_class_removed else MAMMOGRAM_FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = header.instance_uid
    meta.TransferSyntaxUID = JPEG2000Lossless
    meta.ImplementationClassUID = _REPLACED_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    if not header.sop_class_removed:
        dataset.SOPClassUID = MAMMOGRAM_FOR_PRESENTATION
    dataset.SOPInstanceUID = header.instance_uid
    dataset.StudyInstanceUID = header.study_uid
    dataset.SeriesInstanceUID = header.series_uid
    dataset.Modality = "MG"
    dataset.Manufacturer = "comoto"
    dataset.ManufacturerModelName = "simulate"
    dataset.PatientID = header.study_uid
    dataset.PatientSex = "F"
    dataset.ImageLaterality = header.laterality.value
    dataset.ViewPosition = header.view.value
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if header.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape
    dataset.ImagerPixelSpacing = [round(header.pixel_mm, 4)] * 2
    dataset.PixelSpacing = [round(header.pixel_mm, 4)] * 2
    dataset.BitsAllocated = 16
    dataset.BitsStored = header.bits
    dataset.HighBit = header.bits - 1
    dataset.PixelRepresentation = 0
    center, width = header.window
    dataset.WindowCenter = round(2**header.bits - 1 - center if header.inverted else center, 1)
    dataset.WindowWidth = round(width, 1)
    dataset.VOILUTFunction = "LINEAR"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape = "INVERSE" if header.inverted else "IDENTITY"
    dataset.PixelPaddingValue = 2**header.bits - 1 if header.inverted else 0
    return dataset
