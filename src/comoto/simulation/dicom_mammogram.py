"""Write a mammogram as the VinDr-Mammo release has it: few tags, hexadecimal identifiers, no SOP class."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from comoto.output_files import atomic_write
from comoto.simulation.cohort import MammogramCase
from comoto.simulation.config import SimulateConfig
from comoto.simulation.exams import MAMMOGRAM_BITS
from comoto.simulation.second.config import SecondConfig

MAMMOGRAM_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
_REPLACED_UID = "1.2.3.4"


_HIGHEST = 2**MAMMOGRAM_BITS - 1


def write_mammogram(
    path: Path,
    case: MammogramCase,
    config: SimulateConfig | SecondConfig,
    window: tuple[float, float],
    pixels: NDArray[np.uint16],
) -> None:
    """Write a mammogram losslessly; the name appears when the file is complete.

    Args:
        path: of the file.
        case: what the header says of it.
        config: with the size of a pixel, and whether the SOP class is left out.
        window: (center, width) in values where more is whiter.
        pixels: (H, W), more is whiter.
    """
    stored = (_HIGHEST - pixels).astype(np.uint16) if case.inverted else pixels
    stream = imagecodecs.jpeg2k_encode(
        stored, level=0, codecformat="j2k", bitspersample=MAMMOGRAM_BITS, reversible=True, numthreads=1
    )
    with disable_value_validation(), atomic_write(path) as part:
        dataset = _dataset(case, config, window)
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = encapsulate([bytes(stream)], has_bot=True)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(part, enforce_file_format=True)


def _dataset(
    case: MammogramCase, config: SimulateConfig | SecondConfig, window: tuple[float, float]
) -> FileDataset:
    without_sop_class = config.traps.sop_class_removed
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _REPLACED_UID if without_sop_class else MAMMOGRAM_FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = case.image_id
    meta.TransferSyntaxUID = JPEG2000Lossless
    meta.ImplementationClassUID = _REPLACED_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    if not without_sop_class:
        dataset.SOPClassUID = MAMMOGRAM_FOR_PRESENTATION
    dataset.SOPInstanceUID = case.image_id
    dataset.StudyInstanceUID = case.study_id
    dataset.SeriesInstanceUID = case.series_id
    dataset.Modality = "MG"
    dataset.Manufacturer = "comoto"
    dataset.ManufacturerModelName = "simulate"
    dataset.PatientID = case.study_id
    dataset.PatientSex = "F"
    dataset.ImageLaterality = case.laterality.value
    dataset.ViewPosition = case.view.value
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if case.inverted else "MONOCHROME2"
    dataset.ImagerPixelSpacing = [round(config.grid.pixel_mm, 4)] * 2
    dataset.PixelSpacing = [round(config.grid.pixel_mm, 4)] * 2
    dataset.BitsAllocated = 16
    dataset.BitsStored = MAMMOGRAM_BITS
    dataset.HighBit = MAMMOGRAM_BITS - 1
    dataset.PixelRepresentation = 0
    center, width = window
    dataset.WindowCenter = round(_HIGHEST - center if case.inverted else center, 1)
    dataset.WindowWidth = round(width, 1)
    dataset.VOILUTFunction = "LINEAR"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape = "INVERSE" if case.inverted else "IDENTITY"
    dataset.PixelPaddingValue = _HIGHEST if case.inverted else 0
    return dataset
