"""The images of CMMD on disk: who and which view by header, which breast by pixels.

Folders and file names do not matter. Laterality tags are wrong on some images, so the side that the breast
leans on decides; where the pixels do not say, the tag does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from comoto.datasets.breast_side import leaning_side
from comoto.datasets.dicom_tree import dicom_files, for_each
from comoto.datasets.view_words import parse_side, parse_view
from comoto.errors import DatasetError, DicomError
from comoto.records import Laterality, View
from comoto.sources import open_source, read_source_header

_PATIENT = re.compile(r"^D[12]-\d{4}$")


@dataclass(frozen=True)
class CmmdImage:
    """One image.

    Attributes:
        path: its file.
        error: why it cannot be used; empty mostly.
        patient, study, sop: identifiers of the header.
        side: ``L`` or ``R``, as decided.
        tag: what the header says; empty if nothing.
        view, word: CC, MLO or another projection, and its word.
        shape: (rows, columns).
    """

    path: Path
    error: str = ""
    patient: str = ""
    study: str = ""
    sop: str = ""
    side: str = ""
    tag: str = ""
    view: View = View.OTHER
    word: str = ""
    shape: tuple[int, int] = (0, 0)


def find_images(root: Path, by_pixels: bool, workers: int | None) -> tuple[list[CmmdImage], tuple[str, ...]]:
    """Read every DICOM file below root.

    Args:
        root: any folder above the images.
        by_pixels: the pixels decide the side; if not, the tags, and no pixels are read.
        workers: processes.

    Returns:
        The images by patient and SOP Instance UID, and what was left out.

    Raises:
        DatasetError: there is no image of CMMD, or one is twice there.
    """
    paths = list(dicom_files(root))
    label = "sides from pixels" if by_pixels else "read headers"
    found = for_each(_with_pixels if by_pixels else _tags_only, paths, label, workers)
    images = sorted(
        (image for image in found if not image.error), key=lambda image: (image.patient, image.sop)
    )
    dropped = tuple(image.error for image in found if image.error)
    if not images:
        first = f"; first: {dropped[0]}" if dropped else ""
        raise DatasetError(f"{root}: no image of CMMD is here{first}; is it the right folder?")
    for image, following in pairwise(images):
        if image.sop and image.sop == following.sop:
            raise DatasetError(f"{image.path} and {following.path} are the same image; keep one of them")
    return images, dropped


def _with_pixels(path: Path) -> CmmdImage:
    return _image(path, by_pixels=True)


def _tags_only(path: Path) -> CmmdImage:
    return _image(path, by_pixels=False)


def _image(path: Path, by_pixels: bool) -> CmmdImage:
    try:
        header = read_source_header(path)
        if not _PATIENT.match(header.patient_id):
            return CmmdImage(path, f"{path}: PatientID '{header.patient_id}' is not one of CMMD")
        leaning = _leaning(path) if by_pixels else None
    except DicomError as error:
        return CmmdImage(path, str(error))
    tag = parse_side(header.laterality_tag or "")
    side = leaning or tag
    if side is None:
        who = "neither pixels nor header say" if by_pixels else "the header does not say"
        return CmmdImage(path, f"{path}: {who} which breast it is")
    view = parse_view(header.view_position or "")
    return CmmdImage(
        path=path,
        patient=header.patient_id,
        study=header.study_instance_uid,
        sop=header.sop_instance_uid,
        side=side.value,
        tag="" if tag is None else tag.value,
        view=View.OTHER if view is None else view.view,
        word="unknown" if view is None else view.word,
        shape=(header.rows, header.columns),
    )


def _leaning(path: Path) -> Laterality | None:
    with open_source(path) as source:
        return leaning_side(source.frame(0))
