"""The score from which on a detection is shown, chosen on one cohort and kept in a file for others.

The threshold is that of the curve over all volumes: the lowest score of a hit that keeps a rate of false
positives, or the highest that reaches a sensitivity. T thresholds, R draws, P patients.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from comoto.checksums import sealed_json
from comoto.errors import ConfigError
from comoto.evaluation.bootstrap import ResampledFroc
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.figures import Judged, judged
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.parts import Part, resampled
from comoto.operating_points import FORMAT
from comoto.records import IntArray
from comoto.tables import Float64Array

_RATE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*fp\s*", re.IGNORECASE)
_SENSITIVITY = re.compile(r"\s*sensitivity\s*=\s*(\d+(?:\.\d*)?|\.\d+)\s*", re.IGNORECASE)
_ROUNDING = 1e-9
"""A share of lesions is a quotient; 0.9 of 10 lesions are 9."""


@dataclass(frozen=True)
class Wanted:
    """What an operating point is chosen for.

    Attributes:
        what: false positives per volume over all volumes, or a sensitivity.
        value: at most so many, or at least so much.
    """

    what: Literal["fps_per_volume", "sensitivity"]
    value: float

    @staticmethod
    def parse(text: str) -> Wanted:
        """Read ``0.5fp`` or ``sensitivity=0.9``.

        Raises:
            ConfigError: it is neither, a rate of 0, or a sensitivity that is not above 0 and at most 1.
        """
        rate, sensitivity = _RATE.fullmatch(text), _SENSITIVITY.fullmatch(text)
        if rate is not None and float(rate[1]) > 0:
            return Wanted("fps_per_volume", float(rate[1]))
        if sensitivity is not None and 0 < float(sensitivity[1]) <= 1:
            return Wanted("sensitivity", float(sensitivity[1]))
        raise ConfigError(
            f"--operating-point {text}: expected false positives per volume, such as 0.5fp, or a "
            "sensitivity, such as sensitivity=0.9"
        )

    @property
    def text(self) -> str:
        """In the form that ``parse`` reads."""
        return f"{self.value:g}fp" if self.what == "fps_per_volume" else f"sensitivity={self.value:g}"

    def choose(self, fps: Float64Array, sensitivity: Float64Array) -> int | None:
        """Return the place of the threshold on a curve (T,), None where there is none that does it.

        The first point of a curve shows nothing, and so is no operating point.
        """
        if self.what == "fps_per_volume":
            place = int(np.searchsorted(fps, self.value * (1 + _ROUNDING), side="right")) - 1
            return place if place > 0 else None
        place = int(np.searchsorted(sensitivity, self.value * (1 - _ROUNDING), side="left"))
        return place if place < len(sensitivity) else None


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it does on the cohort on which it was chosen.

    Attributes:
        wanted: for what it was chosen.
        threshold: detections with this score or more are shown; its interval is that of thresholds chosen
            anew on each draw of patients.
        sensitivity: of this threshold; intervals are over patients.
        fps_per_volume: likewise, over all volumes.
        about: cohort and model, plain values.
    """

    wanted: Wanted
    threshold: Judged
    sensitivity: Judged
    fps_per_volume: Judged
    about: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the text of the file, sealed with a checksum."""
        return sealed_json({"format": FORMAT, **self.record()})

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "wanted": self.wanted.text,
            "threshold": self.threshold.record(),
            "sensitivity": self.sensitivity.record(),
            "fps_per_volume": self.fps_per_volume.record(),
            **self.about,
        }

    def text(self) -> str:
        """Return one line."""
        return (
            f"operating point {self.wanted.text}: score >= {self.threshold.text(6)}, sensitivity "
            f"{self.sensitivity.text()}, {self.fps_per_volume.text()} FP per volume, all volumes"
        )


def operating_point(
    found: ChallengePredictions,
    truth: ChallengeTruth,
    wanted: Wanted,
    draws: Resampling,
    about: Mapping[str, Any],
) -> OperatingPoint:
    """Choose the threshold on a cohort.

    Args:
        found: matched.
        truth: the cohort.
        wanted: for what.
        draws: how intervals are made.
        about: what else is to stand in the file.

    Raises:
        ConfigError: no threshold does it.
    """
    part = Part.whole(truth)
    curve = resampled(found, truth, part, only_positive=False)
    num_patients = len(truth.patients)
    fps, sensitivity, _ = curve.points_at_draws(np.ones((1, num_patients + 1), dtype=np.int64))
    place = wanted.choose(fps[0], sensitivity[0])
    if place is None:
        raise ConfigError(f"--operating-point {wanted.text}: {_why_not(wanted, fps[0], sensitivity[0])}")
    lowest = float(np.nanmin(found.scores))
    figures = (_Chosen(curve, wanted, lowest), _Fixed(curve, place))
    chosen, fixed = judged(figures, num_patients, draws, part.patients(truth))
    return OperatingPoint(
        wanted,
        chosen["threshold"],
        fixed["sensitivity"],
        fixed["fps_per_volume"],
        {
            "num_lesions": len(truth.lesion_volume),
            "num_volumes": len(truth.volumes),
            "num_patients": num_patients,
            "replicates": draws.replicates,
            "seed": draws.seed,
            "interval": draws.kind,
            **about,
        },
    )


def _why_not(wanted: Wanted, fps: Float64Array, sensitivity: Float64Array) -> str:
    if wanted.what == "sensitivity":
        return f"every prediction together reaches {sensitivity[-1]:.4g}; choose less"
    if len(fps) == 1:
        return "there is no prediction"
    if not sensitivity.any():
        return "no prediction hits a lesion"
    return f"the first hit comes with {fps[1]:.4g} false positives per volume; allow more"


@dataclass(frozen=True)
class _Chosen:
    """The threshold that a draw would choose, NaN where none does it."""

    curve: ResampledFroc
    wanted: Wanted
    lowest: float
    names: tuple[str, ...] = ("threshold",)

    def at(self, copies: IntArray) -> Float64Array:
        """Return it (R, 1) for draws (R, P + 1)."""
        fps, sensitivity, keep = self.curve.points_at_draws(copies)
        result = np.full((len(copies), 1), np.nan)
        for row in np.flatnonzero(~np.isnan(sensitivity[:, -1])):
            kept = keep[row]
            place = self.wanted.choose(fps[row, kept], sensitivity[row, kept])
            if place is not None:  # the last point of a curve lies below every score
                result[row] = max(self.curve.thresholds[kept][place], self.lowest)
        return result


@dataclass(frozen=True)
class _Fixed:
    """What one threshold of a curve does."""

    curve: ResampledFroc
    place: int
    names: tuple[str, ...] = ("sensitivity", "fps_per_volume")

    def at(self, copies: IntArray) -> Float64Array:
        """Return both (R, 2) for draws (R, P + 1)."""
        fps, sensitivity, _ = self.curve.points_at_draws(copies)
        return np.column_stack([sensitivity[:, self.place], fps[:, self.place]])


def made_by_of(predictions: object) -> Mapping[str, Any]:
    """Return which model and settings made a table of ``comoto predict``, from the JSON beside it.

    Args:
        predictions: path of the table; anything else, or another program's table, says nothing.
    """
    sidecar = Path(predictions).with_suffix(".json") if isinstance(predictions, str | Path) else None
    if sidecar is None or not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError):
        return {}  # some other program's file
    is_ours = isinstance(content, dict) and str(content.get("format", "")).startswith("comoto-predictions-")
    return content.get("made_by") or {} if is_ours else {}
