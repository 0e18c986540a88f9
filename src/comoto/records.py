"""The records that travel between the floors: images, lesions and manifests.

Coordinates (docs/coordinates.md): ``x`` is the column and ``y`` the row of a pixel, boxes are half-open
``(x1, y1, x2, y2)`` in pixels of the *source* image in its corrected orientation, ``slice_index`` counts
from 0. Nothing here holds pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.arguments import AnyPath, as_path
from comoto.errors import DatasetError
from comoto.manifest_files import AGAIN, read_manifest_files, refuse_manifest_folder, write_manifest_files
from comoto.output_files import atomic_folder

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_SAYS_LESION = re.compile(
    r"benign|malignant|cancer|interval cancer|lesion|signal present|bi-rads [456][abc]?", re.IGNORECASE
)
"""Labels of the data sets that the package reads, as whole words."""

PREDICTION_COLUMNS = ("PatientID", "StudyUID", "View", "X", "Width", "Y", "Height", "Z", "Depth", "Score")
"""Columns of the DBTex challenge's submission file, in its order."""


class Laterality(StrEnum):
    """Side of the patient's body."""

    LEFT = "L"
    RIGHT = "R"


class View(StrEnum):
    """Mammographic projection."""

    CC = "CC"
    MLO = "MLO"
    OTHER = "other"
    """Any other projection (ML, LM, XCCL, ...); the data set's own word stays in ``view_key``."""


class Modality(StrEnum):
    """What one image is: a projection, or a reconstructed stack of slices."""

    MAMMOGRAM = "mammogram"
    TOMOSYNTHESIS = "tomosynthesis"


