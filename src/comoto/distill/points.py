"""Lesion points: where a box is looked at, and what the feature map says there.

The nine points are the corners, the centre and the middles of the edges of a box (CoMoTo, arXiv 2407.17620);
the order is top left, top right, bottom left, bottom right, centre, left, right, top, bottom. They are read
either bilinearly or, as published, at whole cells.

Letters: C channels, H x W pixels of the grid, h x w cells of a map, P points, N boxes.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from comoto.distill.settings import NumPoints, Sampling

Shape = tuple[int, int]

_FIRST, _LAST, _MIDDLE = range(3)
_X = (_FIRST, _LAST, _FIRST, _LAST, _MIDDLE, _FIRST, _LAST, _MIDDLE, _MIDDLE)
_Y = (_FIRST, _FIRST, _LAST, _LAST, _MIDDLE, _MIDDLE, _MIDDLE, _FIRST, _LAST)
_CHOICE = {1: (4,), 4: (0, 1, 2, 3), 5: (4, 5, 6, 7, 8), 9: tuple(range(9))}


class FeatureReader(Protocol):
    """Reads lesions from a map."""

    def __call__(self, feature_map: Tensor, boxes_xyxy: Tensor, image_shape: Shape) -> Tensor:
        """Return (N, C, P) float32 of a map (C, h, w) and boxes (N, 4) in pixels of the grid (H, W)."""
        ...


def point_reader(num_points: NumPoints, sampling: Sampling, *, width_ratio: bool = False) -> FeatureReader:
    """Return what reads the points of lesions.

    Args:
        num_points: P.
        sampling: between cells, or whole cells.
        width_ratio: w / W turns pixels into cells along both axes, as published, instead of h / H along y.
    """
    reader = {"bilinear": read_bilinear, "cells": read_cells}[sampling]
    return partial(reader, num_points=num_points, width_ratio=width_ratio)


def read_bilinear(
    feature_map: Tensor,
    boxes_xyxy: Tensor,
    image_shape: Shape,
    num_points: NumPoints,
    *,
    width_ratio: bool = False,
) -> Tensor:
    """Return (N, C, P): the map at the points of each box, interpolated."""
    height, width = feature_map.shape[-2:]
    covered = (height * image_shape[1] / width, image_shape[1]) if width_ratio else image_shape
    return sample_bilinear(feature_map, box_points(boxes_xyxy, num_points), covered).transpose(0, 1)


def read_cells(
    feature_map: Tensor,
    boxes_xyxy: Tensor,
    image_shape: Shape,
    num_points: NumPoints,
    *,
    width_ratio: bool,
) -> Tensor:
    """Return (N, C, P): the map at the cells of the points of each box, as published."""
    height, width = feature_map.shape[-2:]
    corners = box_cells(boxes_xyxy, (height, width), image_shape, width_ratio=width_ratio)
    columns, rows = cell_points(corners, num_points).unbind(-1)  # each (N, P)
    return feature_map.float()[:, rows, columns].transpose(0, 1)


def box_points(boxes_xyxy: Tensor, num_points: int) -> Tensor:
    """Return the points of boxes (N, 4) as (N, P, 2), (x, y) in the boxes' own pixels."""
    return _chosen(boxes_xyxy, (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2, num_points)


def cell_points(corners: Tensor, num_points: int) -> Tensor:
    """Return the points between corner cells (N, 4) as (N, P, 2), (column, row); middles are rounded down."""
    return _chosen(corners, (corners[:, :2] + corners[:, 2:]) // 2, num_points)


def box_cells(boxes_xyxy: Tensor, map_shape: Shape, image_shape: Shape, *, width_ratio: bool) -> Tensor:
    """Return the cells of the corners of boxes: X1 = min(trunc(rho x1), w - 1), likewise Y1, X2, Y2.

    Args:
        boxes_xyxy: (N, 4) pixels of the grid; what lies before the first cell is moved into it.
        map_shape: (h, w).
        image_shape: (H, W).
        width_ratio: rho = w / W along both axes, as published, instead of h / H for rows.

    Returns:
        (N, 4) int64: X1, Y1, X2, Y2.
    """
    height, width = map_shape
    along_x = width / image_shape[1]
    along_y = along_x if width_ratio else height / image_shape[0]
    boxes = boxes_xyxy.double()
    cells = (boxes * boxes.new_tensor((along_x, along_y) * 2)).trunc().long().clamp(min=0)
    return cells.minimum(cells.new_tensor((width - 1, height - 1) * 2))


def sample_bilinear(feature_map: Tensor, points_xy: Tensor, covered: tuple[float, float]) -> Tensor:
    """Read a feature map at points, bilinearly; points outside the image read its border.

    Args:
        feature_map: (C, h, w).
        points_xy: (..., 2) pixels of the grid; pixel edges are whole numbers, so pixel k spans [k, k + 1).
        covered: height and width in pixels of what the map shows, (H, W) of the grid whatever its strides.

    Returns:
        (C, ...) float32.
    """
    size = points_xy.new_tensor((covered[1], covered[0]))
    # align_corners=False: -1 and 1 are the outer edges of the image, which is right for every stride
    where = (points_xy / size * 2 - 1).reshape(1, 1, -1, 2)
    values = functional.grid_sample(
        feature_map.float().unsqueeze(0), where.float(), padding_mode="border", align_corners=False
    )
    return values.reshape(feature_map.shape[0], *points_xy.shape[:-1])


def _chosen(corners: Tensor, middle: Tensor, num_points: int) -> Tensor:
    """Return P points (N, P, 2) from corners (N, 4) and what lies between them (N, 2)."""
    places = torch.stack((corners[:, :2], corners[:, 2:], middle), dim=1)  # (N, first/last/middle, xy)
    choice = _CHOICE[num_points]
    x = places[:, [_X[k] for k in choice], 0]
    y = places[:, [_Y[k] for k in choice], 1]
    return torch.stack((x, y), dim=-1)
