"""Volumes that were held out: annotations, and what each model said, matched by the challenge's rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from comoto.evaluation.auc import breasts_and_exams
from comoto.evaluation.beside import Beside, beside
from comoto.evaluation.bootstrap import Bootstrap
from comoto.evaluation.challenge import METRIC_ALL, ChallengeResult, score
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    read_predictions,
    read_truth,
)
from comoto.evaluation.depth_variants import TOLERANCE_MM, DepthRules
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.own_volumes import HitRadius, OwnVolumes, Spacing, own_volumes
from comoto.evaluation.paired import PairedDifference, paired_difference
from comoto.records import ImageRecord, Manifest, Modality
from comoto.report.pictures import Box
from comoto.tables import TableSource

OPERATING_METRIC = METRIC_ALL
"""The metric whose threshold decides what counts as reported: 2 false positives per volume, all volumes."""


@dataclass(frozen=True)
class HeldOutLesion:
    """One lesion; its number is the lesion number of ``ChallengePredictions.hit_lesion``.

    Attributes:
        spacing: None where the size of a pixel is not known of every volume with a lesion, or was not looked
            for: sizes are in pixels then.
    """

    number: int
    record: ImageRecord
    box_xyxy: Box
    slice_index: int
    category: str
    spacing: Spacing | None

    @property
    def sides(self) -> tuple[float, float]:
        """Width and height of the box in mm, or in pixels."""
        x1, y1, x2, y2 = self.box_xyxy
        height, width = self.spacing or (1.0, 1.0)
        return (x2 - x1) * width, (y2 - y1) * height

    @property
    def text(self) -> str:
        """What it is, how large and where: "benign, 12 x 10 mm, slice 16"."""
        width, height = self.sides
        unit = "pixels" if self.spacing is None else "mm"
        return f"{self.category or 'lesion'}, {width:.0f} x {height:.0f} {unit}, slice {self.slice_index}"


@dataclass(frozen=True)
class Detection:
    """One row of a prediction table.

    Attributes:
        slice_index: the middle of the slices that it spans, which is the best one.
        place: that slice and the range in words.
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
class Scored:
    """What one model says of the volumes, scored.

    Attributes:
        title: of the model.
        found: its predictions, matched.
        result: the challenge's metrics with intervals.
        beside: what stands beside them.
        detections: those that have a score and a volume, highest score first.
    """

    title: str
    found: ChallengePredictions
    result: ChallengeResult
    beside: Beside
    detections: tuple[Detection, ...]

    @property
    def bootstrap(self) -> Bootstrap:
        """The intervals of the result."""
        if self.result.bootstrap is None:
            raise ValueError(f"{self.title}: the result has no bootstrap")
        return self.result.bootstrap

    @cached_property
    def threshold(self) -> float:
        """Least score of what counts as reported."""
        return self.result.thresholds()[OPERATING_METRIC]

    @property
    def threshold_text(self) -> str:
        """The threshold in words."""
        scores = self.found.scores[~np.isnan(self.found.scores)]
        if not (scores >= self.threshold).any():
            return "no detection"
        return "every detection" if self.threshold < scores.min() else f"score {self.threshold:.3f} or more"

    @cached_property
    def reported_lesions(self) -> set[int]:
        """Numbers of the lesions that a reported detection hits."""
        scores = self.result.froc_positive.lesion_scores
        return {int(number) for number in np.flatnonzero(scores >= self.threshold)}

    @property
    def fps_per_volume(self) -> float:
        """False positives per volume that are reported."""
        false = (self.found.hit_lesion < 0) & (self.found.scores >= self.threshold)
        return float(false.sum() / self.result.num_volumes_all)

    def detections_on(self, record: ImageRecord) -> list[Detection]:
        """Return those of one volume."""
        return [found for found in self.detections if found.record.image_id == record.image_id]

    def only_in_plane(self) -> dict[int, Detection]:
        """Return the lesions that are reported at the right place in the plane and at a wrong depth.

        Returns:
            The strongest such detection by the number of the lesion; none of them hits a lesion.
        """
        strongest: dict[int, Detection] = {}
        for found in self.detections:
            missed = found.lesion < 0 and found.in_plane not in self.reported_lesions
            if missed and found.in_plane >= 0 and found.score >= self.threshold:
                strongest.setdefault(found.in_plane, found)
        return strongest


