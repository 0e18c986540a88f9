"""Arithmetic on half-open boxes ``(x1, y1, x2, y2)``; every function takes (N, 4) and works in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]


def as_boxes(boxes: ArrayLike) -> Float64Array:
    """Return boxes as a new float64 (N, 4) array; an empty list becomes (0, 4).

    Raises:
        ValueError: the last axis does not have four numbers.
    """
    array = np.array(boxes, dtype=np.float64)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must be (N, 4), got {array.shape}")
    return array


def area(boxes_xyxy: ArrayLike) -> Float64Array:
    """Return areas (N,) in square pixels; a box turned inside out has area 0.

    Examples:
        >>> area([[0, 0, 4, 3]]).tolist()
        [12.0]
    """
    boxes = as_boxes(boxes_xyxy)
    return _area(boxes[:, :2], boxes[:, 2:])


def centers(boxes_xyxy: ArrayLike) -> Float64Array:
    """Return box centres (N, 2) as (x, y).

    Examples:
        >>> centers([[0, 0, 4, 3]]).tolist()
        [[2.0, 1.5]]
    """
    boxes = as_boxes(boxes_xyxy)
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2)


def iou_matrix(first_xyxy: ArrayLike, second_xyxy: ArrayLike) -> Float64Array:
    """Return intersection over union of every pair, (N, M); two boxes without area give 0.

    Examples:
        >>> iou_matrix([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]]).round(3).tolist()
        [[1.0, 0.333, 0.0]]
    """
    return _iou(as_boxes(first_xyxy)[:, None], as_boxes(second_xyxy)[None])


def iou_pairs(first_xyxy: ArrayLike, second_xyxy: ArrayLike) -> Float64Array:
    """Return intersection over union of the boxes that stand in the same row of both, (N,).

    Examples:
        >>> iou_pairs([[0, 0, 2, 2], [0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2]]).round(3).tolist()
        [1.0, 0.333]
    """
    return _iou(as_boxes(first_xyxy), as_boxes(second_xyxy))


def _iou(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return intersection over union of boxes (..., 4) of broadcastable shapes."""
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    shared = _area(low, high)
    union = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _area(low: Float64Array, high: Float64Array) -> Float64Array:
    sides = np.clip(high - low, 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])


def clip_boxes(boxes_xyxy: ArrayLike, shape: tuple[int, int]) -> Float64Array:
    """Cut boxes to an image; a box wholly outside keeps no area.

    Args:
        boxes_xyxy: (N, 4).
        shape: (rows, columns) of the image.

    Examples:
        >>> clip_boxes([[-5, 10, 20, 90]], (64, 32)).tolist()
        [[0.0, 10.0, 20.0, 64.0]]
    """
    boxes = as_boxes(boxes_xyxy)
    rows, columns = shape
    boxes[:, 0::2] = np.clip(boxes[:, 0::2], 0, columns)
    boxes[:, 1::2] = np.clip(boxes[:, 1::2], 0, rows)
    return boxes


def visible_boxes(
    boxes_xyxy: ArrayLike, shape: tuple[int, int], min_share: float = 0.25
) -> tuple[Float64Array, NDArray[np.bool_]]:
    """Cut boxes to an image and leave out those that lost too much of their area.

    Args:
        boxes_xyxy: (N, 4).
        shape: (rows, columns) of the image.
        min_share: smallest share of a box's area that must be left.

    Returns:
        The boxes that stay, (M, 4), and which of the N they are, bool (N,).

    Examples:
        >>> boxes, kept = visible_boxes([[-5, 10, 20, 20], [30, 10, 60, 20]], (64, 32))
        >>> boxes.tolist(), kept.tolist()
        ([[0.0, 10.0, 20.0, 20.0]], [True, False])
    """
    clipped = clip_boxes(boxes_xyxy, shape)
    left = area(clipped)
    keep = (left > 0) & (left >= min_share * area(boxes_xyxy))
    return clipped[keep], keep
