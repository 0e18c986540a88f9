"""What a DICOM file holds, told by its own tags: a volume, one slice, a mammogram, projections, or no image.

Only the tags named here are read, once, so that a folder of thousands of files is looked through quickly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydicom import misc
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import BaseTag, Tag

from comoto.dicom.attributes import text_of, texts_of, uid_of
from comoto.dicom.tags import CAUSES_OF_DAMAGE, is_defect, read_tags, without_values
from comoto.errors import DicomError

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MAMMOGRAPHY = (f"{_STORAGE}1.2", f"{_STORAGE}1.2.1")
_TOMOSYNTHESIS = f"{_STORAGE}13.1.3"
_PROJECTIONS = (f"{_STORAGE}13.1.4", f"{_STORAGE}13.1.5")
_CT = (f"{_STORAGE}2", f"{_STORAGE}2.1", f"{_STORAGE}2.2")
_CAPTURE = f"{_STORAGE}7"
_CAPTURES = (_CAPTURE, f"{_STORAGE}7.2", f"{_STORAGE}7.3")
_XRAY = (f"{_STORAGE}1", f"{_STORAGE}1.1", f"{_STORAGE}1.1.1")
_DIRECTORY = "1.2.840.10008.1.3.10"
_IMAGES = frozenset({*_MAMMOGRAPHY, _TOMOSYNTHESIS, *_PROJECTIONS, *_CT, *_CAPTURES, *_XRAY})

_GENERATED_2D = frozenset({"GENERATED_2D", "TOMO_2D"})
_PROJECTION_WORDS = frozenset({"TOMO_PROJ"})
_TOMOSYNTHESIS_WORDS = frozenset({"TOMOSYNTHESIS", "TOMO"})

_PRIVATE_FRAMES = 0x7E01
"""Group in which Hologic's Secondary Capture Objects keep their frames."""
_PRIVATE_CREATORS = tuple(Tag(_PRIVATE_FRAMES, element) for element in range(0x10, 0x18))
_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription"),
    *("Modality", "ImageType", "BodyPartExamined", "ViewPosition", "ImageLaterality"),
    *("NumberOfFrames", "Rows", "Columns"),
    *("InstanceNumber", "AcquisitionNumber", "ImagesInAcquisition"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceLocation"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation"),
    *("RescaleSlope", "RescaleIntercept"),
)


class Content(StrEnum):
    """What a file or folder holds; the words stand in messages."""

    VOLUME = "tomosynthesis volume"
    SLICE = "slice of a volume"
    CAPTURE = "secondary capture"
    MAMMOGRAM = "mammogram"
    SYNTHETIC = "synthetic 2D image"
    PROJECTIONS = "tomosynthesis projection"
    PRIVATE = "Hologic Secondary Capture Object"
    NO_IMAGE = "object without pixels"
    OTHER = "other image"
    UNREADABLE = "unreadable file"


WAYS_OUT = {
    Content.PROJECTIONS: (
        "holds projections (the raw views of a tomosynthesis scan), not reconstructed slices; "
        "give the reconstruction of the same view (Breast Tomosynthesis Image)"
    ),
    Content.PRIVATE: (
        "is a Hologic Secondary Capture Object: its frames lie in private elements that only the vendor's "
        "software reads; export the study again as Breast Tomosynthesis Image (BTO) objects"
    ),
    Content.NO_IMAGE: "is a DICOM object without pixels (such as a report or a directory); give an image",
}
"""Content that is never opened, with what to do about it."""


@dataclass(frozen=True)
class DicomContent:
    """What one DICOM file is by itself; the files beside it may make it a slice of a volume.

    Attributes:
        content: see ``dicom_content``.
        sop_class_uid, series_uid, series_description: empty where the file does not say.
        num_frames, rows, columns: 0 where the file does not say.
        reason: why it cannot be read, for ``UNREADABLE``.
        tags: what was read of the file; None for ``UNREADABLE``.
    """

    path: Path
    content: Content
    sop_class_uid: str = ""
    series_uid: str = ""
    series_description: str = ""
    num_frames: int = 0
    rows: int = 0
    columns: int = 0
    reason: str = ""
    tags: FileDataset | None = field(default=None, repr=False, compare=False)


def stands_alone(found: DicomContent) -> bool:
    """Say whether a file is an image whatever lies beside it: no slice and no capture, which may be one."""
    is_slice = found.content is Content.SLICE or found.sop_class_uid in _CAPTURES
    return not is_slice and found.content is not Content.UNREADABLE


def is_dicom(path: Path) -> bool:
    """Say whether the file has the DICOM mark after its preamble.

    Raises:
        DicomError: the file cannot be opened.
    """
    try:
        return bool(misc.is_dicom(path))
    except OSError as error:
        raise DicomError(f"{path}: cannot be opened ({error.strerror or error})") from error


