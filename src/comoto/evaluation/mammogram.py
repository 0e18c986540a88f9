"""FROC of detections on mammograms, over all annotated lesions.

A lesion that nobody detected stays in the denominator, and so does an image without lesions. Two rules
decide what a hit is: enough overlap (``iou``), or the detection's centre inside the lesion's box
(``center``). Further hits of one lesion are not false positives, as in the DBTex challenge.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from comoto.defaults import HIT_IOU
from comoto.errors import DatasetError
from comoto.evaluation.bootstrap import (
    Bootstrap,
    PatientIndex,
    ResampledFroc,
)
from comoto.evaluation.challenge_checks import first_of_each_row, repeated_warning, score_warnings
from comoto.evaluation.froc import Froc, finite_or_none, froc
from comoto.evaluation.intervals import ReadCurve, Resampling, bootstrap_of
from comoto.evaluation.matching import hits_by_center, hits_by_iou
from comoto.evaluation.side_by_side import side_by_side
from comoto.records import IntArray, Manifest, Modality
from comoto.tables import Float64Array, Table, TableSource, read_table

Rule = Literal["iou", "center"]

FPS_PER_IMAGE = (0.5, 1.0, 2.0, 3.0, 4.0)
MEAN_NAME = "mean_sensitivity"
_BOX_COLUMNS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class MammogramResult:
    """Sensitivities on mammograms and what they are made of.

    Attributes:
        metric: ``sensitivity_at_{0.5,1,2,3,4}_fps`` and ``mean_sensitivity``, the mean over 1, 2, 3, 4.
        froc: the curve; its denominators are all lesions and all images.
        lesion_images: image of each lesion, in the order of ``froc.lesion_scores``.
        rule, iou: what a hit is; ``iou`` plays no part under the rule ``center``.
        num_predictions: detections in the table.
        bootstrap: intervals, None if not asked for.
        published: the published code's metrics for the same detections, None if not asked for.
        warnings: what is odd about the tables.

    Examples:
        >>> import comoto
        >>> manifest = comoto.Manifest.load("manifests/vindr-mammo")
        >>> result = comoto.evaluate_mammograms(manifest.lesions.assign(score=0.9), manifest)
        >>> result.metric["sensitivity_at_1_fps"], result.froc.num_lesions, result.froc.num_images
        (1.0, 7, 5)
    """

    metric: dict[str, float]
    froc: Froc
    lesion_images: tuple[str, ...]
    rule: Rule
    iou: float
    num_predictions: int
    bootstrap: Bootstrap | None
    published: dict[str, float] | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        value = self.metric[MEAN_NAME]
        sizes = f"{self.froc.num_lesions} lesions, {self.froc.num_images} images"
        return f"MammogramResult(mean_sensitivity {value:.3f}: {sizes})"

    def record(self) -> dict[str, Any]:
        """Return everything as plain numbers, lists and dicts; infinite numbers become None."""
        curve = self.froc.record("image")
        if self.bootstrap is not None:
            curve["band"] = self.bootstrap.bands["images"].record("image")
        return {
            "format": "comoto-mammogram-evaluation-1",
            **self.metric,
            "rule": self.rule,
            "iou": self.iou if self.rule == "iou" else None,
            "num_lesions": self.froc.num_lesions,
            "num_images": self.froc.num_images,
            "num_predictions": self.num_predictions,
            "thresholds": {
                metric_name(fps): finite_or_none(self.froc.threshold_at(fps)) for fps in FPS_PER_IMAGE
            },
            "bootstrap": None if self.bootstrap is None else self.bootstrap.record(),
            "froc": curve,
            "lesions": [
                {"image_id": image, "best_score": finite_or_none(score)}
                for image, score in zip(self.lesion_images, self.froc.lesion_scores, strict=True)
            ],
            "warnings": list(self.warnings),
            **({} if self.published is None else {"published_metric": self.published}),
        }

    def to_json(self) -> str:
        """Return ``record`` as JSON text; a missed lesion has ``best_score`` null."""
        return json.dumps(self.record(), indent=1, allow_nan=False) + "\n"

    def summary(self) -> str:
        """Return a readable account with both denominators."""
        found = int(np.isfinite(self.froc.lesion_scores).sum())
        rule = (
            f"overlap (IoU) at least {self.iou:g}" if self.rule == "iou" else "centre inside the lesion's box"
        )
        lines = [
            f"FROC on mammograms; a hit: {rule}",
            f"  lesions      {self.froc.num_lesions} ({found} hit by at least one prediction, "
            f"{self.froc.num_lesions - found} never)",
            f"  images       {self.froc.num_images}",
            f"  predictions  {self.num_predictions}",
            "",
            self._line(MEAN_NAME, "mean sensitivity, 1-4 FP/image"),
        ]
        lines += [self._line(metric_name(fps), f"sensitivity, {fps:g} FP/image") for fps in FPS_PER_IMAGE]
        if self.bootstrap is not None:
            lines += ["", f"intervals: {self.bootstrap.text()}"]
        if self.published is not None:
            lines += side_by_side(self.metric, self.published)
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _line(self, name: str, text: str) -> str:
        line = f"  {text:<34} {self.metric[name]:.4f}"
        if self.bootstrap is not None:
            interval = self.bootstrap.intervals[name]
            line += f"  [{interval.low:.4f}, {interval.high:.4f}]"
        return line


def mammogram_froc(
    detections: TableSource,
    lesions: TableSource,
    image_ids: Sequence[str],
    rule: Rule = "iou",
    iou: float = HIT_IOU,
) -> Froc:
    """Draw the FROC of detections on mammograms.

    Args:
        detections: columns image_id, x1, y1, x2, y2, score; source pixels, half-open boxes.
        lesions: columns image_id, x1, y1, x2, y2, in the same frame; all annotated lesions.
        image_ids: all images that were looked at, those without lesions included.
        rule: ``iou`` or ``center``.
        iou: least overlap of a hit under the rule ``iou``, above 0 and at most 1.

    Raises:
        DatasetError: a table is unreadable or names an image that is not in ``image_ids``, or there is
            no lesion.
        ValueError: unknown rule, ``iou`` out of range or an image that stands twice.

    Examples:
        >>> import pandas as pd
        >>> lesions = pd.DataFrame({"image_id": ["a"], "x1": [10], "y1": [10], "x2": [30], "y2": [40]})
        >>> found = lesions.assign(x2=28, score=0.8)
        >>> mammogram_froc(found, lesions, ["a", "b"]).sensitivity_at([0.5]).tolist()
        [1.0]
    """
    return _match(detections, lesions, image_ids, rule, iou).curve()


def evaluate_mammograms(
    detections: TableSource,
    manifest: Manifest,
    rule: Rule = "iou",
    iou: float = HIT_IOU,
    bootstrap: int | Resampling = 0,
    seed: int = 0,
) -> MammogramResult:
    """Evaluate detections on all mammograms of a manifest; arguments and errors as ``mammogram_froc``.

    Examples:
        >>> manifest = Manifest.load("manifests/vindr-mammo")
        >>> evaluate_mammograms(manifest.lesions.assign(score=0.9), manifest, bootstrap=50)
        MammogramResult(mean_sensitivity 1.000: 7 lesions, 5 images)
    """
    draws = Resampling.of(bootstrap, seed)
    mammograms = manifest.select(manifest.images["modality"] == Modality.MAMMOGRAM.value)
    if not len(mammograms):
        raise DatasetError(f"{manifest.name}: the manifest holds no mammogram")
    match = _match(detections, mammograms.lesions, mammograms.images["image_id"].tolist(), rule, iou)
    curve = match.curve()
    patients = mammograms.images["patient_id"].tolist()
    return MammogramResult(
        metric=_metric(curve),
        froc=curve,
        lesion_images=tuple(mammograms.images["image_id"].iloc[match.boxes.lesion_image]),
        rule=rule,
        iou=iou,
        num_predictions=len(match.boxes.scores),
        bootstrap=_bootstrap(match, patients, draws, curve) if draws.replicates else None,
        warnings=(*match.boxes.warnings, *draws.warnings(len(set(patients)))),
    )


@dataclass(frozen=True)
class MammogramBoxes:
    """Detections (N,) and lesions (L,) with the number of their image.

    Attributes:
        detection_image: (N,).
        detection_boxes: (N, 4) source pixels.
        scores: (N,), NaN where the cell is empty.
        lesion_image: (L,).
        lesion_boxes: (L, 4).
        num_images: all images that were looked at.
        warnings: what is odd about the tables; a lesion that stands twice is here once.
    """

    detection_image: IntArray
    detection_boxes: Float64Array
    scores: Float64Array
    lesion_image: IntArray
    lesion_boxes: Float64Array
    num_images: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Match:
    """Detections (N,) and lesions, and the number of the lesion that each detection hits, -1 for none."""

    boxes: MammogramBoxes
    hit_lesion: IntArray

    def curve(self) -> Froc:
        boxes = self.boxes
        return froc(boxes.scores, self.hit_lesion, len(boxes.lesion_image), boxes.num_images)


def _match(
    detections: TableSource, lesions: TableSource, image_ids: Sequence[str], rule: Rule, iou: float
) -> _Match:
    if rule not in ("iou", "center"):
        raise ValueError(f"rule must be 'iou' or 'center', got {rule!r}")
    if not 0.0 < iou <= 1.0:
        raise ValueError(f"iou must be above 0 and at most 1, got {iou}")
    boxes = read_mammogram_boxes(detections, lesions, image_ids)
    places = (boxes.detection_image, boxes.detection_boxes, boxes.lesion_image, boxes.lesion_boxes)
    hit = hits_by_iou(*places, iou) if rule == "iou" else hits_by_center(*places)
    return _Match(boxes, hit)


def read_mammogram_boxes(
    detections: TableSource, lesions: TableSource, image_ids: Sequence[str]
) -> MammogramBoxes:
    """Read the boxes of detections and lesions; arguments and errors as ``mammogram_froc``."""
    images = {name: number for number, name in enumerate(image_ids)}
    if len(images) != len(image_ids):
        raise ValueError("image_ids holds an image twice")
    found = read_table(detections, "predictions", ("image_id",), (*_BOX_COLUMNS, "score"))
    truth = read_table(lesions, "lesions", ("image_id",), _BOX_COLUMNS)
    if not len(truth):
        raise DatasetError(f"{truth.name}: holds no lesion; a sensitivity needs at least one")
    found.require(~np.isinf(found.numbers["score"]), "score is infinite", "write finite scores")
    detection_image, detection_boxes = _boxes(found, images)
    lesion_image, lesion_boxes = _boxes(truth, images)
    first, repeated = first_of_each_row(truth, "box of the same image", "each lesion is counted once")
    return MammogramBoxes(
        detection_image,
        detection_boxes,
        found.numbers["score"],
        lesion_image[first],
        lesion_boxes[first],
        len(images),
        (*truth.notes, *found.notes, *repeated, *score_warnings(found, "score"), *repeated_warning(found)),
    )


def _boxes(table: Table, images: dict[str, int]) -> tuple[IntArray, Float64Array]:
    """Return the number of the image (N,) and the box (N, 4) of each row."""
    boxes = np.column_stack([table.numbers[column] for column in _BOX_COLUMNS])
    table.require(
        np.asarray(np.isfinite(boxes).all(axis=1)), "a coordinate is empty or infinite", "complete the boxes"
    )
    table.require(
        np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1)),
        "x2 <= x1 or y2 <= y1",
        "write boxes as x1,y1,x2,y2",
    )
    image = np.array([images.get(name, -1) for name in table.texts["image_id"]], dtype=np.int64)
    table.require(image >= 0, "image_id names no image that is evaluated", "use the manifest's image_id")
    return image, boxes


def _metric(curve: Froc) -> dict[str, float]:
    values = curve.sensitivity_at(FPS_PER_IMAGE)
    metric = {metric_name(fps): float(value) for fps, value in zip(FPS_PER_IMAGE, values, strict=True)}
    metric[MEAN_NAME] = float(values[1:].mean())
    return metric


def metric_name(fps: float) -> str:
    """Return the name of the sensitivity at an FP rate."""
    return f"sensitivity_at_{fps:g}_fps"


def _bootstrap(match: _Match, patient_names: list[str], draws: Resampling, whole: Froc) -> Bootstrap:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(patient_names))}
    image_patient = np.array([numbers[name] for name in patient_names], dtype=np.int64)
    cohort = PatientIndex(
        num_patients=len(numbers),
        detection_patient=image_patient[match.boxes.detection_image],
        lesion_patient=image_patient[match.boxes.lesion_image],
        image_patient=image_patient,
    )
    rates = {metric_name(fps): fps for fps in FPS_PER_IMAGE}
    resampled = ResampledFroc(match.boxes.scores, match.hit_lesion, cohort)
    read = ReadCurve(whole, resampled, rates, (MEAN_NAME, slice(1, len(rates))))
    return bootstrap_of({"images": read}, len(numbers), draws)
