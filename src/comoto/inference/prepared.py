"""Prediction of whole volumes from a prepared store, without decoding anything again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from comoto.config import AggregationConfig, InferenceConfig
from comoto.detections import Detections
from comoto.errors import ConfigError
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import detect_slices, slice_indices
from comoto.preprocessing.store import PreparedStore
from comoto.records import ImageRecord, Manifest


def predict_store(
    model: Model, store: PreparedStore, manifest: Manifest, config: InferenceConfig
) -> list[Detections]:
    """Predict on the prepared volumes of a manifest.

    Every ``slice_step``-th prepared slice is looked at, without those that were prepared only because a
    lesion is near. If all slices were prepared, the table of the result is the one that ``comoto predict``
    writes for the DICOM files.

    Args:
        model: in eval mode.
        store: tomosynthesis, prepared as the model's preset says.
        manifest: of the volumes, such as one split of the store's.
        config: slices to look at, and the aggregation.

    Returns:
        Detections in source pixels, 0-based slices, in the order of the manifest.

    Raises:
        DatasetError: the store holds no such image.
        ConfigError: the store was prepared otherwise than the model's images, or the aggregation rule is
            unknown.
    """
    return predict_store_by_rules(model, store, manifest, config, {"": config.aggregation})[""]


def predict_store_by_rules(
    model: Model,
    store: PreparedStore,
    manifest: Manifest,
    config: InferenceConfig,
    rules: Mapping[str, AggregationConfig],
) -> dict[str, list[Detections]]:
    """Predict as ``predict_store`` does, under several aggregation rules; the network runs once.

    Args:
        model: in eval mode.
        store: tomosynthesis, prepared as the model's preset says.
        manifest: of the volumes.
        config: slices to look at.
        rules: by any name.

    Returns:
        For each name what ``predict_store`` returns with that rule.

    Raises:
        DatasetError, ConfigError: as ``predict_store``.
    """
    if store.config != model.config.preprocess:
        raise ConfigError(
            f"{store.folder}: prepared with other preprocess settings than {model.name} was trained with; "
            "prepare the volumes again with the model's preset"
        )
    volumes: dict[str, list[Detections]] = {name: [] for name in rules}
    for record in manifest.records():
        found = detect_slices(model, _planes(store, record.image_id, config.slice_step), config.batch_size)
        for name, rule in rules.items():
            volumes[name].append(_merged(store, record, found, rule))
    return volumes


def score_planes(model: Model, store: PreparedStore, image_id: str, step: int) -> dict[int, float]:
    """Return the best score on every ``step``-th prepared slice of an image, by plane; 0 without a box.

    Args:
        model: in eval mode.
        store: prepared as the model's preset says.
        image_id: of a volume.
        step: as ``InferenceConfig.slice_step``.

    Raises:
        DatasetError: the store holds no such image.
    """
    planes = store.regular_planes(image_id)
    chosen = planes[slice_indices(len(planes), step)].tolist()
    images = ((plane, store.plane(image_id, plane)) for plane in chosen)
    found = detect_slices(model, images, model.config.inference.batch_size)
    return {plane: float(boxes.scores.max(initial=0.0)) for plane, boxes in found.items()}


def _merged(
    store: PreparedStore, record: ImageRecord, found: dict[int, Detections], rule: AggregationConfig
) -> Detections:
    return on_source(aggregate(found, store.num_slices(record.image_id), rule), store, record)


def on_source(found: Detections, store: PreparedStore, record: ImageRecord) -> Detections:
    """Return boxes on the grid of a prepared image in its source pixels, clipped, rounded and named."""
    plan = store.plan(record.image_id)
    return replace(
        found.to_source(plan).clipped(plan.source_shape).rounded(),
        image_id=record.image_id,
        patient_id=record.patient_id,
        study_id=record.study_id,
        view_key=record.view_key,
    )


def _planes(store: PreparedStore, image_id: str, step: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield every ``step``-th plane with its slice; the same slices as in the file if all were prepared."""
    indices = store.slice_indices(image_id)
    planes = store.regular_planes(image_id)
    for plane in planes[slice_indices(len(planes), step)]:
        yield int(indices[plane]), store.plane(image_id, int(plane))
