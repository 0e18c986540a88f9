"""The images of CMMD on disk: who and which view by header, which breast by pixels.

Folders and file names do not matter. View Position is empty in the release and View Code Sequence says the
view. Laterality tags are wrong on some images, so the side that the breast leans on decides; where the pixels
do not say, the tag does, and also where only the tags put the views of a patient in order: an image is
stored mirrored then.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.views import parse_side, parse_view
from comoto.datasets.reading.walk import dicom_files, for_each
from comoto.dicom.decode import Pixels
from comoto.dicom.tags import one_error, read_tags
from comoto.errors import DatasetError, DicomError
from comoto.records import Laterality, View
from comoto.sources import open_source, read_source_header

_PATIENT = re.compile(r"^D[12]-\d{4}$")
_STRIP_SHARE = 0.05
_CLEARLY = 2.0


@dataclass(frozen=True)
class CmmdImage:
    """One image.

    Attributes:
        path: its file.
        error: why it cannot be used; empty mostly.
        patient, study, sop: identifiers of the header.
        side: ``L`` or ``R``, as decided.
        tag: what the header says; empty if nothing.
        leaning: the side of the image that the breast leans on; empty if neither, or if nobody looked.
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
    leaning: str = ""
    view: View = View.OTHER
    word: str = ""
    shape: tuple[int, int] = (0, 0)


def find_images(root: Path, by_pixels: bool, workers: int | None, ledger: Ledger) -> list[CmmdImage]:
    """Read every DICOM file below root.

    Args:
        root: any folder above the images.
        by_pixels: the pixels decide the side; if not, the tags, and no pixels are read.
        workers: processes.
        ledger: gets what was left out.

    Returns:
        The images by patient and SOP Instance UID.

    Raises:
        DatasetError: there is no image of CMMD, or one is twice there.
    """
    paths = list(dicom_files(root))
    label = "sides from pixels" if by_pixels else "read headers"
    found = for_each(partial(_image, by_pixels=by_pixels), paths, label, workers)
    images = sorted(
        (image for image in found if not image.error), key=lambda image: (image.patient, image.sop)
    )
    dropped = [image.error for image in found if image.error]
    ledger.drop(*dropped)
    if not images:
        first = f"; first: {dropped[0]}" if dropped else ""
        raise DatasetError(f"{root}: no image of CMMD is here{first}; is it the right folder?")
    for image, following in pairwise(images):
        if image.sop and image.sop == following.sop:
            raise DatasetError(f"{image.path} and {following.path} are the same image; keep one of them")
    return _with_one_image_a_view(images)


def _with_one_image_a_view(images: list[CmmdImage]) -> list[CmmdImage]:
    """Take the tags where pixels tear views apart that the tags put in order.

    That is where the pixels give a breast two images of one view and the tags give it one, and where all
    images of a patient have the same tag and the pixels make them two breasts.
    """
    views: dict[tuple[str, str], list[int]] = defaultdict(list)
    patients: dict[str, list[int]] = defaultdict(list)
    for k, image in enumerate(images):
        views[image.patient, image.word].append(k)
        patients[image.patient].append(k)
    repeated = [members for members in views.values() if _is_repeated(images, members)]
    torn = [members for members in patients.values() if _is_torn(images, members)]
    by_tag = {k for members in (*repeated, *torn) for k in members}
    return [replace(image, side=image.tag) if k in by_tag else image for k, image in enumerate(images)]


def _is_repeated(images: list[CmmdImage], members: list[int]) -> bool:
    sides, tags = {images[k].side for k in members}, {images[k].tag for k in members}
    return len(sides) < len(members) == len(tags) and "" not in tags


def _is_torn(images: list[CmmdImage], members: list[int]) -> bool:
    sides, tags = {images[k].side for k in members}, {images[k].tag for k in members}
    return len(sides) > 1 and len(tags) == 1 and "" not in tags


def _image(path: Path, by_pixels: bool) -> CmmdImage:
    try:
        header = read_source_header(path)
        if not _PATIENT.match(header.patient_id):
            return CmmdImage(path, f"{path}: PatientID '{header.patient_id}' is not one of CMMD")
        view_word = header.view_position or _view_meaning(path)
        leaning = _leaning(path) if by_pixels else None
    except DicomError as error:
        return CmmdImage(path, str(error))
    tag = parse_side(header.laterality_tag or "")
    side = leaning or tag
    if side is None:
        who = "neither pixels nor header say" if by_pixels else "the header does not say"
        return CmmdImage(path, f"{path}: {who} which breast it is")
    view = parse_view(view_word)
    return CmmdImage(
        path=path,
        patient=header.patient_id,
        study=header.study_instance_uid,
        sop=header.sop_instance_uid,
        side=side.value,
        tag="" if tag is None else tag.value,
        leaning="" if leaning is None else leaning.value,
        view=View.OTHER if view is None else view.view,
        word="unknown" if view is None else view.word,
        shape=(header.rows, header.columns),
    )


def _view_meaning(path: Path) -> str:
    """Return the meaning of the view's code, such as ``medio-lateral oblique``; empty if there is none."""
    dataset = read_tags(path, ["ViewCodeSequence"])
    with one_error(path):
        for item in dataset.get("ViewCodeSequence") or []:
            return str(item.get("CodeMeaning") or "")
    return ""


def _leaning(path: Path) -> Laterality | None:
    with open_source(path) as source:
        return leaning_side(source.frame(0))


def leaning_side(frame: Pixels) -> Laterality | None:
    """Return the side of the image that the chest wall is on; None where neither side clearly wins.

    The mean grey value above air in the outermost 5 % of the columns must be twice that of the other side.
    Unlike ``comoto.dicom.read.touching_side`` it does not decide a tie, and a burnt-in letter or a bright
    last column does not decide it either.

    Args:
        frame: (rows, columns), air darker than breast; left breasts lean left.
    """
    width = max(1, round(_STRIP_SHARE * frame.shape[1]))
    air = float(np.percentile(frame, 1))
    left = float(frame[:, :width].mean()) - air
    right = float(frame[:, -width:].mean()) - air
    if left > 0 and left >= _CLEARLY * right:
        return Laterality.LEFT
    if right > 0 and right >= _CLEARLY * left:
        return Laterality.RIGHT
    return None
