"""Lesion points: where a box is looked at, and what the feature map says there.

The nine points are the corners, the centre and the middles of the edges of a box (CoMoTo, arXiv 2407.17620);
the order is top left, top right, bottom left, bottom right, centre, left, right, top, bottom.

Letters: B images, C channels, h x w cells, P points, N boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_X = (0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 1.0, 0.5, 0.5)
_Y = (0.0, 0.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.0, 1.0)
_CHOICE = {1: (4,), 4: (0, 1, 2, 3), 5: (4, 5, 6, 7, 8), 9: tuple(range(9))}


def box_points(boxes_xyxy: Tensor, num_points: int) -> Tensor:
    """Return the points of boxes (N, 4) as (N, P, 2), (x, y) in the boxes' own pixels."""
    choice = list(_CHOICE[num_points])
    x = boxes_xyxy.new_tensor(_X)[choice]  # P
    y = boxes_xyxy.new_tensor(_Y)[choice]
    x1, y1, x2, y2 = boxes_xyxy.unsqueeze(-1).unbind(1)  # each (N, 1)
    return torch.stack((x1 + (x2 - x1) * x, y1 + (y2 - y1) * y), dim=-1)


def sample_bilinear(feature_map: Tensor, points_xy: Tensor, image_shape: tuple[int, int]) -> Tensor:
    """Read a feature map at points, bilinearly; points outside the image read its border.

    Args:
        feature_map: (C, h, w).
        points_xy: (..., 2) pixels of the grid; pixel edges are whole numbers, so pixel k spans [k, k + 1).
        image_shape: (H, W).

    Returns:
        (C, ...) float32.
    """
    size = points_xy.new_tensor((image_shape[1], image_shape[0]))
    # align_corners=False: -1 and 1 are the outer edges of the image, which is right for every stride
    where = (points_xy / size * 2 - 1).reshape(1, 1, -1, 2)
    values = functional.grid_sample(
        feature_map.float().unsqueeze(0), where.float(), padding_mode="border", align_corners=False
    )
    return values.reshape(feature_map.shape[0], *points_xy.shape[:-1])


def lesion_matrix(
    feature_map: Tensor, boxes_xyxy: Tensor, num_points: int, image_shape: tuple[int, int]
) -> Tensor:
    """Return P_b (C, P): the features at the points of one image's boxes, averaged over the boxes.

    Args:
        feature_map: (C, h, w).
        boxes_xyxy: (N, 4) with N > 0, pixels of the grid.
        num_points: P, one of 1, 4, 5, 9.
        image_shape: (H, W).
    """
    points = box_points(boxes_xyxy, num_points)
    return sample_bilinear(feature_map, points, image_shape).mean(dim=1)
