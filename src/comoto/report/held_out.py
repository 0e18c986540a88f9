"""The test volumes of a demo: annotations, and what each student said, matched by the challenge's rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.errors import DatasetError
from comoto.evaluation.bootstrap import Bootstrap
from comoto.evaluation.challenge import ChallengeResult, evaluate
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    VolumeKey,
    read_predictions,
    read_truth,
)
from comoto.evaluation.paired import PairedDifference, paired_difference
from comoto.records import ImageRecord
from comoto.report.demo_folder import STUDENTS, TOMOSYNTHESIS, DemoFolder
from comoto.report.pictures import Box

OPERATING_FIGURE = "sensitivity_at_2_fps_all"
"""The figure whose threshold decides what counts as reported: 2 false positives per volume, all volumes."""
_KEYS = {"StudyUID": str, "View": str}


@dataclass(frozen=True)
class HeldOutLesion:
    """One row of the boxes; its number is the lesion number of ``ChallengePredictions.hit_lesion``."""

    number: int
    record: ImageRecord
    box_xyxy: Box
    slice_index: int
    category: str
    pixel_mm: float

    @property
    def sides_mm(self) -> tuple[float, float]:
        """Width and height of the box."""
        x1, y1, x2, y2 = self.box_xyxy
        return (x2 - x1) * self.pixel_mm, (y2 - y1) * self.pixel_mm

    @property
    def text(self) -> str:
        """What it is, how large and where: "benign, 12 x 10 mm, slice 16"."""
        width, height = self.sides_mm
        return f"{self.category or 'lesion'}, {width:.0f} x {height:.0f} mm, slice {self.slice_index}"


@dataclass(frozen=True)
class Detection:
    """One row of a prediction table.

    Attributes:
        slice_index: the middle of the slices that it spans.
        place: those slices in words.
        lesion: number of the lesion that it hits, -1 for none.
        in_plane: number of the lesion that it would hit if its depth did not matter, -1 for none.
        slices_off: how many slices lie between it and that lesion, 0 for none.
    """

    record: ImageRecord
    box_xyxy: Box
    slice_index: int
    place: str
    score: float
    lesion: int
    in_plane: int
    slices_off: int


@dataclass(frozen=True)
class Student:
    """One student on the test volumes.

    Attributes:
        name, title: of the folder and in the report.
        table: the predictions' rows.
        found: the same rows, matched.
        result: the challenge's figures with intervals.
    """

    name: str
    title: str
    table: pd.DataFrame
    found: ChallengePredictions
    result: ChallengeResult

    @property
    def bootstrap(self) -> Bootstrap:
        """The intervals of the result."""
        if self.result.bootstrap is None:
            raise ValueError(f"{self.title}: the result has no bootstrap")
        return self.result.bootstrap

    @property
    def threshold(self) -> float:
        """Least score of what counts as reported."""
        return self.result.thresholds()[OPERATING_FIGURE]

    @property
    def threshold_text(self) -> str:
        """The threshold in words."""
        scores = self.found.scores[~np.isnan(self.found.scores)]
        if not (scores >= self.threshold).any():
            return "no detection"
        return "every detection" if self.threshold < scores.min() else f"score {self.threshold:.3f} or more"

    @property
    def reported_lesions(self) -> set[int]:
        """Numbers of the lesions that a reported detection hits."""
        scores = self.result.froc_positive.lesion_scores
        return {int(number) for number in np.flatnonzero(scores >= self.threshold)}

    @property
    def fps_per_volume(self) -> float:
        """False positives per volume that are reported."""
        false = (self.found.hit_lesion < 0) & (self.found.scores >= self.threshold)
        return float(false.sum() / self.result.num_volumes_all)


class HeldOut:
    """The test volumes of a demo folder.

    Attributes:
        truth: volumes and lesions as arrays.
        lesions: in the order of the boxes' table.
        students: by folder name, the reference first.

    Raises:
        DatasetError: tables contradict each other or the evaluation beside them.
    """

    def __init__(self, folder: DemoFolder) -> None:
        radius = folder.about.min_hit_radius
        self._pixel_mm = folder.about.pixel_mm
        self._labels, self._boxes = (folder.file(f"evaluation/{name}.csv") for name in ("labels", "boxes"))
        self.truth: ChallengeTruth = read_truth(self._labels, self._boxes, radius)
        records = folder.manifest(TOMOSYNTHESIS).records()
        by_key = {(record.study_id, record.view_key): record for record in records}
        unknown = [key for key in self.truth.volumes if key not in by_key]
        if unknown:
            raise DatasetError(
                f"{self._labels}: volumes {unknown[:3]} are not in the manifest {TOMOSYNTHESIS}; "
                "both must come from the same demo"
            )
        self._records = {key: by_key[key] for key in self.truth.volumes}
        self.lesions = tuple(self._read_lesions())
        self.students = {name: self._student(folder, name, radius) for name in STUDENTS}

    @property
    def volumes(self) -> dict[VolumeKey, ImageRecord]:
        """The test volumes in the order of the labels."""
        return self._records

    def lesions_of(self, record: ImageRecord) -> list[HeldOutLesion]:
        """Return the annotated lesions of a volume."""
        return [lesion for lesion in self.lesions if lesion.record.image_id == record.image_id]

    def detections(self, student: Student) -> list[Detection]:
        """Return the detections of a student that have a score and a test volume, highest score first."""
        keys, found, table = list(self.truth.volumes), student.found, student.table
        known = np.flatnonzero((found.volume >= 0) & ~np.isnan(found.scores))
        slices_off = np.nan_to_num(np.abs(found.depth.prediction_off))
        detections = [
            Detection(
                record=self._records[keys[found.volume[row]]],
                box_xyxy=_box(table.iloc[row]),
                slice_index=_middle(*_span(table.iloc[row])),
                place=_place(*_span(table.iloc[row])),
                score=float(found.scores[row]),
                lesion=int(found.hit_lesion[row]),
                in_plane=int(found.depth.in_plane[row]),
                slices_off=round(slices_off[row]),
            )
            for row in known
        ]
        return sorted(detections, key=lambda detection: -detection.score)

    def detections_on(self, student: Student, record: ImageRecord) -> list[Detection]:
        """Return those of one volume."""
        return [found for found in self.detections(student) if found.record.image_id == record.image_id]

    def only_in_plane(self, student: Student) -> dict[int, Detection]:
        """Return the lesions that are reported at the right place in the plane and at a wrong depth.

        Returns:
            The strongest such detection by the number of the lesion; none of them hits a lesion.
        """
        strongest: dict[int, Detection] = {}
        for found in self.detections(student):
            missed = found.lesion < 0 and found.in_plane not in student.reported_lesions
            if missed and found.in_plane >= 0 and found.score >= student.threshold:
                strongest.setdefault(found.in_plane, found)
        return strongest

    def _read_lesions(self) -> Iterable[HeldOutLesion]:
        table = pd.read_csv(self._boxes, dtype=_KEYS, encoding="utf-8-sig")
        for number, (_, row) in enumerate(table.iterrows()):
            record = self._records[(str(row["StudyUID"]), str(row["View"]))]
            category = str(row["Class"]) if "Class" in table.columns else ""
            yield HeldOutLesion(number, record, _box(row), int(row["Slice"]), category, self._pixel_mm)

    def _student(self, folder: DemoFolder, name: str, radius: float) -> Student:
        path = folder.file(f"predictions/{name}.csv")
        stored = folder.json(f"evaluation/{name}.json")
        settings = stored.get("bootstrap") or {}
        replicates, seed = int(settings.get("replicates", 0)), int(settings.get("seed", 0))
        result = evaluate(path, self._labels, self._boxes, replicates, seed, radius)
        _check_same(folder.file(f"evaluation/{name}.json"), stored, result, path)
        table = pd.read_csv(path, dtype=_KEYS, encoding="utf-8-sig")
        return Student(name, STUDENTS[name], table, read_predictions(path, self.truth), result)


def _box(row: pd.Series) -> Box:
    left, top = float(row["X"]), float(row["Y"])
    return left, top, left + float(row["Width"]), top + float(row["Height"])


def _check_same(path: Path, stored: dict[str, object], result: ChallengeResult, predictions: Path) -> None:
    """Refuse a page whose pictures and figures would come from different predictions."""
    for name, value in result.metric.items():
        if stored.get(name) != value:
            raise DatasetError(
                f"{path}: {name} is {stored.get(name)}, but {predictions} gives {value}; "
                "evaluate the predictions again"
            )
    if result.bootstrap is None:
        raise DatasetError(f"{path}: has no bootstrap; evaluate again with --bootstrap 1000")


def _span(row: pd.Series) -> tuple[int, int]:
    """Return the first slice of a detection and the number of slices, 0 for a plane without depth."""
    return int(row["Z"]), max(int(row["Depth"]), 0)


def _middle(first: int, spanned: int) -> int:
    return first + max(spanned - 1, 0) // 2


def _place(first: int, spanned: int) -> str:
    return f"slices {first} to {first + spanned - 1}" if spanned > 1 else f"slice {first}"


def paired_differences(held_out: HeldOut) -> tuple[PairedDifference, ...]:
    """Compare each student with the reference, on the same draws of patients."""
    reference, *others = held_out.students.values()
    drawn = reference.bootstrap
    return tuple(
        paired_difference(other.found, reference.found, held_out.truth, drawn.replicates, drawn.seed)
        for other in others
    )
