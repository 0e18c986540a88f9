"""The images of CDD-CESM on disk: what they are stands in their names.

``P12_L_DM_MLO.jpg`` is the low-energy (DM) MLO view of the left breast of patient 12, ``CM`` the subtracted
one; a digit at the end counts repeated views. Some names have a blank before ``.jpg``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comoto.datasets.reading.file_names import require_text
from comoto.datasets.reading.ledger import Ledger
from comoto.datasets.reading.walk import walk_files
from comoto.errors import DatasetError
from comoto.records import ImageRecord, Laterality, Lesion, Modality, Split, View

Energy = Literal["low_energy", "subtracted"]
_NAME = re.compile(r"^(P\d+)_([LR])_(DM|CM)_(CC|MLO)\d*$")
_ENERGIES: dict[str, Energy] = {"DM": "low_energy", "CM": "subtracted"}


@dataclass(frozen=True)
class CesmImage:
    """One image.

    Attributes:
        name: without the ending and surrounding blanks.
        path: of the file.
        patient: such as ``P12``.
        side: ``L`` or ``R``.
        energy: what was exposed: low energy, or the difference that shows the contrast agent.
        view: ``CC`` or ``MLO``.
    """

    name: str
    path: Path
    patient: str
    side: str
    energy: Energy
    view: str

    @property
    def view_key(self) -> str:
        """The name without the patient, such as ``L_DM_MLO``."""
        return self.name.split("_", 1)[1]

    def record(self, label: str, lesions: tuple[Lesion, ...]) -> ImageRecord:
        """Return the image as a manifest has it; there is no official split, so all train."""
        return ImageRecord(
            image_id=self.name,
            modality=Modality.MAMMOGRAM,
            patient_id=self.patient,
            study_id=self.patient,
            view_key=self.view_key,
            laterality=Laterality(self.side),
            view=View(self.view),
            split=Split.TRAIN,
            label=label,
            path=self.path,
            num_slices=1,
            lesions=lesions,
        )


def image_name(text: str) -> str:
    """Return a name as tables and disk agree on it: without folder, ending and surrounding blanks."""
    name = text.replace("\\", "/").rsplit("/", 1)[-1].strip()
    return re.sub(r"\s*\.jpe?g$", "", name, flags=re.IGNORECASE)


def energy_of(name: str) -> Energy | None:
    """Return what an image shows by its name; None for a name that is none of the release."""
    match = _NAME.match(name)
    return None if match is None else _ENERGIES[match[3]]


def find_images(root: Path, ledger: Ledger) -> dict[str, CesmImage]:
    """Return the images below a folder, whatever the folders are called, by name.

    Raises:
        DatasetError: there is none, an image is there twice, or a path cannot be written into a manifest.
    """
    found: dict[str, CesmImage] = {}
    for path in walk_files(root, ".jpg", ".jpeg"):
        name = image_name(path.name)
        match = _NAME.match(name)
        if match is None:
            ledger.drop_of("not named as the release names images", path.name)
            continue
        require_text([str(path)])
        patient, side, kind, view = match.groups()
        other = found.setdefault(name, CesmImage(name, path, patient, side, _ENERGIES[kind], view))
        if other.path != path:
            raise DatasetError(
                f"{other.path} and {path} are the same image {name}; keep one of them below ROOT (masks are "
                "called like their images: put them elsewhere)"
            )
    if not found:
        raise DatasetError(
            f"{root}: no image P<patient>_<L|R>_<DM|CM>_<CC|MLO>.jpg here; give the folder of 'Low energy "
            "images of CDD-CESM' and 'Subtracted images of CDD-CESM'"
        )
    return found
