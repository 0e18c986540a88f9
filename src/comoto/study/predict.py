"""Test volumes from a prepared store: the planes are rendered already, so no DICOM file is opened."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from comoto.config import InferenceConfig
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import detect_slices, slice_indices
from comoto.preprocessing.store import PreparedStore
from comoto.records import Manifest, VolumeDetections


def predict_store(
    model: Model, store: PreparedStore, manifest: Manifest, config: InferenceConfig
) -> Iterator[VolumeDetections]:
    """Predict the volumes of a manifest from a store.

    Args:
        model: what ``load_model`` returned.
        store: holds the manifest's images.
        manifest: which volumes, in which order.
        config: every how many prepared planes are looked at, and the aggregation.

    Yields:
        Detections in source pixels, 0-based source slices.
    """
    for record in manifest.records():
        indices, pixels = store.slice_indices(record.image_id), store.pixels(record.image_id)
        planes = slice_indices(len(indices), config.slice_step)
        found = detect_slices(model, ((int(indices[k]), pixels[k]) for k in planes), config.batch_size)
        boxes = aggregate(found, store.num_slices(record.image_id), config.aggregation)
        plan = store.plan(record.image_id)
        height, width = plan.source_shape
        on_source = plan.boxes_to_source(boxes.boxes_xyxy)
        yield VolumeDetections(
            image_id=record.image_id,
            patient_id=record.patient_id,
            study_id=record.study_id,
            view_key=record.view_key,
            boxes_xyxy=np.clip(on_source, 0, np.array([width, height, width, height], dtype=np.float32)),
            scores=boxes.scores,
            first_slice=boxes.first_slice,
            num_spanned=boxes.num_spanned,
        )
