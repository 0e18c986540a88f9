"""One image through the model: frames stream, so memory does not grow with the number of slices."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from comoto.config import InferenceConfig
from comoto.detections import Detections
from comoto.errors import DicomError
from comoto.image_header import ImageHeader
from comoto.inference.aggregate import aggregate
from comoto.prefetch import prefetch
from comoto.preprocessing.plan import Plan, plan_image
from comoto.records import Laterality, Modality
from comoto.sources import SourceKind
from comoto.sources.isolated import open_image
from comoto.sources.parallel import decoding_threads

if TYPE_CHECKING:
    from comoto.inference.model import Model


def detect_volume(
    model: Model,
    path: Path,
    laterality: Laterality | None,
    config: InferenceConfig,
    kind: SourceKind | None = None,
) -> tuple[Detections, Plan, ImageHeader]:
    """Detect lesions in one tomosynthesis file.

    Args:
        model: what ``load_model`` returned.
        path: a multi-frame DICOM file.
        laterality: side of the body from a data set's table; then a volume that touches the other side is
            turned by 180 degrees. None trusts the pixels.
        config: slices to look at, and the aggregation.
        kind: what was said of the file before, see ``open_source``.

    Returns:
        Detections in source pixels of the corrected orientation, how the volume was rendered, and its header.

    Raises:
        DicomError: the file cannot be read or is no volume.
    """
    with open_image(path, kind) as image:
        if not image.header.is_multiframe:
            raise DicomError(
                f"{path}: a single image where a tomosynthesis volume is expected; for a mammogram add "
                "--mammograms, with a teacher as --model"
            )
        plan = plan_image(image, laterality, Modality.TOMOSYNTHESIS, model.config.preprocess)
        indices = slice_indices(image.header.num_frames, config.slice_step)

        def rendered(index: int) -> tuple[int, NDArray[np.uint8]]:
            return index, plan.render(image.frame(index, plan.halvings))

        slices = prefetch(rendered, indices, decoding_threads(), 2 * config.batch_size)
        found = detect_slices(model, slices, config.batch_size)
        result = aggregate(found, image.header.num_frames, config.aggregation)
        header = image.header
    return result.to_source(plan).clipped(plan.source_shape), plan, header


def detect_mammogram(
    model: Model, path: Path, laterality: Laterality | None, kind: SourceKind | None = None
) -> tuple[Detections, Plan, ImageHeader]:
    """Detect lesions in one mammogram.

    Returns:
        Detections in source (= stored) pixels, how the image was rendered, and its header.

    Raises:
        DicomError: the file cannot be read or holds a stack.
    """
    with open_image(path, kind) as image:
        plan = plan_image(image, laterality, Modality.MAMMOGRAM, model.config.preprocess)
        found = model.detect([plan.render(image.frame(0, plan.halvings))])[0]
        header = image.header
    return found.to_source(plan), plan, header


def detect_slices(
    model: Model, rendered: Iterable[tuple[int, NDArray[np.uint8]]], batch_size: int
) -> dict[int, Detections]:
    """Detect on slices (index, uint8 (h, w)) that come one after the other; the boxes stay on the grid."""
    found: dict[int, Detections] = {}
    slices = iter(rendered)
    while batch := list(islice(slices, batch_size)):
        results = model.detect([image for _, image in batch])
        found.update(zip((index for index, _ in batch), results, strict=True))
    return found


def slice_indices(num_slices: int, step: int) -> list[int]:
    """Return every ``step``-th slice, centred so that both ends are left out alike."""
    return list(range((num_slices - 1) % step // 2, num_slices, step))
