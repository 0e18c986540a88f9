"""The teacher's evaluation on held-out mammograms, read back from its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from comoto.errors import DatasetError
from comoto.evaluation.bootstrap import Band, Bootstrap, Interval
from comoto.evaluation.froc import Froc
from comoto.evaluation.mammogram import MammogramResult
from comoto.tables import Float64Array

FORMAT = "comoto-mammogram-evaluation-1"


def read_mammogram_result(path: Path, content: dict[str, Any]) -> MammogramResult:
    """Rebuild what ``MammogramResult.record`` described.

    Args:
        path: for messages.
        content: of the file.

    Raises:
        DatasetError: the file is no evaluation on mammograms.
    """
    if content.get("format") != FORMAT:
        raise DatasetError(f"{path}: format {content.get('format')!r} is not {FORMAT}")
    try:
        return MammogramResult(
            metric={
                name: float(content[name]) for name in content if name.startswith(("sensi", "mean_sensi"))
            },
            froc=_froc(content),
            lesion_images=tuple(row["image_id"] for row in content["lesions"]),
            rule=content["rule"],
            iou=float(content["iou"] or 0.0),
            num_predictions=int(content["num_predictions"]),
            bootstrap=None if content["bootstrap"] is None else _bootstrap(content),
            warnings=tuple(map(str, content.get("warnings", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: not a complete evaluation on mammograms: {error!r}") from error


def _froc(content: dict[str, Any]) -> Froc:
    curve = content["froc"]
    return Froc(
        thresholds=_array(curve["threshold"], np.inf),
        fps_per_image=_array(curve["fps_per_image"], np.nan),
        sensitivity=_array(curve["sensitivity"], np.nan),
        lesion_scores=_array([row["best_score"] for row in content["lesions"]], -np.inf),
        num_lesions=int(content["num_lesions"]),
        num_images=int(content["num_images"]),
    )


def _bootstrap(content: dict[str, Any]) -> Bootstrap:
    about, band = content["bootstrap"], content["froc"]["band"]
    return Bootstrap(
        replicates=int(about["replicates"]),
        seed=int(about["seed"]),
        without_lesion=int(about["replicates_without_lesion"]),
        intervals={
            name: Interval(*_array(ends, np.nan).tolist()) for name, ends in about["intervals"].items()
        },
        bands={
            "images": Band(
                _array(band["fps_per_image"], np.nan),
                _array(band["low"], np.nan),
                _array(band["high"], np.nan),
            )
        },
    )


def _array(values: list[float | None], instead: float) -> Float64Array:
    return np.array([instead if value is None else value for value in values], dtype=np.float64)
