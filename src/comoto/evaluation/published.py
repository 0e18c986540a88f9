"""The published code's own metrics, to measure what their defects are worth. Not for reporting.

Source: evaluation code that accompanies arXiv 2407.17620. The right metrics are in ``challenge`` and
``mammogram``; these stand beside them on the same detections.

Volumes. The published labels are the rows of the boxes, so every lesion counts as a volume: a volume with
two lesions divides the false positives by two. On the released test set, 136 lesions in 121 volumes, the FP
rate comes out as 121 / 136 = 0.89 of the right one; the right one is 12 % higher. A normal volume is in
neither denominator; predictions on one are false positives in "all" and left out of the other metrics.

Mammograms. Detections are matched greedily, IoU at least 0.1, at most 100 an image; a second hit of one
lesion is a false positive. Sensitivity is the share of the *matched detections* above the threshold, so a
lesion that was never detected is forgotten: 1 of 4 found scores 1.0. It is read only where a threshold leaves
exactly 1, 2, 3 or 4 false positives per image, averaged over such thresholds, and undefined elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comoto.defaults import HIT_RADIUS
from comoto.errors import DatasetError
from comoto.evaluation.average_precision import MAX_DETECTIONS, greedy_hits
from comoto.evaluation.challenge import metric_of
from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.evaluation.froc import count_at_or_above, froc, froc_thresholds
from comoto.evaluation.mammogram import MEAN_NAME, metric_name, read_mammogram_boxes
from comoto.geometry.boxes import iou_matrix
from comoto.records import Manifest, Modality
from comoto.tables import BoolArray, Float64Array, TableSource

PUBLISHED_IOU = 0.1
PUBLISHED_FPS = (1, 2, 3, 4)


def published_challenge_metric(
    predictions: TableSource, labels: TableSource, boxes: TableSource, min_radius: float = HIT_RADIUS
) -> dict[str, float]:
    """Return the challenge's six metrics as the published code computes them.

    Both FP rates are divided by the number of lesions. As in the challenge's own code, all predictions enter
    "all" and the thresholds, and those on volumes with a box the other metrics. Arguments and errors as for
    ``challenge_metric``.
    """
    truth = read_truth(labels, boxes, min_radius)
    found = read_predictions(predictions, truth)
    kept = found.on_positive(truth)
    num_lesions = len(truth.lesion_volume)
    thresholds = froc_thresholds(found.scores, found.hit_lesion)
    return metric_of(
        froc(found.scores, found.hit_lesion, num_lesions, num_lesions, thresholds),
        froc(found.scores[kept], found.hit_lesion[kept], num_lesions, num_lesions, thresholds),
    )


def published_mammogram_metric(
    detections: TableSource, lesions: TableSource, image_ids: Sequence[str]
) -> dict[str, float]:
    """Return the sensitivity at 1, 2, 3, 4 false positives per image and their mean, as published.

    Args:
        detections: columns image_id, x1, y1, x2, y2, score; source pixels.
        lesions: columns image_id, x1, y1, x2, y2.
        image_ids: all images that were looked at.

    Raises:
        DatasetError: a table is wrong, no detection is matched, or the published metric divides by zero
            because no threshold leaves exactly 1, 2, 3 or 4 false positives per image.
    """
    found = read_mammogram_boxes(detections, lesions, image_ids)
    scores: list[Float64Array] = []
    hits: list[BoolArray] = []
    for image in range(found.num_images):
        own = np.flatnonzero((found.detection_image == image) & ~np.isnan(found.scores))
        own = own[np.argsort(-found.scores[own], kind="stable")][:MAX_DETECTIONS]
        overlap = iou_matrix(found.detection_boxes[own], found.lesion_boxes[found.lesion_image == image])
        scores.append(found.scores[own])
        hits.append(greedy_hits(overlap, np.array([PUBLISHED_IOU]))[0])
    return _at_exact_rates(np.concatenate(scores), np.concatenate(hits), found.num_images)


def published_on_manifest(detections: TableSource, manifest: Manifest) -> dict[str, float]:
    """Return ``published_mammogram_metric`` on all mammograms of a manifest."""
    mammograms = manifest.select(manifest.images["modality"] == Modality.MAMMOGRAM.value)
    return published_mammogram_metric(detections, mammograms.lesions, mammograms.images["image_id"].tolist())


def _at_exact_rates(scores: Float64Array, is_hit: BoolArray, num_images: int) -> dict[str, float]:
    """Average the share of matched detections over the thresholds with a whole FP rate.

    Args:
        scores: (N,) of all detections; each is a threshold, equal ones count each.
        is_hit: (N,) whether a detection is matched.
        num_images: denominator of the FP rate.
    """
    if not is_hit.any():
        raise DatasetError(
            "the published metric is not defined here: no detection matches a lesion, and it divides by the "
            "number of matched detections; use the FROC"
        )
    false_positives = count_at_or_above(scores[~is_hit], scores)
    sensitivity = count_at_or_above(scores[is_hit], scores) / is_hit.sum()
    metrics: dict[str, float] = {}
    for fps in PUBLISHED_FPS:
        exact = false_positives == fps * num_images
        if not exact.any():
            raise DatasetError(
                "the published metric is not defined here: it divides by the number of thresholds that leave "
                f"exactly {fps * num_images} false positives ({fps} for each of {num_images} images), and "
                f"there is none; all detections together have {int((~is_hit).sum())}; use the FROC"
            )
        metrics[metric_name(fps)] = float(sensitivity[exact].mean())
    metrics[MEAN_NAME] = float(np.mean(list(metrics.values())))
    return metrics
