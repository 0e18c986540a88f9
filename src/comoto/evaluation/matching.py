"""Which lesion does a detection hit? Vectorised over all pairs that lie on one image.

N detections, L lesions, P pairs. A lesion that is hit several times counts once, and the further hits are
not false positives; a detection hits one lesion at most.
"""

from __future__ import annotations

import numpy as np

from comoto.geometry.boxes import centers, iou_pairs
from comoto.records import IntArray
from comoto.tables import Float64Array


def same_image_pairs(detection_image: IntArray, lesion_image: IntArray) -> tuple[IntArray, IntArray]:
    """Pair every detection with every lesion of its image.

    Args:
        detection_image: (N,) number of the image; negative for an image that is not known.
        lesion_image: (L,) number of the image, never negative.

    Returns:
        Detection and lesion of each pair, both (P,), by detection and then in the order of the lesions.
    """
    by_image = np.argsort(lesion_image, kind="stable")
    known = max(lesion_image.max(initial=-1), detection_image.max(initial=-1)) + 1
    lesions_of = np.bincount(lesion_image, minlength=known + 1)  # the last entry serves unknown images
    place = np.maximum(detection_image, -1)
    first = (np.cumsum(lesions_of) - lesions_of)[place]
    count = lesions_of[place]
    detection = np.repeat(np.arange(len(detection_image)), count)
    within = np.arange(len(detection)) - np.repeat(np.cumsum(count) - count, count)
    return detection, by_image[np.repeat(first, count) + within]


def cheapest(detection: IntArray, lesion: IntArray, cost: Float64Array, num_detections: int) -> IntArray:
    """Choose one lesion per detection: the lowest cost, and of equal costs the first pair.

    Args:
        detection: (P,) of the pairs that fit, ordered as ``same_image_pairs`` orders them.
        lesion: (P,).
        cost: (P,).
        num_detections: N.

    Returns:
        (N,) lesion that a detection hits, -1 where it hits none.
    """
    order = np.lexsort((cost, detection))
    detection, lesion = detection[order], lesion[order]
    best = np.diff(detection, prepend=-1) > 0
    hit = np.full(num_detections, -1, dtype=np.int64)
    hit[detection[best]] = lesion[best]
    return hit


def hits_by_challenge_rule(
    detection_image: IntArray,
    detection_center: Float64Array,
    lesion_image: IntArray,
    lesion_center: Float64Array,
    radius: Float64Array,
    slice_tolerance: Float64Array,
) -> IntArray:
    """Match by the rule of the DBTex challenge: both limits are inclusive.

    Args:
        detection_image: (N,) number of the volume, negative for an unknown one.
        detection_center: (N, 3) x, y in source pixels and z in slices.
        lesion_image: (L,) number of the volume.
        lesion_center: (L, 3) as ``detection_center``.
        radius: (L,) largest distance in the slice plane, pixels.
        slice_tolerance: (L,) largest distance in slices.

    Returns:
        (N,) lesion that a detection hits, -1 for none. Of several lesions that fit it is the nearest in
        x, y, z with pixels and slices mixed unscaled; that is the challenge's definition.
    """
    detection, lesion = same_image_pairs(detection_image, lesion_image)
    dx, dy, dz = (detection_center[detection] - lesion_center[lesion]).T
    fits = (np.sqrt(dx * dx + dy * dy) <= radius[lesion]) & (np.abs(dz) <= slice_tolerance[lesion])
    distance = np.sqrt(dx * dx + dy * dy + dz * dz)
    return cheapest(detection[fits], lesion[fits], distance[fits], len(detection_image))


def hits_in_plane(
    detection_image: IntArray,
    detection_center: Float64Array,
    lesion_image: IntArray,
    lesion_center: Float64Array,
    radius: Float64Array,
) -> IntArray:
    """Match by the place in the slice plane alone, at whatever depth.

    A detection that hits nothing by the challenge's rule but something by this one has found the lesion in
    the plane and is wrong about its slice.

    Args:
        detection_image: (N,) number of the volume, negative for an unknown one.
        detection_center: (N, 3) x, y in source pixels and z in slices, which has no say.
        lesion_image: (L,) number of the volume.
        lesion_center: (L, 3) as ``detection_center``.
        radius: (L,) largest distance in the slice plane, pixels, inclusive.

    Returns:
        (N,) nearest lesion in the plane within its radius, -1 for none.
    """
    detection, lesion = same_image_pairs(detection_image, lesion_image)
    dx, dy, _ = (detection_center[detection] - lesion_center[lesion]).T
    distance = np.sqrt(dx * dx + dy * dy)
    fits = distance <= radius[lesion]
    return cheapest(detection[fits], lesion[fits], distance[fits], len(detection_image))


def hits_by_iou(
    detection_image: IntArray,
    detection_boxes: Float64Array,
    lesion_image: IntArray,
    lesion_boxes: Float64Array,
    least_iou: float,
) -> IntArray:
    """Match where the overlap (intersection over union) is at least ``least_iou``; the largest one wins.

    Args:
        detection_image: (N,) number of the image.
        detection_boxes: (N, 4) x1, y1, x2, y2 in source pixels, half-open.
        lesion_image: (L,) number of the image.
        lesion_boxes: (L, 4) as ``detection_boxes``.
        least_iou: above 0 and at most 1.

    Returns:
        (N,) lesion that a detection hits, -1 for none.
    """
    detection, lesion = same_image_pairs(detection_image, lesion_image)
    overlap = iou_pairs(detection_boxes[detection], lesion_boxes[lesion])
    fits = overlap >= least_iou
    return cheapest(detection[fits], lesion[fits], -overlap[fits], len(detection_image))


def hits_by_center(
    detection_image: IntArray,
    detection_boxes: Float64Array,
    lesion_image: IntArray,
    lesion_boxes: Float64Array,
) -> IntArray:
    """Match where the detection's centre lies inside the lesion's half-open box; the nearest centre wins.

    Shapes and result as in ``hits_by_iou``.
    """
    detection, lesion = same_image_pairs(detection_image, lesion_image)
    center = centers(detection_boxes)[detection]
    box = lesion_boxes[lesion]
    fits = np.asarray(((center >= box[:, :2]) & (center < box[:, 2:])).all(axis=1))
    distance = np.sqrt(((center - centers(lesion_boxes)[lesion]) ** 2).sum(axis=1))
    return cheapest(detection[fits], lesion[fits], distance[fits], len(detection_image))
