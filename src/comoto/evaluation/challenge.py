"""The metric of the DBTex challenge, to the last digit, with FROC curves and patient intervals.

Definition: challenge text and evaluator of the BCS-DBT data set (Buda et al., JAMA Network Open 2021;
Konz et al., JAMA Network Open 2023), restated in docs/tomosynthesis-and-froc.md.

Two metrics with two denominators. "all": every volume of the labels counts in the rate of false positives.
"positive": only volumes with a box do, and predictions on other volumes are left out. Lesions are the rows
of the boxes in both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from comoto.defaults import HIT_RADIUS
from comoto.evaluation.bootstrap import Bootstrap
from comoto.evaluation.challenge_checks import VolumeKey
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    read_predictions,
    read_truth,
)
from comoto.evaluation.depth import DepthAccount
from comoto.evaluation.froc import Froc, finite_or_none, froc, froc_thresholds
from comoto.evaluation.intervals import ReadCurve, Resampling, bootstrap_of
from comoto.evaluation.parts import Part, resampled, resampled_positive
from comoto.evaluation.side_by_side import side_by_side
from comoto.tables import TableSource

if TYPE_CHECKING:
    from comoto.evaluation.beside import Beside

FPS_ALL = (2.0,)
FPS_POSITIVE = (1.0, 2.0, 3.0, 4.0)
METRIC_ALL = "sensitivity_at_2_fps_all"
METRICS_POSITIVE = tuple(f"sensitivity_at_{int(fps)}_fps_positive" for fps in FPS_POSITIVE)
MEAN_NAME = "mean_sensitivity_positive"


@dataclass(frozen=True)
class ChallengeResult:
    """The metric, what it is made of, and how sure it is.

    Attributes:
        metric: the challenge's six metrics by their official names.
        froc_all, froc_positive: the curves; thresholds are scores of the predictions' file.
        lesion_volumes: (StudyUID, View) of each lesion, in the order of the boxes and of ``lesion_scores``
            of both curves.
        num_lesions, num_volumes_all, num_volumes_positive: the denominators.
        num_patients, num_predictions: sizes.
        bootstrap: intervals, None if not asked for.
        min_radius: least hit radius in source pixels; 100 is the challenge's.
        warnings: what is odd about the tables.
        num_volumes_predicted: volumes of the labels with a prediction.
        depth: what the predictions say about depth.
        published: the same metrics by the published code's metric, None if not asked for.
        beside: what other rules, denominators and parts of the cohort give; ``comoto.evaluate`` fills it in.

    Examples:
        >>> import comoto
        >>> manifest = comoto.Manifest.load("manifests/bcs-dbt")
        >>> result = comoto.evaluate("predictions.csv", manifest=manifest, split="test", min_radius=8)
        >>> result.num_lesions, result.num_volumes_all, round(result.mean_sensitivity_positive, 3)
        (2, 2, 0.775)
        >>> print(result.summary().splitlines()[1])
          lesions            2 (2 hit by at least one prediction, 0 never)
    """

    metric: dict[str, float]
    froc_all: Froc
    froc_positive: Froc
    lesion_volumes: tuple[VolumeKey, ...]
    num_lesions: int
    num_volumes_all: int
    num_volumes_positive: int
    num_patients: int
    num_predictions: int
    bootstrap: Bootstrap | None
    min_radius: float
    warnings: tuple[str, ...]
    num_volumes_predicted: int
    depth: DepthAccount
    published: dict[str, float] | None = None
    beside: Beside | None = None

    def __repr__(self) -> str:
        return (
            f"ChallengeResult({MEAN_NAME} {self.mean_sensitivity_positive:.3f}: "
            f"{self.num_lesions} lesions, {self.num_volumes_all} volumes, {self.num_patients} patients)"
        )

    @property
    def mean_sensitivity_positive(self) -> float:
        """The challenge's ranking metric."""
        return self.metric[MEAN_NAME]

    @property
    def sensitivity_at_2_fps_all(self) -> float:
        """The challenge's tie-break metric."""
        return self.metric[METRIC_ALL]

    def thresholds(self) -> dict[str, float]:
        """Return the score threshold that keeps the FP rate of each metric, by the metric's name."""
        found = {METRIC_ALL: self.froc_all.threshold_at(FPS_ALL[0])}
        for name, fps in zip(METRICS_POSITIVE, FPS_POSITIVE, strict=True):
            found[name] = self.froc_positive.threshold_at(fps)
        return found

    def record(self) -> dict[str, Any]:
        """Return everything as plain numbers, lists and dicts; infinite numbers become None."""
        curves = {"all": self.froc_all.record("volume"), "positive": self.froc_positive.record("volume")}
        if self.bootstrap is not None:
            for name, band in self.bootstrap.bands.items():
                curves[name]["band"] = band.record("volume")
        return {
            "format": "comoto-evaluation-1",
            **self.metric,
            "num_lesions": self.num_lesions,
            "num_volumes_all": self.num_volumes_all,
            "num_volumes_positive": self.num_volumes_positive,
            "num_patients": self.num_patients,
            "num_predictions": self.num_predictions,
            "num_volumes_predicted": self.num_volumes_predicted,
            "min_radius": self.min_radius,
            "thresholds": {name: finite_or_none(value) for name, value in self.thresholds().items()},
            "bootstrap": None if self.bootstrap is None else self.bootstrap.record(),
            "froc": curves,
            "lesions": [
                {
                    "StudyUID": study,
                    "View": view,
                    "best_score": finite_or_none(score),
                    **({} if np.isnan(off) else {"slices_off": float(off)}),
                }
                for (study, view), score, off in zip(
                    self.lesion_volumes, self.froc_positive.lesion_scores, self.depth.slices_off, strict=True
                )
            ],
            "depth": {
                "note": self.depth.text(),
                "median_share_spanned": finite_or_none(self.depth.spanned_share),
                "lesions_at_other_depth": self.depth.num_at_other_depth,
            },
            "warnings": list(self.warnings),
            **({} if self.published is None else {"published_metric": self.published}),
            **({} if self.beside is None else {"beside": self.beside.record()}),
        }

    def to_json(self) -> str:
        """Return ``record`` as JSON text; a missed lesion has ``best_score`` null."""
        return json.dumps(self.record(), indent=1, allow_nan=False) + "\n"

    def summary(self) -> str:
        """Return a readable account with both denominators."""
        found = int(np.isfinite(self.froc_positive.lesion_scores).sum())
        lines = [
            "DBTex challenge metric",
            f"  lesions            {self.num_lesions} ({found} hit by at least one prediction, "
            f"{self.num_lesions - found} never{self._at_other_depth()})",
            f"  volumes, positive  {self.num_volumes_positive} (with a box)",
            f"  volumes, all       {self.num_volumes_all} ({self.num_volumes_predicted} with a prediction)",
            f"  patients           {self.num_patients}",
            f"  predictions        {self.num_predictions}",
            "",
            self._line(MEAN_NAME, "mean sensitivity, positive volumes, 1-4 FP/volume", None),
        ]
        thresholds = self.thresholds()
        for name, fps in zip(METRICS_POSITIVE, FPS_POSITIVE, strict=True):
            text = f"sensitivity, positive volumes, {fps:.0f} FP/volume"
            lines.append(self._line(name, text, thresholds[name]))
        lines.append(self._line(METRIC_ALL, "sensitivity, all volumes, 2 FP/volume", thresholds[METRIC_ALL]))
        if self.bootstrap is not None:
            lines += ["", f"intervals: {self.bootstrap.text()}"]
        reached = float(self.froc_positive.fps_per_image[-1])
        if reached < FPS_POSITIVE[-1]:
            lines += [
                "",
                f"the predictions end at {reached:.2f} FP per positive volume; beyond that the last "
                "sensitivity is held",
            ]
        lines += ["", f"depth: {self.depth.text()}"]
        if self.min_radius != HIT_RADIUS:
            lines += [
                "",
                f"least hit radius {self.min_radius:g} pixels; the challenge's is {HIT_RADIUS:g}",
            ]
        if self.published is not None:
            lines += side_by_side(self.metric, self.published)
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.beside is not None:
            lines += ["", *self.beside.lines()]
        return "\n".join(lines)

    def _at_other_depth(self) -> str:
        number = self.depth.num_at_other_depth
        return f", of these {number} found in the plane at another depth" if number else ""

    def _line(self, name: str, text: str, threshold: float | None) -> str:
        line = f"  {text:<50} {self.metric[name]:.4f}"
        if self.bootstrap is not None:
            interval = self.bootstrap.intervals[name]
            line += f"  [{interval.low:.4f}, {interval.high:.4f}]"
        if threshold is None:
            return line
        if threshold == self.froc_all.thresholds[-1]:
            return f"{line}  every prediction"
        if threshold == self.froc_all.thresholds[0]:  # the end of the curve, above every score
            return f"{line}  before the first hit"
        return f"{line}  score >= {threshold:.6g}"