def dicom_content(path: Path) -> DicomContent:
    """Tell what a DICOM file is from its SOP class, image type and number of frames.

    ======================================================  ==================================================
    Breast Tomosynthesis Image, several frames              volume
    Breast Tomosynthesis Image, one frame                   slice of a volume
    Digital Mammography X-Ray Image (and CR, DX)            mammogram
    the same or tomosynthesis, image type GENERATED_2D      synthetic 2D image (C-View, V-Preview, Insight 2D)
    Breast Projection X-Ray Image, image type TOMO_PROJ     projections
    CT Image with Modality MG or another sign of a breast   slice of a volume; volume if several frames
    Secondary Capture with private frames of Hologic        Hologic Secondary Capture Object
    Secondary Capture, several frames                       volume
    Secondary Capture, one frame                            secondary capture: film, or slice of many
    no SOP class (VinDr-Mammo removes it)                   volume if it has several frames, else mammogram
    another class, no rows or columns                       object without pixels
    ======================================================  ==================================================

    Never raises because of a file: one that cannot be read is ``UNREADABLE``. So is one without
    rows and columns that says it is an image, or nothing at all: it was cut in its header.
    """
    tags: list[BaseTag | int | str | tuple[int, int]] = [*_KEYWORDS, *_PRIVATE_CREATORS]
    try:
        dataset = read_tags(path, tags)
        meta_class = uid_of(dataset.file_meta, "MediaStorageSOPClassUID")
        return DicomContent(
            path=path,
            content=_decide(dataset, meta_class),
            sop_class_uid=uid_of(dataset, "SOPClassUID"),
            series_uid=uid_of(dataset, "SeriesInstanceUID"),
            series_description=text_of(dataset, "SeriesDescription") or "",
            num_frames=_count(dataset, "NumberOfFrames") or 1,
            rows=_count(dataset, "Rows"),
            columns=_count(dataset, "Columns"),
            tags=dataset,
        )
    except DicomError as error:
        return DicomContent(path, Content.UNREADABLE, reason=str(error).removeprefix(f"{path}: "))
    except Exception as error:  # damaged bytes surface as almost any type
        if is_defect(error):
            raise
        return DicomContent(path, Content.UNREADABLE, reason=without_values(error))


def _decide(dataset: Dataset, meta_class: str) -> Content:
    uid = uid_of(dataset, "SOPClassUID")
    words = set(texts_of(dataset, "ImageType"))
    several = _count(dataset, "NumberOfFrames") > 1
    if uid == _CAPTURE and _has_private_frames(dataset):
        return Content.PRIVATE
    if _DIRECTORY in (uid, meta_class):
        return Content.NO_IMAGE
    if not (_count(dataset, "Rows") and _count(dataset, "Columns")):
        what = uid or meta_class
        if what and what not in _IMAGES:
            return Content.NO_IMAGE
        raise DicomError(f"Rows and Columns are missing; {CAUSES_OF_DAMAGE}")
    if uid in _PROJECTIONS or words & _PROJECTION_WORDS:
        return Content.PROJECTIONS
    if words & _GENERATED_2D and not several:
        return Content.SYNTHETIC
    return _of_class(uid, dataset, words, several)


def _of_class(uid: str, dataset: Dataset, words: set[str], several: bool) -> Content:
    if uid == _TOMOSYNTHESIS:
        return Content.VOLUME if several else Content.SLICE
    if uid in _CT:
        if not _is_breast(dataset, words):
            return Content.OTHER
        return Content.VOLUME if several else Content.SLICE
    if uid in _CAPTURES:
        return Content.VOLUME if several else Content.CAPTURE
    if not uid:
        return Content.VOLUME if several else Content.MAMMOGRAM
    if uid in _MAMMOGRAPHY or (uid in _XRAY and _is_breast(dataset, words)):
        if not several:
            return Content.MAMMOGRAM
        # The Standard allows one frame only; some systems wrote tomosynthesis in this class before 2011.
        return Content.VOLUME if words & _TOMOSYNTHESIS_WORDS else Content.OTHER
    return Content.OTHER


def _is_breast(dataset: Dataset, words: set[str]) -> bool:
    """Say whether anything tells that the breast was imaged; a chest CT says nothing of the kind."""
    modality, part, view = (
        (text_of(dataset, keyword) or "").upper()
        for keyword in ("Modality", "BodyPartExamined", "ViewPosition")
    )
    return bool(
        modality == "MG"
        or "BREAST" in part
        or view in ("CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM")
        or words & _TOMOSYNTHESIS_WORDS
    )


def _has_private_frames(dataset: Dataset) -> bool:
    return any("HOLOGIC" in str(dataset[tag].value).upper() for tag in _PRIVATE_CREATORS if tag in dataset)


def _count(dataset: Dataset, keyword: str) -> int:
    value = dataset.get(keyword)
    return int(value) if value else 0
