"""The challenge's metric the common way: pandas, one prediction after the other.

Written from the description in docs/tomosynthesis-and-froc.md: for each prediction the boxes of its volume
are looked up in the table, for each threshold the predictions above it.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

LEAST_RADIUS = 100.0


def metric_by_rows(predictions: pd.DataFrame, labels: pd.DataFrame, boxes: pd.DataFrame) -> dict[str, float]:
    """Return the challenge's six figures by their official names."""
    predictions = predictions.reset_index(drop=True)
    predictions["Hit"] = [_hit(row, boxes) for _, row in predictions.iterrows()]
    hits = predictions.loc[predictions["Hit"] >= 0, "Score"]
    ends = [predictions["Score"].max() + 1.0, predictions["Score"].min() - 1.0]
    thresholds = sorted({*ends, *hits}, reverse=True)
    (at_two,) = _sensitivities(predictions, thresholds, len(boxes), len(labels), [2.0])
    positive_volumes = boxes[["StudyUID", "View"]].drop_duplicates()
    on_positive = predictions.merge(positive_volumes, on=["StudyUID", "View"])
    num_positive = len(labels.merge(positive_volumes, on=["StudyUID", "View"]))
    wanted = [1.0, 2.0, 3.0, 4.0]
    values = _sensitivities(on_positive, thresholds, len(boxes), num_positive, wanted)
    figures = {
        f"sensitivity_at_{int(fps)}_fps_positive": value for fps, value in zip(wanted, values, strict=True)
    }
    mean = float(np.mean(values))
    return {"sensitivity_at_2_fps_all": at_two, **figures, "mean_sensitivity_positive": mean}


def _hit(prediction: pd.Series, boxes: pd.DataFrame) -> int:
    """Return the row of the box that a prediction hits, -1 for none."""
    of_volume = boxes[(boxes["StudyUID"] == prediction["StudyUID"]) & (boxes["View"] == prediction["View"])]
    x = prediction["X"] + prediction["Width"] / 2
    y = prediction["Y"] + prediction["Height"] / 2
    z = prediction["Z"] + prediction["Depth"] / 2
    nearest, least = -1, math.inf
    for number, box in of_volume.iterrows():
        dx = x - (box["X"] + box["Width"] / 2)
        dy = y - (box["Y"] + box["Height"] / 2)
        dz = z - box["Slice"]
        radius = max(math.sqrt(box["Width"] ** 2 + box["Height"] ** 2) / 2, LEAST_RADIUS)
        if math.sqrt(dx * dx + dy * dy) > radius or abs(dz) > of_volume.iloc[0]["VolumeSlices"] / 4:
            continue
        distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        if distance < least:
            nearest, least = int(str(number)), distance
    return nearest


def _sensitivities(
    predictions: pd.DataFrame,
    thresholds: list[float],
    num_boxes: int,
    num_volumes: int,
    wanted: list[float],
) -> list[float]:
    fps, sensitivity = [], []
    for threshold in thresholds:
        above = predictions[predictions["Score"] >= threshold]
        found = above[above["Hit"] >= 0]
        fps.append((len(above) - len(found)) / num_volumes)
        sensitivity.append(found["Hit"].nunique() / num_boxes)
    return [float(np.interp(rate, fps, sensitivity)) for rate in wanted]