def evaluate(
    predictions: TableSource,
    labels: TableSource,
    boxes: TableSource,
    bootstrap: int | Resampling = 0,
    seed: int = 0,
    min_radius: float = HIT_RADIUS,
) -> ChallengeResult:
    """Evaluate predictions on volumes by the rules of the DBTex challenge.

    Args:
        predictions: CSV path or DataFrame with StudyUID, View, X, Width, Y, Height, Z, Depth, Score; pixels
            of the corrected orientation, slices from 0.
        labels: one row a volume, with PatientID, StudyUID, View.
        boxes: one row a lesion, with StudyUID, View, Slice, X, Y, Width, Height, VolumeSlices.
        bootstrap: replicates of the patient bootstrap, 0 for no intervals; or all about it, the seed too.
        seed: of the bootstrap.
        min_radius: least hit radius in source pixels. The challenge's is 100, for pixels of about 0.085 mm;
            another value gives another metric, and the result says so.

    Raises:
        DatasetError: a table is unreadable or the tables contradict each other.
        ValueError: ``bootstrap`` is negative or ``min_radius`` is not positive.

    Examples:
        >>> import pandas as pd
        >>> labels = pd.DataFrame({"PatientID": ["p", "q"], "StudyUID": ["s", "t"], "View": "lcc"})
        >>> lesion = {"StudyUID": "s", "View": "lcc", "Slice": 30, "VolumeSlices": 60}
        >>> boxes = pd.DataFrame([{**lesion, "X": 500, "Y": 700, "Width": 80, "Height": 60}])
        >>> hit = {"PatientID": "p", "StudyUID": "s", "View": "lcc", "X": 510, "Width": 70, "Y": 690}
        >>> found = pd.DataFrame([{**hit, "Height": 70, "Z": 28, "Depth": 5, "Score": 0.9}])
        >>> evaluate(found, labels, boxes)
        ChallengeResult(mean_sensitivity_positive 1.000: 1 lesions, 2 volumes, 2 patients)
    """
    draws = Resampling.of(bootstrap, seed)
    truth = read_truth(labels, boxes, min_radius)
    return score(read_predictions(predictions, truth), truth, draws, min_radius)


