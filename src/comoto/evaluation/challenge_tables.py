"""The three tables of the DBTex challenge as arrays: labels, boxes and predictions.

V volumes, L lesions, N predictions. A volume is named by (StudyUID, View), compared letter by letter;
PatientID decides nothing but the bootstrap. Centres are (x, y, z): pixels of the corrected orientation, and
slices counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
import pandas as pd

from comoto.defaults import HIT_RADIUS
from comoto.errors import DatasetError
from comoto.evaluation.challenge_checks import VolumeKey as VolumeKey
from comoto.evaluation.challenge_checks import (
    check_boxes,
    check_predictions,
    check_some_volume_is_known,
    first_of_each_row,
    number_volumes,
    prediction_warnings,
)
from comoto.evaluation.depth import DepthAccount, depth_account
from comoto.evaluation.matching import hits_by_challenge_rule
from comoto.records import IntArray, Manifest, Modality
from comoto.tables import BoolArray, Float64Array, Table, TableSource, read_table

_PLACE = ("X", "Width", "Y", "Height", "Z", "Depth")
SLICE_SHARE = 0.25
"""Share of the volume's slices that a centre may lie away from the annotated slice."""
_LARGE_SHARE = 0.25
"""Of the furthest row or column of a box, which is at most the image's longer side."""


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
        lesion_size: (L, 2) width and height of the box.
        lesion_line: (L,) line (row of a DataFrame) of the box; identical boxes are here once.
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
    lesion_size: Float64Array = field(default_factory=lambda: np.empty((0, 2)))
    lesion_line: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def places(self) -> tuple[IntArray, Float64Array, Float64Array, Float64Array]:
        """Volume (L,), centre (L, 3) and radius (L,) of each lesion, and the slices (L,) of its volume."""
        return self.lesion_volume, self.lesion_center, self.radius, self.slice_tolerance / SLICE_SHARE

    @property
    def volume_slices(self) -> Float64Array:
        """(V,) slices of each volume, NaN where no box says it."""
        slices = np.full(len(self.volumes), np.nan)
        slices[self.lesion_volume] = self.slice_tolerance / SLICE_SHARE
        return slices

    @property
    def lesion_number(self) -> IntArray:
        """(L,) number of each lesion on its volume, from 1 in the order of the boxes."""
        order = np.argsort(self.lesion_volume, kind="stable")
        counts = np.bincount(self.lesion_volume, minlength=len(self.volumes))
        before = np.repeat(np.cumsum(counts) - counts, counts)
        numbers = np.empty(len(order), dtype=np.int64)
        numbers[order] = np.arange(len(order)) - before + 1
        return numbers

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
        depth: what they say about depth; nothing for predictions that were not read from a table.
        places: (N, 6) X, Width, Y, Height, Z and Depth as they stand in the table; likewise.
    """

    volume: IntArray
    patient: IntArray
    scores: Float64Array
    hit_lesion: IntArray
    warnings: tuple[str, ...]
    depth: DepthAccount = field(default_factory=DepthAccount.nothing)
    places: Float64Array = field(default_factory=lambda: np.empty((0, 6)))

    def on_positive(self, truth: ChallengeTruth) -> BoolArray:
        """(N,) whether a prediction lies on a volume with a box."""
        return (self.volume >= 0) & truth.is_positive[self.volume]


def read_truth(labels: TableSource, boxes: TableSource, min_radius: float = HIT_RADIUS) -> ChallengeTruth:
    """Read the labels and the boxes of one split.

    Args:
        labels: one row a volume.
        boxes: one row a lesion.
        min_radius: least hit radius in source pixels; the challenge's is 100.

    Raises:
        ValueError: ``min_radius`` is not positive.
        DatasetError: a table is unreadable or empty, a volume stands twice in the labels, a box lies on a
            volume that the labels do not name, on a slice that it does not have, or has no size or slices.
    """
    if not min_radius > 0:
        raise ValueError(f"min_radius must be positive, got {min_radius}")
    label_table = read_table(labels, "labels", ("PatientID", "StudyUID", "View"), ())
    box_table = read_table(
        boxes, "boxes", ("StudyUID", "View"), ("Slice", "X", "Y", "Width", "Height", "VolumeSlices")
    )
    volumes = number_volumes(label_table)
    patients = {name: number for number, name in enumerate(dict.fromkeys(label_table.texts["PatientID"]))}
    of_box = _numbers_of(box_table, volumes)
    check_boxes(box_table, of_box, label_table.name)
    kept, repeated = first_of_each_row(box_table, "box of the same volume", "each lesion is counted once")
    slices = box_table.numbers["VolumeSlices"]
    _, first_row, place = np.unique(of_box, return_index=True, return_inverse=True)
    slices_of_volume = slices[first_row][place]
    number = {name: values[kept] for name, values in box_table.numbers.items()}
    return ChallengeTruth(
        volumes=volumes,
        patients=patients,
        volume_patient=np.array([patients[name] for name in label_table.texts["PatientID"]], dtype=np.int64),
        lesion_volume=of_box[kept],
        lesion_center=np.column_stack(
            [number["X"] + number["Width"] / 2, number["Y"] + number["Height"] / 2, number["Slice"]]
        ),
        radius=np.maximum(np.sqrt(number["Width"] ** 2 + number["Height"] ** 2) / 2, min_radius),
        slice_tolerance=slices_of_volume[kept] * SLICE_SHARE,
        warnings=(
            *label_table.notes,
            *box_table.notes,
            *repeated,
            *_radius_warning(box_table, min_radius),
            *_slices_warning(box_table, slices != slices_of_volume),
        ),
        lesion_size=np.column_stack([number["Width"], number["Height"]]),
        lesion_line=box_table.lines[kept],
    )


def read_predictions(predictions: TableSource, truth: ChallengeTruth) -> ChallengePredictions:
    """Read the predictions and match them to the lesions of ``truth``.

    Raises:
        DatasetError: the table is unreadable, a row cannot be (see ``check_predictions``), or no row names a
            volume of ``truth``.
    """
    table = read_table(predictions, "predictions", ("StudyUID", "View"), (*_PLACE, "Score"))
    number = table.numbers
    volume = _numbers_of(table, truth.volumes)
    check_some_volume_is_known(table, volume, truth.volumes)
    check_predictions(table)
    places = np.column_stack([number[name] for name in _PLACE])
    center = centers_of(places)
    hit_lesion = _hits(volume, center, truth)
    return ChallengePredictions(
        volume=volume,
        patient=_patients(table, volume, truth),
        scores=number["Score"],
        hit_lesion=hit_lesion,
        warnings=(*table.notes, *prediction_warnings(table, volume, truth.volumes, truth.volume_slices)),
        depth=depth_account(volume, center, number["Depth"], number["Score"], hit_lesion, truth.places),
        places=places,
    )


def moved(
    found: ChallengePredictions, kept: BoolArray, places: Float64Array, truth: ChallengeTruth
) -> ChallengePredictions:
    """Return some of the predictions at other places of their volumes, matched again, without ``depth``.

    Args:
        found: N predictions.
        kept: (N,) which ones, K of them.
        places: (K, 6), as in ``ChallengePredictions``.
        truth: what they are matched to.
    """
    volume = found.volume[kept]
    hits = _hits(volume, centers_of(places), truth)
    return ChallengePredictions(volume, found.patient[kept], found.scores[kept], hits, (), places=places)


def centers_of(places: Float64Array) -> Float64Array:
    """Return the centres (N, 3) of boxes that start at X, Y, Z and are so large: (N, 6)."""
    return np.asarray(places[:, [0, 2, 4]] + places[:, [1, 3, 5]] / 2)


def _hits(volume: IntArray, center: Float64Array, truth: ChallengeTruth) -> IntArray:
    return hits_by_challenge_rule(
        detection_image=volume,
        detection_center=center,
        lesion_image=truth.lesion_volume,
        lesion_center=truth.lesion_center,
        radius=truth.radius,
        slice_tolerance=truth.slice_tolerance,
    )


def challenge_tables(manifest: Manifest) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labels and the boxes of a manifest's volumes, as ``evaluate`` takes them; no mammograms.

    Raises:
        DatasetError: a volume with lesions has no number of slices, or a lesion no slice.

    Examples:
        >>> from comoto.records import Manifest, Split
        >>> labels, boxes = challenge_tables(Manifest.load("manifests/bcs-dbt").split(Split.TEST))
        >>> boxes[["View", "X", "Y", "Width", "Height", "Slice"]]
          View     X     Y  Width  Height  Slice
        0  rcc  15.0  20.0    9.0     8.0      2
        1  lcc   6.0  30.0    7.0     6.0      1
    """
    images = manifest.images
    images = images[images["modality"] == Modality.TOMOSYNTHESIS.value]
    lesions = manifest.lesions.merge(images, on="image_id", how="inner", sort=False)
    vague = lesions["num_slices"].isna() | lesions["slice_index"].isna()
    if vague.any():
        ids = ", ".join(lesions.loc[vague, "image_id"].unique()[:5])
        raise DatasetError(
            f"{manifest.name}: no slice or number of slices for the lesions of {ids}; complete the tables of "
            "the data set and index it again"
        )
    names = {"patient_id": "PatientID", "study_id": "StudyUID", "view_key": "View"}
    boxes = lesions[list(names)].rename(columns=names)
    boxes["Slice"] = lesions["slice_index"]
    boxes["X"], boxes["Y"] = lesions["x1"], lesions["y1"]
    boxes["Width"], boxes["Height"] = lesions["x2"] - lesions["x1"], lesions["y2"] - lesions["y1"]
    boxes["Class"] = lesions["category"]
    boxes["VolumeSlices"] = lesions["num_slices"]
    labels = images[list(names)].rename(columns=names).reset_index(drop=True)
    labels.attrs["name"], boxes.attrs["name"] = f"volumes of {manifest.name}", f"lesions of {manifest.name}"
    return labels, boxes


def _radius_warning(table: Table, min_radius: float) -> tuple[str, ...]:
    """Say that the radius is large beside everything that is known of the images: where their boxes end."""
    number = table.numbers
    right, bottom = (number["X"] + number["Width"]).max(), (number["Y"] + number["Height"]).max()
    if min_radius <= _LARGE_SHARE * max(right, bottom):
        return ()
    return (
        f"{table.name}: the least hit radius is {min_radius:g} pixels, no box lies beyond column {right:g} "
        f"and row {bottom:g}: on images of that size a box nearly anywhere is a hit; choose --min-radius for "
        "your pixels (the challenge's 100 are 8.5 mm)",
    )


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
