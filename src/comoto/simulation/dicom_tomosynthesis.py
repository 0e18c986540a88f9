"""Write a reconstructed volume as a multi-frame Breast Tomosynthesis Image (PS3.3 A.55), frame by frame.

The objects carry the habits of the BCS-DBT release on purpose: 10 of 16 bits with a JPEG 2000 stream that
declares 16, a FrameLaterality that always says ``L``, no Pixel Spacing value, and sometimes frames rotated by
180 degrees. They are valid all the same: ``dciodvfy`` finds no error. Volumetric Properties is ``SAMPLED``,
for which PS3.3 C.7.6.16.2.1 does not require Pixel Spacing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, JPEG2000Lossless

from comoto.output_files import atomic_write
from comoto.records import Laterality, View
from comoto.simulation.cohort import simulated_uid
from comoto.simulation.projection import DETECTOR_GAP_MM, SOURCE_TO_DETECTOR_MM

BREAST_TOMOSYNTHESIS_IMAGE = "1.2.840.10008.5.1.4.1.1.13.1.3"
BITS_STORED = 10
_VIEW_CODES = {
    View.CC: Code("399162004", "SCT", "cranio-caudal"),
    View.MLO: Code("399368009", "SCT", "medio-lateral oblique"),
}
_BREAST = Code("76752008", "SCT", "Breast")


@dataclass(frozen=True)
class TomosynthesisHeader:
    """What one object says about itself.

    Attributes:
        rows, columns, num_frames: shape of the volume.
        pixel_mm: in-plane sample distance, written only if ``with_pixel_spacing``.
        slice_mm: distance between neighbouring frames.
        thickness_mm: thickness of the compressed breast.
        window: (center, width) in stored values.
        frame_laterality: what Frame Laterality says; BCS-DBT says ``L`` on every object.
        angle_deg: half the angular range of the acquisition.
        num_views: projections of the acquisition.
    """

    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    study_description: str
    series_number: int
    view: View
    laterality: Laterality
    rows: int
    columns: int
    num_frames: int
    pixel_mm: float
    slice_mm: float
    thickness_mm: float
    window: tuple[float, float]
    frame_laterality: Laterality
    angle_deg: float
    num_views: int
    with_pixel_spacing: bool


def encode_frame(frame: NDArray[np.uint16], precision: int) -> bytes:
    """Encode one frame (H, W) as a JPEG 2000 lossless codestream that declares ``precision`` bits."""
    return bytes(
        imagecodecs.jpeg2k_encode(
            frame, level=0, codecformat="j2k", bitspersample=precision, reversible=True, numthreads=1
        )
    )


def write_tomosynthesis(path: Path, header: TomosynthesisHeader, frames: Iterable[bytes]) -> None:
    """Write encoded ``frames`` (JPEG 2000, stored order); the name appears when the file is complete."""
    write_frames(path, volume_dataset(header), frames)


def write_frames(path: Path, dataset: FileDataset, frames: Iterable[bytes]) -> None:
    """Write ``dataset`` with its encoded frames; the name appears when the file is complete."""
    dataset.PixelData = encapsulate(list(frames), has_bot=True)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    with atomic_write(path) as part:
        dataset.save_as(part, enforce_file_format=True)


def volume_dataset(header: TomosynthesisHeader) -> FileDataset:
    """Return the object without its pixels, with the habits of BCS-DBT."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = BREAST_TOMOSYNTHESIS_IMAGE
    meta.MediaStorageSOPInstanceUID = header.sop_instance_uid
    meta.TransferSyntaxUID = JPEG2000Lossless
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for module in (_patient_and_study, _series_and_equipment, _image, _acquisition, _dimensions):
        module(dataset, header)
    dataset.SharedFunctionalGroupsSequence = Sequence([_shared_groups(header)])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(list(_frame_groups(header)))
    return dataset


def _patient_and_study(dataset: Dataset, header: TomosynthesisHeader) -> None:
    dataset.SOPClassUID = BREAST_TOMOSYNTHESIS_IMAGE
    dataset.SOPInstanceUID = header.sop_instance_uid
    dataset.PatientName = header.patient_id
    dataset.PatientID = header.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Simulated: no patient exists"
    dataset.StudyInstanceUID = header.study_instance_uid
    dataset.StudyID = ""
    dataset.StudyDate = "20000101"
    dataset.StudyTime = "000000"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = header.study_description


