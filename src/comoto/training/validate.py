"""How a run is judged while it trains: the metric that is reported later, on validation patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.config import SelectionConfig, TrainConfig
from comoto.errors import DatasetError
from comoto.evaluation.challenge import challenge_metric
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.evaluation.mammogram import evaluate_mammograms
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import detect_slices
from comoto.preprocessing.store import PreparedStore
from comoto.records import PREDICTION_COLUMNS, ImageRecord, Manifest, VolumeDetections
from comoto.training.data import Cohort

VOLUME_METRIC = "mean_sensitivity_positive"
VOLUME_TIE_BREAK = "sensitivity_at_2_fps_all"
"""The challenge's own: here volumes without a lesion count."""
MAMMOGRAM_METRIC = "mean_sensitivity"
MAMMOGRAM_TIE_BREAK = "sensitivity_at_0.5_fps"


def validate_volumes(model: Model, cohort: Cohort, config: TrainConfig) -> dict[str, float]:
    """Return the challenge's figures on the validation volumes of a store.

    Every ``selection.slice_step``-th slice is looked at. The model must be in eval mode.

    Raises:
        DatasetError: no validation volume has a lesion.
    """
    manifest = chosen_images(cohort.validation, config.selection)
    tables = [_volume(model, cohort.store, record, config).table() for record in manifest.records()]
    predictions = pd.concat(tables) if tables else pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    labels, boxes = challenge_tables(manifest)
    return challenge_metric(predictions, labels, boxes, config.selection.min_hit_radius)


def validate_mammograms(
    model: Model, cohorts: Sequence[Cohort], selection: SelectionConfig
) -> dict[str, float]:
    """Return the sensitivity at 1 to 4 false positives per mammogram, and its mean, on validation mammograms.

    A detection hits a lesion whose box holds its centre. Of several data sets each figure is the mean.
    The model must be in eval mode.

    Raises:
        DatasetError: a data set has no validation mammogram with a lesion.
    """
    each = [_mammograms(model, cohort, selection) for cohort in cohorts]
    return {key: float(np.mean([one[key] for one in each])) for key in each[0]}


def _mammograms(model: Model, cohort: Cohort, selection: SelectionConfig) -> dict[str, float]:
    manifest = chosen_images(cohort.validation, selection)
    records = list(manifest.records())
    pixels = ((k, cohort.store.pixels(record.image_id)[0]) for k, record in enumerate(records))
    found = detect_slices(model, pixels, model.config.inference.batch_size)
    rows = [
        (record.image_id, *box, score)
        for k, record in enumerate(records)
        for box, score in zip(
            cohort.store.plan(record.image_id).boxes_to_source(found[k].boxes_xyxy),
            found[k].scores,
            strict=True,
        )
    ]
    detections = pd.DataFrame(rows, columns=["image_id", "x1", "y1", "x2", "y2", "score"])
    return evaluate_mammograms(detections, manifest, rule="center").metric


def chosen_images(validation: Manifest, selection: SelectionConfig) -> Manifest:
    """Return at most ``max_images`` validation images; images with lesions are kept first.

    Raises:
        DatasetError: none has a lesion, so nothing can be selected by sensitivity.
    """
    if not len(validation.lesions):
        raise DatasetError(
            f"{validation.name}: no validation image has a lesion; raise data.validation_share, "
            "or give the data set a validation split with lesions"
        )
    if len(validation) <= selection.max_images:
        return validation
    has_lesion = validation.images["image_id"].isin(validation.lesions["image_id"])
    order = np.argsort(~has_lesion.to_numpy(dtype=bool), kind="stable")[: selection.max_images]
    keep = pd.Series(False, index=validation.images.index)
    keep.iloc[order] = True
    return validation.select(keep)


def _volume(model: Model, store: PreparedStore, record: ImageRecord, config: TrainConfig) -> VolumeDetections:
    indices = store.slice_indices(record.image_id)
    pixels = store.pixels(record.image_id)
    step = config.selection.slice_step
    planes: list[tuple[int, NDArray[np.uint8]]] = [
        (int(index), pixels[plane]) for plane, index in enumerate(indices) if plane % step == step // 2
    ] or [(int(indices[0]), pixels[0])]
    found = detect_slices(model, planes, config.inference.batch_size)
    boxes = aggregate(found, store.num_slices(record.image_id), config.inference.aggregation)
    return VolumeDetections(
        image_id=record.image_id,
        patient_id=record.patient_id,
        study_id=record.study_id,
        view_key=record.view_key,
        boxes_xyxy=store.plan(record.image_id).boxes_to_source(boxes.boxes_xyxy),
        scores=boxes.scores,
        first_slice=boxes.first_slice,
        num_spanned=boxes.num_spanned,
    )