def score(
    found: ChallengePredictions, truth: ChallengeTruth, draws: Resampling, min_radius: float
) -> ChallengeResult:
    """Evaluate predictions that are matched already.

    Args:
        found: read with ``read_predictions`` against ``truth``.
        truth: the volumes and lesions.
        draws: how intervals are made.
        min_radius: with which ``truth`` was read, for the record.
    """
    froc_all, froc_positive = _curves(truth, found)
    keys = list(truth.volumes)
    return ChallengeResult(
        metric=metric_of(froc_all, froc_positive),
        froc_all=froc_all,
        froc_positive=froc_positive,
        lesion_volumes=tuple(keys[number] for number in truth.lesion_volume),
        num_lesions=froc_all.num_lesions,
        num_volumes_all=froc_all.num_images,
        num_volumes_positive=froc_positive.num_images,
        num_patients=len(truth.patients),
        num_predictions=len(found.scores),
        bootstrap=_bootstrap(truth, found, draws, (froc_all, froc_positive)) if draws.replicates else None,
        min_radius=min_radius,
        warnings=(*truth.warnings, *found.warnings, *draws.warnings(len(truth.patients))),
        num_volumes_predicted=len(np.unique(found.volume[found.volume >= 0])),
        depth=found.depth,
    )


def challenge_metric(
    predictions: TableSource, labels: TableSource, boxes: TableSource, min_radius: float = HIT_RADIUS
) -> dict[str, float]:
    """Return the challenge's six metrics by their official names; arguments and errors as ``evaluate``.

    Examples:
        >>> from comoto.evaluation import challenge_tables
        >>> from comoto.records import Manifest, Split
        >>> labels, boxes = challenge_tables(Manifest.load("manifests/bcs-dbt").split(Split.TEST))
        >>> metric = challenge_metric("predictions.csv", labels, boxes, min_radius=8)
        >>> round(metric["mean_sensitivity_positive"], 3)
        0.775
    """
    truth = read_truth(labels, boxes, min_radius)
    return metric_of(*_curves(truth, read_predictions(predictions, truth)))


def _curves(truth: ChallengeTruth, found: ChallengePredictions) -> tuple[Froc, Froc]:
    num_lesions = len(truth.lesion_volume)
    # The challenge takes the thresholds of all predictions for both metrics.
    thresholds = froc_thresholds(found.scores, found.hit_lesion)
    kept = found.on_positive(truth)
    return (
        froc(found.scores, found.hit_lesion, num_lesions, len(truth.volumes), thresholds),
        froc(
            found.scores[kept],
            found.hit_lesion[kept],
            num_lesions,
            int(truth.is_positive.sum()),
            thresholds,
        ),
    )


def metric_of(froc_all: Froc, froc_positive: Froc) -> dict[str, float]:
    """Read the challenge's six metrics off the curves."""
    positive = froc_positive.sensitivity_at(FPS_POSITIVE)
    return {
        METRIC_ALL: float(froc_all.sensitivity_at(FPS_ALL)[0]),
        **{name: float(value) for name, value in zip(METRICS_POSITIVE, positive, strict=True)},
        MEAN_NAME: float(positive.mean()),
    }


def _bootstrap(
    truth: ChallengeTruth, found: ChallengePredictions, draws: Resampling, curves: tuple[Froc, Froc]
) -> Bootstrap:
    froc_all, froc_positive = curves
    resampled_all = resampled(found, truth, Part.whole(truth), only_positive=False)
    rates = dict(zip(METRICS_POSITIVE, FPS_POSITIVE, strict=True))
    mean = (MEAN_NAME, slice(len(rates)))
    read = {
        "all": ReadCurve(froc_all, resampled_all, {METRIC_ALL: FPS_ALL[0]}),
        "positive": ReadCurve(froc_positive, resampled_positive(found, truth), rates, mean),
    }
    return bootstrap_of(read, len(truth.patients), draws)
