"""The three tables of the DBTex challenge as arrays: labels, boxes and predictions.

V volumes, L lesions, N predictions. A volume is named by (StudyUID, View), compared exactly as written;
PatientID decides nothing but the bootstrap. Centres are (x, y, z): pixels of the corrected orientation, and
slices counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import numpy as np
import pandas as pd

from comoto.errors import DatasetError
from comoto.evaluation.matching import CENTER_RADIUS, hits_by_challenge_rule
from comoto.evaluation.tables import BoolArray, Float64Array, Table, TableSource, read_table
from comoto.records import IntArray, Manifest

VolumeKey = tuple[str, str]

SLICE_SHARE = 0.25
"""Share of the volume's slices that a centre may lie away from the annotated slice."""
_SAME_SPLIT = "pass the label file and the box file of the same split"


@dataclass(frozen=True)
class ChallengeTruth:
    """What the labels and the boxes say.

    Attributes:
        volumes: number of each volume by its key, in the order of the labels.
        patients: number of each patient by its PatientID.
        volume_patient: (V,) number of the patient.
        lesion_volume: (L,) number of the volume, in the order of the boxes.
        lesion_center: (L, 3).
        radius: (L,) half of the box's diagonal in pixels, at least ``min_radius``.
        slice_tolerance: (L,) a quarter of VolumeSlices of the first box of the volume.
        warnings: what is odd about the tables.
    """

    volumes: dict[VolumeKey, int]
    patients: dict[str, int]
    volume_patient: IntArray
    lesion_volume: IntArray
    lesion_center: Float64Array
    radius: Float64Array
    slice_tolerance: Float64Array
    warnings: tuple[str, ...]

    @property
    def is_positive(self) -> BoolArray:
        """(V,) whether a volume has a box."""
        positive = np.zeros(len(self.volumes), dtype=bool)
        positive[self.lesion_volume] = True
        return positive


@dataclass(frozen=True)
class ChallengePredictions:
    """Predictions and what they hit.

    Attributes:
        volume: (N,) number of the volume, -1 if the labels do not name it.
        patient: (N,) number of the patient whose study it is, the number of patients if none.
        scores: (N,), NaN where the cell is empty.
        hit_lesion: (N,) number of the lesion, -1 for none.
        warnings: what is odd about the table.
    """

    volume: IntArray
    patient: IntArray
    scores: Float64Array
    hit_lesion: IntArray
    warnings: tuple[str, ...]


def read_truth(labels: TableSource, boxes: TableSource, min_radius: float = CENTER_RADIUS) -> ChallengeTruth:
    """Read the labels and the boxes of one split.

    Args:
        labels: one row a volume.
        boxes: one row a lesion.
        min_radius: least hit radius in source pixels; the challenge's is 100.

    Raises:
        ValueError: ``min_radius`` is not positive.
        DatasetError: a table is unreadable or empty, a volume stands twice in the labels, a box lies on a
            volume that the labels do not name, or a box has no size, slice or number of slices.
    """
    if not min_radius > 0:
        raise ValueError(f"min_radius must be positive, got {min_radius}")
    label_table = read_table(labels, "labels", ("PatientID", "StudyUID", "View"), ())
    box_table = read_table(
        boxes, "boxes", ("StudyUID", "View"), ("Slice", "X", "Y", "Width", "Height", "VolumeSlices")
    )
    volumes = _number_volumes(label_table)
    patients = {name: number for number, name in enumerate(dict.fromkeys(label_table.texts["PatientID"]))}
    lesion_volume = _check_boxes(box_table, volumes, label_table.name)
    number = box_table.numbers
    slices = number["VolumeSlices"]
    _, first_row, place = np.unique(lesion_volume, return_index=True, return_inverse=True)
    slices_of_volume = slices[first_row][place]
    return ChallengeTruth(
        volumes=volumes,
        patients=patients,
        volume_patient=np.array([patients[name] for name in label_table.texts["PatientID"]], dtype=np.int64),
        lesion_volume=lesion_volume,
        lesion_center=np.column_stack(
            [number["X"] + number["Width"] / 2, number["Y"] + number["Height"] / 2, number["Slice"]]
        ),
        radius=np.maximum(np.sqrt(number["Width"] ** 2 + number["Height"] ** 2) / 2, min_radius),
        slice_tolerance=slices_of_volume * SLICE_SHARE,
        warnings=(
            *label_table.notes,
            *box_table.notes,
            *_slices_warning(box_table, slices != slices_of_volume),
        ),
    )


def read_predictions(predictions: TableSource, truth: ChallengeTruth) -> ChallengePredictions:
    """Read the predictions and match them to the lesions of ``truth``.

    Raises:
        DatasetError: the table is unreadable, a coordinate is empty, or a number is infinite.
    """
    table = read_table(
        predictions, "predictions", ("StudyUID", "View"), ("X", "Width", "Y", "Height", "Z", "Depth", "Score")
    )
    number = table.numbers
    for column in ("X", "Width", "Y", "Height", "Z", "Depth"):
        table.require(np.isfinite(number[column]), f"{column} is empty or infinite", "give every box a place")
    table.require(~np.isinf(number["Score"]), "Score is infinite", "write finite scores")
    volume = _numbers_of(table, truth.volumes)
    hit_lesion = hits_by_challenge_rule(
        detection_image=volume,
        detection_center=np.column_stack(
            [
                number["X"] + number["Width"] / 2,
                number["Y"] + number["Height"] / 2,
                number["Z"] + number["Depth"] / 2,
            ]
        ),
        lesion_image=truth.lesion_volume,
        lesion_center=truth.lesion_center,
        radius=truth.radius,
        slice_tolerance=truth.slice_tolerance,
    )
    return ChallengePredictions(
        volume=volume,
        patient=_patients(table, volume, truth),
        scores=number["Score"],
        hit_lesion=hit_lesion,
        warnings=(*table.notes, *_prediction_warnings(table, volume, truth)),
    )