def _series_and_equipment(dataset: Dataset, header: TomosynthesisHeader) -> None:
    dataset.Modality = "MG"
    dataset.SeriesInstanceUID = header.series_instance_uid
    dataset.SeriesNumber = header.series_number
    dataset.Manufacturer = "comoto"
    dataset.ManufacturerModelName = "simulate"
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = "1"
    dataset.FrameOfReferenceUID = simulated_uid(header.series_instance_uid, "frame of reference")
    dataset.PositionReferenceIndicator = ""


def _image(dataset: Dataset, header: TomosynthesisHeader) -> None:
    dataset.ImageType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
    dataset.InstanceNumber = 1
    dataset.ContentDate = "20000101"
    dataset.ContentTime = "000000"
    dataset.NumberOfFrames = header.num_frames
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = header.rows
    dataset.Columns = header.columns
    dataset.BitsAllocated = 16
    dataset.BitsStored = BITS_STORED
    dataset.HighBit = BITS_STORED - 1
    dataset.PixelRepresentation = 0
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "SAMPLED"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.ContentQualification = "RESEARCH"
    dataset.AcquisitionContextSequence = Sequence([])


def _acquisition(dataset: Dataset, header: TomosynthesisHeader) -> None:
    """Breast Tomosynthesis Acquisition, X-Ray 3D Reconstruction and Breast View modules."""
    dataset.XRay3DAcquisitionSequence = Sequence([_exposure(header)])
    reconstruction = Dataset()
    reconstruction.AcquisitionIndex = [1]
    reconstruction.ReconstructionDescription = "Filtered back-projection"
    reconstruction.ApplicationName = "comoto"
    reconstruction.ApplicationVersion = "1"
    reconstruction.ApplicationManufacturer = "comoto"
    reconstruction.AlgorithmType = "FILTER_BACK_PROJ"
    dataset.XRay3DReconstructionSequence = Sequence([reconstruction])
    dataset.ViewCodeSequence = Sequence([_code(_VIEW_CODES[header.view])])
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    dataset.BreastImplantPresent = "NO"
    dataset.PartialView = "NO"
    dataset.ViewPosition = header.view.value


def _exposure(header: TomosynthesisHeader) -> Dataset:
    """One sweep: the settings all projections share, and the angle of each."""
    acquisition = Dataset()
    acquisition.DistanceSourceToDetector = SOURCE_TO_DETECTOR_MM
    entrance = SOURCE_TO_DETECTOR_MM - DETECTOR_GAP_MM - header.thickness_mm
    acquisition.DistanceSourceToPatient = round(entrance, 2)
    middle = SOURCE_TO_DETECTOR_MM - DETECTOR_GAP_MM - header.thickness_mm / 2
    acquisition.EstimatedRadiographicMagnificationFactor = round(SOURCE_TO_DETECTOR_MM / middle, 4)
    acquisition.FieldOfViewShape = "RECTANGLE"
    acquisition.FieldOfViewOrigin = [0, 0]
    acquisition.FieldOfViewRotation = 0
    acquisition.FieldOfViewHorizontalFlip = "NO"
    acquisition.FocalSpots = 0.3
    acquisition.XRayReceptorType = "DIGITAL_DETECTOR"
    acquisition.AnodeTargetMaterial = "TUNGSTEN"
    acquisition.BodyPartThickness = round(header.thickness_mm, 2)
    acquisition.CompressionForce = 100
    acquisition.FilterMaterial = "ALUMINUM"
    acquisition.FilterType = "FLAT"
    acquisition.FilterThicknessMinimum = acquisition.FilterThicknessMaximum = 0.7
    acquisition.ExposureControlMode = "MANUAL"
    acquisition.ExposureControlModeDescription = "Simulated monochromatic beam of 20 keV"
    acquisition.KVP = 30
    acquisition.HalfValueLayer = 0.5
    acquisition.DetectorTemperature = 25
    acquisition.PaddleDescription = "Simulated flat paddle"
    projections = []
    for angle in np.linspace(-header.angle_deg, header.angle_deg, header.num_views):
        projection = Dataset()
        projection.PositionerPrimaryAngle = round(float(angle), 3)
        projection.PositionerSecondaryAngle = 0
        projection.ExposureTimeInms = 50
        projection.XRayTubeCurrentInmA = 100
        projection.ExposureInmAs = 5
        projection.RelativeXRayExposure = 100
        projections.append(projection)
    acquisition.PerProjectionAcquisitionSequence = Sequence(projections)
    return acquisition