class Split(StrEnum):
    """Role of a patient."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Lesion:
    """One annotated finding.

    Attributes:
        box_xyxy: (x1, y1, x2, y2) in source pixels of the corrected orientation, half-open.
        slice_index: the annotated slice, 0-based; None on a mammogram.
        category: the data set's own word, such as ``benign``, ``cancer`` or ``Mass``.
    """

    box_xyxy: tuple[float, float, float, float]
    slice_index: int | None
    category: str


@dataclass(frozen=True)
class ImageRecord:
    """One mammogram or one tomosynthesis volume, with its lesions and without its pixels.

    Attributes:
        image_id: unique within a manifest.
        study_id, view_key: the data set's own keys (``DBT-S00163``, ``rmlo1``), kept for output tables.
        laterality, view: parsed meaning of ``view_key``.
        path: what ``comoto.sources.open_source`` opens: a file, or a folder of one file per slice.
        num_slices: slices of a volume, 1 for a mammogram, None if the table does not say.
        label: the data set's own word for the whole image (``normal``, ``cancer``, ``BI-RADS 4``).
    """

    image_id: str
    modality: Modality
    patient_id: str
    study_id: str
    view_key: str
    laterality: Laterality
    view: View
    split: Split
    label: str
    path: Path
    num_slices: int | None
    lesions: tuple[Lesion, ...]

    @property
    def lacks_boxes(self) -> bool:
        """Whether the label says that there is a lesion although no box shows where.

        Such an image is an example of nothing. Unknown labels and ``actionable`` are taken for no lesion.
        """
        return not self.lesions and _SAYS_LESION.fullmatch(self.label.strip()) is not None


IMAGE_COLUMNS = {
    "image_id": "string",
    "modality": "string",
    "patient_id": "string",
    "study_id": "string",
    "view_key": "string",
    "laterality": "string",
    "view": "string",
    "split": "string",
    "label": "string",
    "path": "string",
    "num_slices": "Int64",
}
LESION_COLUMNS = {
    "image_id": "string",
    "x1": "float64",
    "y1": "float64",
    "x2": "float64",
    "y2": "float64",
    "slice_index": "Int64",
    "category": "string",
}


@dataclass(frozen=True)
class Manifest:
    """Validated tables of a data set: one row an image, one row a lesion.

    Attributes:
        name: the data set, such as ``bcs-dbt``.
        images: columns of ``IMAGE_COLUMNS``; ``path`` is absolute.
        lesions: columns of ``LESION_COLUMNS``; ``image_id`` points into ``images``.
        notes: what the reader clipped or found odd; printed with the summary.
        dropped: what the data set holds and the manifest does not, with the reason, a line each; an error
            under ``comoto index --strict``.

    Raises:
        DatasetError: a column is missing, an ``image_id`` repeats or is unknown, a word is not in its
            enumeration, or a patient stands in two splits.

    Examples:
        >>> manifest = Manifest.load("manifests/bcs-dbt")
        >>> manifest
        Manifest(bcs-dbt: 6 tomosynthesis images of 6 patients, 6 lesions; train 3, validation 1, test 2)
        >>> manifest.images.groupby("split")["patient_id"].nunique().to_dict()
        {'test': 2, 'train': 3, 'validation': 1}
    """

    name: str
    images: pd.DataFrame
    lesions: pd.DataFrame
    notes: tuple[str, ...] = field(default=())
    dropped: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", _typed(self.images, IMAGE_COLUMNS, f"{self.name} images"))
        object.__setattr__(self, "lesions", _typed(self.lesions, LESION_COLUMNS, f"{self.name} lesions"))
        _check_images(self.name, self.images)
        _check_lesions(self.name, self.images, self.lesions)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        parts = self.images["split"].value_counts(sort=False)
        kinds = "".join(f"{kind} " for kind in sorted(set(self.images["modality"])))
        return (
            f"Manifest({self.name}: {len(self)} {kinds}images of {self.images['patient_id'].nunique()} "
            f"patients, {len(self.lesions)} lesions; "
            f"{', '.join(f'{name} {number}' for name, number in parts.items()) or 'empty'})"
        )

    @staticmethod
    def from_records(
        name: str, records: Iterable[ImageRecord], notes: Iterable[str] = (), dropped: Iterable[str] = ()
    ) -> Manifest:
        """Return the manifest of images that come one by one, the reverse of ``records``.

        Raises:
            DatasetError: as for ``Manifest``.

        Examples:
            >>> volume = ImageRecord(
            ...     image_id="a",
            ...     modality=Modality.TOMOSYNTHESIS,
            ...     patient_id="P1",
            ...     study_id="2024-03-11",
            ...     view_key="lcc",
            ...     laterality=Laterality.LEFT,
            ...     view=View.CC,
            ...     split=Split.TEST,
            ...     label="cancer",
            ...     path=Path("/hospital/a.dcm"),
            ...     num_slices=60,
            ...     lesions=(Lesion((100, 200, 140, 250), 31, "mass"),),
            ... )
            >>> Manifest.from_records("hospital", [volume])
            Manifest(hospital: 1 tomosynthesis images of 1 patients, 1 lesions; test 1)
        """
        images, lesions = [], []
        for record in records:
            row = {column: getattr(record, column) for column in IMAGE_COLUMNS}
            images.append({**row, "path": str(record.path)})
            lesions += [
                (record.image_id, *lesion.box_xyxy, lesion.slice_index, lesion.category)
                for lesion in record.lesions
            ]
        return Manifest(
            name,
            pd.DataFrame(images, columns=list(IMAGE_COLUMNS)),
            pd.DataFrame(lesions, columns=list(LESION_COLUMNS)),
            tuple(notes),
            tuple(dropped),
        )

    def records(self) -> Iterator[ImageRecord]:
        """Yield one record per image, in table order.

        Examples:
            >>> first = next(Manifest.load("manifests/bcs-dbt").records())
            >>> first.patient_id, first.view.value, first.lesions[0].category
            ('DBT-P00001', 'CC', 'benign')
        """
        by_image = {
            str(key): tuple(_lesions(rows)) for key, rows in self.lesions.groupby("image_id", sort=False)
        }
        for row in self.images.to_dict("records"):
            yield ImageRecord(
                image_id=row["image_id"],
                modality=Modality(row["modality"]),
                patient_id=row["patient_id"],
                study_id=row["study_id"],
                view_key=row["view_key"],
                laterality=Laterality(row["laterality"]),
                view=View(row["view"]),
                split=Split(row["split"]),
                label=row["label"],
                path=Path(row["path"]),
                num_slices=None if pd.isna(row["num_slices"]) else int(row["num_slices"]),
                lesions=by_image.get(row["image_id"], ()),
            )

    def select(self, keep: pd.Series[bool]) -> Manifest:
        """Return the manifest of the images where ``keep`` (aligned with ``images``) is true.

        Examples:
            >>> manifest = Manifest.load("manifests/bcs-dbt")
            >>> manifest.select(manifest.images["laterality"] == "L")
            Manifest(bcs-dbt: 2 tomosynthesis images of 2 patients, 2 lesions; train 1, test 1)
        """
        images = self.images[keep].reset_index(drop=True)
        lesions = self.lesions[self.lesions["image_id"].isin(images["image_id"])].reset_index(drop=True)
        return Manifest(self.name, images, lesions, self.notes, self.dropped)

    def split(self, split: Split | str) -> Manifest:
        """Return the images of one split: ``train``, ``validation`` or ``test``.

        Raises:
            ValueError: there is no split of that name.

        Examples:
            >>> Manifest.load("manifests/bcs-dbt").split("test")
            Manifest(bcs-dbt: 2 tomosynthesis images of 2 patients, 2 lesions; test 2)
        """
        return self.select(self.images["split"] == Split(split).value)

    def summary(self) -> str:
        """Return a readable table of what is inside.

        Examples:
            >>> print(Manifest.load("manifests/bcs-dbt").split(Split.TEST).summary().splitlines()[0])
            bcs-dbt: 2 images, 2 lesions
        """
        with_lesion = self.images["image_id"].isin(self.lesions["image_id"])
        lines = [
            f"{self.name}: {len(self.images)} images, {len(self.lesions)} lesions",
            f"{'split':<12}{'patients':>9}{'studies':>9}{'images':>9}{'with lesion':>13}{'lesions':>9}",
        ]
        for split in Split:
            rows = self.images["split"] == split.value
            if rows.any():
                images = self.images[rows]
                count = int(self.lesions["image_id"].isin(images["image_id"]).sum())
                lines.append(
                    f"{split.value:<12}{images['patient_id'].nunique():>9}{images['study_id'].nunique():>9}"
                    f"{len(images):>9}{int((rows & with_lesion).sum()):>13}{count:>9}"
                )
        for column in ("view_key", "label"):
            counts = self.images[column].value_counts()
            lines.append(f"{column}: " + ", ".join(f"{word} {number}" for word, number in counts.items()))
        lines.extend(f"note: {note}" for note in self.notes)
        lines.extend(f"dropped: {line}" for line in self.dropped)
        return "\n".join(lines)

    def save(self, folder: AnyPath) -> None:
        """Write ``MANIFEST_FILES``, ``manifest.json``, which vouches for itself and both tables, as the last.

        Raises:
            TypeError: ``folder`` is no path.

        Examples:
            >>> Manifest.load("manifests/bcs-dbt").save("manifests/copy")
        """
        about = {"name": self.name, "notes": list(self.notes), "dropped": list(self.dropped)}
        tables = {"images": self.images, "lesions": self.lesions}
        write_manifest_files(as_path("folder", folder), tables, about, self.summary())

    @staticmethod
    def load(folder: AnyPath) -> Manifest:
        """Read what ``save`` wrote, also in the former format, which has no checksums.

        Raises:
            DatasetError: the folder holds no manifest, or one of its files is damaged.
            TypeError: ``folder`` is no path.

        Examples:
            >>> len(Manifest.load("manifests/bcs-dbt"))
            6
        """
        folder = as_path("folder", folder)
        content, images, lesions = read_manifest_files(folder)
        try:
            name, notes, dropped = content["name"], content["notes"], content.get("dropped", ())
            return Manifest(str(name), images, lesions, tuple(notes), tuple(dropped))
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{folder}: the manifest is damaged ({error!r}); {AGAIN}") from error


def save_manifest(manifest: Manifest, folder: Path, overwrite: bool = False) -> None:
    """Write a manifest into a new folder, which appears when it is complete.

    Args:
        manifest: what to write.
        folder: new or empty.
        overwrite: replace an earlier manifest in ``folder``.

    Raises:
        OutputExistsError: see ``refuse_manifest_folder``.
    """
    refuse_manifest_folder(folder, overwrite)
    with atomic_folder(folder, overwrite) as part:
        manifest.save(part)


def _typed(table: pd.DataFrame, columns: dict[str, str], what: str) -> pd.DataFrame:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DatasetError(f"{what}: columns are missing: {', '.join(missing)}")
    return table[list(columns)].astype(columns).reset_index(drop=True)


def _check_images(name: str, images: pd.DataFrame) -> None:
    repeated = images["image_id"][images["image_id"].duplicated()]
    if len(repeated):
        raise DatasetError(f"{name}: image_id is not unique: {', '.join(repeated.unique()[:5])}")
    enumerations = {"modality": Modality, "laterality": Laterality, "view": View, "split": Split}
    for column, words in enumerations.items():
        bad = sorted(set(images[column].dropna()) - {word.value for word in words})
        bad += ["(empty)"] if images[column].isna().any() else []
        if bad:
            raise DatasetError(f"{name}: unknown {column}: {', '.join(bad[:5])}")
    splits = images.groupby("patient_id")["split"].nunique()
    leaked = splits[splits > 1].index
    if len(leaked):
        raise DatasetError(f"{name}: patients stand in more than one split: {', '.join(leaked[:5])}")


def _check_lesions(name: str, images: pd.DataFrame, lesions: pd.DataFrame) -> None:
    unknown = set(lesions["image_id"]) - set(images["image_id"])
    if unknown:
        raise DatasetError(f"{name}: lesions of unknown images: {', '.join(sorted(unknown)[:5])}")
    empty = lesions[(lesions["x2"] <= lesions["x1"]) | (lesions["y2"] <= lesions["y1"])]
    if len(empty):
        raise DatasetError(f"{name}: empty boxes on {', '.join(empty['image_id'].unique()[:5])}")


def _lesions(rows: pd.DataFrame) -> Iterator[Lesion]:
    for row in rows.to_dict("records"):
        yield Lesion(
            box_xyxy=(float(row["x1"]), float(row["y1"]), float(row["x2"]), float(row["y2"])),
            slice_index=None if pd.isna(row["slice_index"]) else int(row["slice_index"]),
            category=str(row["category"]),
        )
