"""Cells of a map that show no lesion.

Letters: H x W pixels of the grid, h x w cells of a map, N boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from comoto.distill.points import Shape, box_cells


def cells_off_lesions(boxes_xyxy: Tensor, map_shape: Shape, image_shape: Shape, margin: float) -> Tensor:
    """Return which cells (h, w) have their centre outside every box, each widened by a margin.

    Args:
        boxes_xyxy: (N, 4) pixels of the grid.
        map_shape: (h, w).
        image_shape: (H, W).
        margin: pixels.
    """
    height, width = map_shape
    y = (torch.arange(height) + 0.5) * (image_shape[0] / height)
    x = (torch.arange(width) + 0.5) * (image_shape[1] / width)
    free = torch.ones(map_shape, dtype=torch.bool)
    for x1, y1, x2, y2 in boxes_xyxy.tolist():
        rows = (y >= y1 - margin) & (y < y2 + margin)
        columns = (x >= x1 - margin) & (x < x2 + margin)
        free &= ~(rows[:, None] & columns[None, :])
    return free


def cells_outside_rectangles(
    boxes_xyxy: Tensor, map_shape: Shape, image_shape: Shape, margin: float
) -> Tensor:
    """Return which cells (h, w) lie outside the rectangles [Y1:Y2, X1:X2] of the boxes, as published.

    The rectangles are half-open and both axes use the width's ratio, so the last row and column of cells
    that a lesion touches count as background, and a lesion within one cell excludes nothing. Arguments as
    above; the margin widens the boxes before their cells are computed.
    """
    free = torch.ones(map_shape, dtype=torch.bool)
    widened = boxes_xyxy.cpu() + boxes_xyxy.new_tensor((-margin, -margin, margin, margin)).cpu()
    for x1, y1, x2, y2 in box_cells(widened, map_shape, image_shape, width_ratio=True).tolist():
        free[y1:y2, x1:x2] = False
    return free