def challenge_tables(manifest: Manifest) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labels and the boxes of a manifest's volumes, as ``evaluate`` takes them.

    Raises:
        DatasetError: a volume with lesions has no number of slices, or a lesion no slice.
    """
    images = manifest.images
    lesions = manifest.lesions.merge(images, on="image_id", how="left", sort=False)
    vague = lesions["num_slices"].isna() | lesions["slice_index"].isna()
    if vague.any():
        ids = ", ".join(lesions.loc[vague, "image_id"].unique()[:5])
        raise DatasetError(f"{manifest.name}: no slice or number of slices for the lesions of {ids}")
    names = {"patient_id": "PatientID", "study_id": "StudyUID", "view_key": "View"}
    boxes = lesions[list(names)].rename(columns=names)
    boxes["Slice"] = lesions["slice_index"]
    boxes["X"], boxes["Y"] = lesions["x1"], lesions["y1"]
    boxes["Width"], boxes["Height"] = lesions["x2"] - lesions["x1"], lesions["y2"] - lesions["y1"]
    boxes["Class"] = lesions["category"]
    boxes["VolumeSlices"] = lesions["num_slices"]
    return images[list(names)].rename(columns=names), boxes


def _number_volumes(table: Table) -> dict[VolumeKey, int]:
    keys = list(zip(table.texts["StudyUID"], table.texts["View"], strict=True))
    if not keys:
        raise DatasetError(f"{table.name}: names no volume; the rate of false positives needs at least one")
    volumes: dict[VolumeKey, int] = {}
    for number, key in enumerate(keys):
        volumes.setdefault(key, number)
    first = np.array([volumes[key] == number for number, key in enumerate(keys)])
    table.require(
        first, "a volume (StudyUID, View) stands twice", "it would be counted twice; leave one row of each"
    )
    return volumes


def _check_boxes(table: Table, volumes: dict[VolumeKey, int], labels_name: str) -> IntArray:
    """Return the volume of each box (L,)."""
    if not len(table):
        raise DatasetError(f"{table.name}: holds no box; a sensitivity needs at least one lesion")
    number = table.numbers
    for column in ("X", "Y", "Slice"):
        table.require(np.isfinite(number[column]), f"{column} is empty or infinite", "complete the rows")
    for column in ("Width", "Height", "VolumeSlices"):
        good = np.isfinite(number[column]) & (number[column] > 0)
        table.require(good, f"{column} is empty, infinite or not above 0", "correct the rows")
    lesion_volume = _numbers_of(table, volumes)
    table.require(lesion_volume >= 0, f"boxes on volumes that {labels_name} does not name", _SAME_SPLIT)
    return lesion_volume


def _slices_warning(table: Table, differs: BoolArray) -> tuple[str, ...]:
    if not differs.any():
        return ()
    return (
        f"{table.name}: VolumeSlices differs between the boxes of one volume ({table.where(differs)}); "
        "the first box of the volume decides, as in the challenge",
    )


def _patients(table: Table, volume: IntArray, truth: ChallengeTruth) -> IntArray:
    """Return the patient of each prediction (N,): by its volume, else by its study."""
    patient = truth.volume_patient[volume]
    unknown = np.flatnonzero(volume < 0)
    if len(unknown):
        of_study = {study: truth.volume_patient[number] for (study, _), number in truth.volumes.items()}
        nobody = len(truth.patients)
        patient[unknown] = [of_study.get(table.texts["StudyUID"][row], nobody) for row in unknown]
    return patient


def _numbers_of(table: Table, volumes: dict[VolumeKey, int]) -> IntArray:
    """Return the number of each row's volume (N,), -1 where it has none."""
    keys = zip(table.texts["StudyUID"], table.texts["View"], strict=True)
    return np.fromiter(map(volumes.get, keys, repeat(-1)), dtype=np.int64, count=len(table))


def _prediction_warnings(table: Table, volume: IntArray, truth: ChallengeTruth) -> tuple[str, ...]:
    warnings = []
    unscored = np.isnan(table.numbers["Score"])
    if not len(table):
        warnings.append(f"{table.name}: holds no prediction; every figure is 0")
    if unscored.any():
        warnings.append(
            f"{table.name}: {unscored.sum()} of {len(table)} predictions have no score "
            f"({table.where(unscored)}); they never count"
        )
    unknown = volume < 0
    if unknown.any():
        studies, views = table.texts["StudyUID"], table.texts["View"]
        strangers = list(dict.fromkeys((studies[row], views[row]) for row in np.flatnonzero(unknown)))
        effect = (
            "none of the predictions can hit a lesion and every figure is 0"
            if unknown.all()
            else "they are false positives in the figure over all volumes and left out of the other one"
        )
        warnings.append(
            f"{table.name}: {unknown.sum()} of {len(table)} predictions name {len(strangers)} volumes that "
            f"the labels do not have, such as {strangers[0][0]} {strangers[0][1]!r}; {effect}"
            + _spelling_hint(strangers, truth)
        )
    return tuple(warnings)


def _spelling_hint(strangers: list[VolumeKey], truth: ChallengeTruth) -> str:
    known = {(study.strip().lower(), view.strip().lower()): view for study, view in truth.volumes}
    for study, view in strangers:
        meant = known.get((study.strip().lower(), view.strip().lower()))
        if meant is not None:
            return (
                f"; names are compared exactly: write {meant!r}, not {view!r}, and copy StudyUID as it stands"
            )
    return ""
