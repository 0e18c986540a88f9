"""How a run is judged while it trains: the metric that is reported later, on validation patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from comoto.config import SelectionConfig, TrainConfig
from comoto.detections import prediction_table
from comoto.errors import DatasetError
from comoto.evaluation import challenge, mammogram
from comoto.evaluation.average_precision import map_2d
from comoto.evaluation.challenge import challenge_metric
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.evaluation.hit_radius import largest_radius, radius_problem
from comoto.evaluation.mammogram import evaluate_mammograms
from comoto.inference.model import Model
from comoto.inference.prepared import predict_store
from comoto.inference.volume import detect_slices
from comoto.progress import say
from comoto.records import Manifest
from comoto.training.cohorts import Cohort

VOLUME_METRIC = challenge.MEAN_NAME
VOLUME_TIE_BREAK = "sensitivity_at_2_fps_all"
"""The challenge's own: here volumes without a lesion count."""
MAMMOGRAM_METRIC = mammogram.MEAN_NAME
MAMMOGRAM_TIE_BREAK = "sensitivity_at_0.5_fps"
MAP_2D = "map_2d"


@dataclass(frozen=True)
class Validator:
    """How a run is judged.

    Attributes:
        validate: returns metrics; the model must be in eval mode.
        metric: names the one that chooses the checkpoint.
        tie_break: names the one that decides between equal values of ``metric``.
    """

    validate: Callable[[], dict[str, float]]
    metric: str
    tie_break: str


def volume_validator(model: Model, cohort: Cohort, config: TrainConfig) -> Validator:
    """Return how a student is judged: as its volumes are reported, or slice by slice as published."""
    if config.selection.metric == MAP_2D:
        validate = partial(validate_single_images, model, [cohort], config.selection)
        return Validator(validate, MAP_2D, MAP_2D)
    radius = hit_radius(cohort, config.selection)
    validate = partial(validate_volumes, model, cohort, config, radius)
    return Validator(validate, VOLUME_METRIC, VOLUME_TIE_BREAK)


def hit_radius(cohort: Cohort, selection: SelectionConfig) -> float:
    """Return the least hit radius in pixels that validates a run, and say so if it is not the setting.

    The challenge's 100 pixels cover a small image, every box would hit, and the first epoch would be kept.
    """
    names = chosen_images(cohort.validation, selection).images["image_id"]
    shapes = [cohort.store.plan(name).source_shape for name in names]
    problem = radius_problem(selection.min_hit_radius, shapes)
    if problem is None:
        return selection.min_hit_radius
    radius = largest_radius(shapes)
    say(
        f"note: selection.min_hit_radius: {problem}; {radius:g} pixels are taken to choose the epoch "
        "(8.5 mm in pixels are what the challenge means)"
    )
    return radius


def mammogram_validator(model: Model, cohorts: Sequence[Cohort], config: TrainConfig) -> Validator:
    """Return how a teacher is judged."""
    if config.selection.metric == MAP_2D:
        validate = partial(validate_single_images, model, cohorts, config.selection)
        return Validator(validate, MAP_2D, MAP_2D)
    validate = partial(validate_mammograms, model, cohorts, config.selection)
    return Validator(validate, MAMMOGRAM_METRIC, MAMMOGRAM_TIE_BREAK)


def validate_volumes(model: Model, cohort: Cohort, config: TrainConfig, radius: float) -> dict[str, float]:
    """Return the challenge's metrics on the validation volumes of a store, with this least hit radius.

    Every ``selection.slice_step``-th slice is looked at. The model must be in eval mode.

    Raises:
        DatasetError: no validation volume has a lesion.
    """
    manifest = chosen_images(cohort.validation, config.selection)
    look = config.inference.model_copy(update={"slice_step": config.selection.slice_step})
    predictions = prediction_table(predict_store(model, cohort.store, manifest, look))
    labels, boxes = challenge_tables(manifest)
    return challenge_metric(predictions, labels, boxes, radius)


def validate_single_images(
    model: Model, cohorts: Sequence[Cohort], selection: SelectionConfig
) -> dict[str, float]:
    """Return ``map_2d`` on the annotated slices, or on the mammograms with lesions, as the published code.

    Of several data sets it is the mean. The model must be in eval mode.

    Raises:
        DatasetError: a data set has no validation image with a lesion.
    """
    return {MAP_2D: float(np.mean([_map_2d(model, cohort, selection) for cohort in cohorts]))}


def validate_mammograms(
    model: Model, cohorts: Sequence[Cohort], selection: SelectionConfig
) -> dict[str, float]:
    """Return the sensitivity at 1 to 4 false positives per mammogram, and its mean, on validation mammograms.

    A detection hits a lesion whose box holds its centre. Of several data sets each metric is the mean.
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


def _map_2d(model: Model, cohort: Cohort, selection: SelectionConfig) -> float:
    store = cohort.store
    detections, truths = [], []
    for record in chosen_images(cohort.validation, selection).records():
        lesions = np.array([lesion.box_xyxy for lesion in record.lesions]).reshape(-1, 4)
        where = np.array([lesion.slice_index or 0 for lesion in record.lesions])
        indices, name = store.slice_indices(record.image_id), record.image_id
        annotated = np.flatnonzero(np.isin(indices, where)).tolist()
        planes = [(int(indices[k]), store.plane(name, k)) for k in annotated]
        for index, found in detect_slices(model, planes, model.config.inference.batch_size).items():
            boxes = store.plan(record.image_id).boxes_to_source(found.boxes_xyxy)
            detections.append((boxes, found.scores))
            truths.append(lesions[where == index])
    return map_2d(detections, truths)
