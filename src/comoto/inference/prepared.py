"""Prediction of whole volumes from a prepared store, without decoding anything again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from comoto.config import AggregationConfig, InferenceConfig
from comoto.errors import ConfigError
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import detect_slices, on_source, rounded, slice_indices
from comoto.preprocessing.store import PreparedStore
from comoto.records import (
    PREDICTION_COLUMNS,
    ImageRecord,
    Manifest,
    SliceDetections,
    VolumeDetections,
)


def predict_store(
    model: Model, store: PreparedStore, manifest: Manifest, config: InferenceConfig
) -> list[VolumeDetections]:
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
) -> dict[str, list[VolumeDetections]]:
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
    volumes: dict[str, list[VolumeDetections]] = {name: [] for name in rules}
    for record in manifest.records():
        found = detect_slices(model, _planes(store, record.image_id, config.slice_step), config.batch_size)
        for name, rule in rules.items():
            volumes[name].append(_merged(store, record, found, rule))
    return volumes


def prediction_table(volumes: list[VolumeDetections]) -> pd.DataFrame:
    """Return the challenge's submission table (columns ``PREDICTION_COLUMNS``) of several volumes."""
    tables = [volume.table() for volume in volumes if len(volume)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(PREDICTION_COLUMNS))


def _merged(
    store: PreparedStore, record: ImageRecord, found: dict[int, SliceDetections], rule: AggregationConfig
) -> VolumeDetections:
    merged = aggregate(found, store.num_slices(record.image_id), rule)
    volume = on_source(merged, store.plan(record.image_id))
    boxes = [rounded(box) for box in volume.boxes_xyxy.tolist()]
    return VolumeDetections(
        image_id=record.image_id,
        patient_id=record.patient_id,
        study_id=record.study_id,
        view_key=record.view_key,
        boxes_xyxy=np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        scores=volume.scores,
        first_slice=volume.first_slice,
        num_spanned=volume.num_spanned,
    )


def _planes(store: PreparedStore, image_id: str, step: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield every ``step``-th plane with its slice; the same slices as in the file if all were prepared."""
    indices = store.slice_indices(image_id)
    planes = store.regular_planes(image_id)
    for plane in planes[slice_indices(len(planes), step)]:
        yield int(indices[plane]), store.plane(image_id, int(plane))