class HeldOut:
    """The volumes of a manifest, and what one or several models say of them.

    Args:
        manifest: of one split; mammograms are passed over.
        predictions: the challenge's submission file of each model by its title, the reference first.
        radius: least hit radius.
        draws: how intervals are made.
        spacing: of a pixel, where the files do not say it.
        in_mm: whether the files of all volumes with a lesion are asked how large a pixel is; those that a
            radius in millimetres asks are in any case.

    Attributes:
        truth: volumes and lesions as arrays.
        volumes: the volumes by their number in ``truth``.
        lesions: by their number in ``truth``.
        models: in the order of the predictions.
        min_radius: in pixels.

    Raises:
        DatasetError: tables are wrong, contradict each other, or no prediction is of a volume.
        ConfigError: the radius is in millimetres, and the pixels are of different or unknown size.
    """

    def __init__(
        self,
        manifest: Manifest,
        predictions: Mapping[str, TableSource],
        radius: HitRadius,
        draws: Resampling,
        spacing: Spacing | None = None,
        *,
        in_mm: bool = True,
    ) -> None:
        own = own_volumes(manifest, radius)
        self.truth: ChallengeTruth = read_truth(own.labels, own.boxes, own.min_radius)
        self.min_radius = own.min_radius
        self.volumes = tuple(
            record for record in manifest.records() if record.modality is Modality.TOMOSYNTHESIS
        )
        self.lesions = self._lesions(own, spacing, in_mm or radius.in_mm)
        distances = own.slice_mm if in_mm or radius.in_mm else None
        self._rules = DepthRules(tolerance_mm=None if distances is None else TOLERANCE_MM, slice_mm=distances)
        sides = [record.laterality.value for record in self.volumes]
        self._units = breasts_and_exams(self.truth, sides)
        self.models = tuple(
            self._scored(title, table, draws, own.warnings) for title, table in predictions.items()
        )

    def lesions_of(self, record: ImageRecord) -> list[HeldOutLesion]:
        """Return the annotated lesions of a volume."""
        return [lesion for lesion in self.lesions if lesion.record.image_id == record.image_id]

    def differences(self) -> tuple[PairedDifference, ...]:
        """Compare each model with the reference, on the same draws of patients."""
        reference, *others = self.models
        drawn = reference.bootstrap
        return tuple(
            paired_difference(other.found, reference.found, self.truth, drawn.replicates, drawn.seed)
            for other in others
        )

    def _lesions(self, own: OwnVolumes, spacing: Spacing | None, in_mm: bool) -> tuple[HeldOutLesion, ...]:
        """Return the lesions, with sizes in mm if all of them can have that; of equal boxes there is one."""
        records = [self.volumes[number] for number in self.truth.lesion_volume]
        spacings = own.spacings if spacing is None and in_mm else {}
        rows = own.boxes.iloc[self.truth.lesion_line].to_dict("records")
        return tuple(
            HeldOutLesion(
                number=number,
                record=record,
                box_xyxy=_box(row["X"], row["Width"], row["Y"], row["Height"]),
                slice_index=int(row["Slice"]),
                category=str(row["Class"]),
                spacing=spacings.get(record.image_id, spacing),
            )
            for number, (record, row) in enumerate(zip(records, rows, strict=True))
        )

    def _scored(self, title: str, table: TableSource, draws: Resampling, warnings: tuple[str, ...]) -> Scored:
        found = read_predictions(table, self.truth)
        result = score(found, self.truth, draws, self.min_radius)
        result = replace(result, warnings=(*warnings, *result.warnings))
        more = beside(found, self.truth, self._rules, self._units, {}, draws)
        return Scored(title, found, result, more, self._detections(found))

    def _detections(self, found: ChallengePredictions) -> tuple[Detection, ...]:
        known = np.flatnonzero((found.volume >= 0) & ~np.isnan(found.scores))
        falling = known[np.argsort(-found.scores[known], kind="stable")]
        slices_off = np.nan_to_num(np.abs(found.depth.prediction_off))
        return tuple(
            Detection(
                record=self.volumes[found.volume[row]],
                box_xyxy=_box(left, width, top, height),
                slice_index=_middle(int(z), max(int(depth), 0)),
                place=_place(int(z), max(int(depth), 0)),
                score=float(found.scores[row]),
                lesion=int(found.hit_lesion[row]),
                in_plane=int(found.depth.in_plane[row]),
                slices_off=round(slices_off[row]),
            )
            for row, (left, width, top, height, z, depth) in zip(
                falling, found.places[falling].tolist(), strict=True
            )
        )


def _box(left: float, width: float, top: float, height: float) -> Box:
    return float(left), float(top), float(left + width), float(top + height)


def _middle(first: int, spanned: int) -> int:
    """Return the middle of the slices that a detection spans, 0 of them for a plane without depth."""
    return first + max(spanned - 1, 0) // 2


def _place(first: int, spanned: int) -> str:
    middle = f"slice {_middle(first, spanned)}"
    return f"{middle} ({first} to {first + spanned - 1})" if spanned > 1 else middle