def _dimensions(dataset: Dataset, header: TomosynthesisHeader) -> None:
    organization = Dataset()
    organization.DimensionOrganizationUID = simulated_uid(header.series_instance_uid, "dimensions")
    dataset.DimensionOrganizationSequence = Sequence([organization])
    index = Dataset()
    index.DimensionOrganizationUID = organization.DimensionOrganizationUID
    index.DimensionIndexPointer = 0x00209057  # In-Stack Position Number
    index.FunctionalGroupPointer = 0x00209111  # Frame Content Sequence
    dataset.DimensionIndexSequence = Sequence([index])


def _shared_groups(header: TomosynthesisHeader) -> Dataset:
    shared = Dataset()
    measures = Dataset()
    measures.SliceThickness = round(header.slice_mm, 4)
    measures.SpacingBetweenSlices = round(header.slice_mm, 4)
    if header.with_pixel_spacing:
        measures.PixelSpacing = [round(header.pixel_mm, 4)] * 2
    shared.PixelMeasuresSequence = Sequence([measures])
    orientation = Dataset()
    orientation.ImageOrientationPatient = _orientation(header)
    shared.PlaneOrientationSequence = Sequence([orientation])
    anatomy = Dataset()
    anatomy.FrameLaterality = header.frame_laterality.value
    anatomy.AnatomicRegionSequence = Sequence([_code(_BREAST)])
    shared.FrameAnatomySequence = Sequence([anatomy])
    window = Dataset()
    window.WindowCenter, window.WindowWidth = (round(value, 1) for value in header.window)
    shared.FrameVOILUTSequence = Sequence([window])
    rescale = Dataset()
    rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType = 0, 1, "US"
    shared.PixelValueTransformationSequence = Sequence([rescale])
    return shared


def _frame_groups(header: TomosynthesisHeader) -> Iterator[Dataset]:
    orientation = np.asarray(_orientation(header))
    normal = np.cross(orientation[:3], orientation[3:])
    for index in range(header.num_frames):
        groups = Dataset()
        content = Dataset()
        content.StackID = "1"
        content.InStackPositionNumber = index + 1
        content.DimensionIndexValues = [index + 1]
        content.FrameAcquisitionNumber = 1
        groups.FrameContentSequence = Sequence([content])
        position = Dataset()
        position.ImagePositionPatient = [round(float(value), 4) for value in normal * index * header.slice_mm]
        groups.PlanePositionSequence = Sequence([position])
        frame_type = Dataset()
        frame_type.FrameType = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]
        frame_type.PixelPresentation = "MONOCHROME"
        frame_type.VolumetricProperties = "SAMPLED"
        frame_type.VolumeBasedCalculationTechnique = "NONE"
        frame_type.ReconstructionIndex = 1
        groups.XRay3DFrameTypeSequence = Sequence([frame_type])
        yield groups


def _orientation(header: TomosynthesisHeader) -> list[float]:
    """Direction cosines of a row and of a column; x points to the patient's left, y back, z up.

    Source orientation has the left breast's chest wall at column 0, so a row leads to the front (-y). On the
    right breast the chest wall is at the last column and a row leads to the back. Columns lead to the inner
    side on a CC view and obliquely down on an MLO view, by 45 degrees.
    """
    left = header.laterality is Laterality.LEFT
    side = 1.0 if left else -1.0
    down = (-side, 0.0, 0.0)
    if header.view is View.MLO:
        down = (-side * math.sqrt(0.5), 0.0, -math.sqrt(0.5))
    return [round(value, 6) for value in (0.0, -side, 0.0, *down)]


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        code.value,
        code.scheme_designator,
        code.meaning,
    )
    return item
