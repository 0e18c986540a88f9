"""The published formulas in plain NumPy, cell by cell, written from the paper and not from the package."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from comoto.detectors.base import Features
from comoto.distill.base import DistillInput

Array = NDArray[np.float64]
Box = Sequence[float]
Cell = tuple[int, int]


def corner_cells(box: Box, map_shape: Cell, image_width: float) -> tuple[int, int, int, int]:
    """Return X1, Y1, X2, Y2."""
    rows, columns = map_shape
    rho = columns / image_width
    x1, y1, x2, y2 = (math.trunc(rho * value) for value in box)
    return min(x1, columns - 1), min(y1, rows - 1), min(x2, columns - 1), min(y2, rows - 1)


def published_points(box: Box, num_points: int, map_shape: Cell, image_width: float) -> list[Cell]:
    """Return the points as (row, column)."""
    left, top, right, bottom = corner_cells(box, map_shape, image_width)
    column, row = math.floor((left + right) / 2), math.floor((top + bottom) / 2)
    corners = [(top, left), (top, right), (bottom, left), (bottom, right)]
    cross = [(row, column), (row, left), (row, right), (top, column), (bottom, column)]
    return {1: [(row, column)], 4: corners, 5: cross, 9: [*corners, *cross]}[num_points]


def published_matrix(one_map: Array, boxes: Sequence[Box], num_points: int, image_width: float) -> Array:
    """Return P_b (C, P) of a map (C, h, w)."""
    total = np.zeros((one_map.shape[0], num_points))
    for box in boxes:
        points = published_points(box, num_points, (one_map.shape[1], one_map.shape[2]), image_width)
        for index, (row, column) in enumerate(points):
            total[:, index] += one_map[:, row, column]
    return total / len(boxes)


def batch_matrix(maps: Array, boxes: Sequence[Sequence[Box]], num_points: int, image_width: float) -> Array:
    """Return the mean of P_b over the batch."""
    each = [published_matrix(m, own, num_points, image_width) for m, own in zip(maps, boxes, strict=True)]
    return np.asarray(sum(each) / len(each))


def softmax(row: Array) -> Array:
    powers = np.exp(row - row.max())
    return np.asarray(powers / powers.sum())


def divergence(student: Array, teacher: Array, temperature: float) -> float:
    """Return tau^2 (1 / C) sum_c sum_p q (log q - log r)."""
    total = 0.0
    for own, told in zip(student, teacher, strict=True):
        q, r = softmax(told / temperature), softmax(own / temperature)
        total += float((q * (np.log(q) - np.log(r))).sum())
    return temperature**2 * total / len(student)


def alignment(lesions: Sequence[Array], backgrounds: Sequence[Array], weight: float) -> float:
    """Return ImPA's loss of the vectors u_b and v_b."""

    def cosine(a: Array, b: Array) -> float:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    total = 0.0
    for u in lesions:
        total += sum(max(0.0, 1 - cosine(u, other)) for other in lesions)
        total += sum(max(0.0, cosine(u, v)) for v in backgrounds)
    return weight * total / len(lesions) ** 2


def free_cells(boxes: Sequence[Box], map_shape: Cell, image_width: float) -> list[Cell]:
    """Return the cells outside every half-open rectangle [Y1:Y2, X1:X2], row by row."""
    taken = set()
    for box in boxes:
        left, top, right, bottom = corner_cells(box, map_shape, image_width)
        taken |= {(row, column) for row in range(top, bottom) for column in range(left, right)}
    rows, columns = map_shape
    return [(r, c) for r in range(rows) for c in range(columns) if (r, c) not in taken]


def central_differences(function: Callable[[Array], float], where: Array, step: float = 1e-5) -> Array:
    """Return the gradient of a function of an array, by central differences."""
    gradient = np.zeros_like(where)
    for index in np.ndindex(where.shape):
        high, low = where.copy(), where.copy()
        high[index] += step
        low[index] -= step
        gradient[index] = (function(high) - function(low)) / (2 * step)
    return gradient


def side_of(level: str, maps: Array, boxes: Sequence[Sequence[Box]], shape: Cell) -> DistillInput:
    """Return a side with one level, whose map takes gradients."""
    tensor = torch.tensor(maps, dtype=torch.float32, requires_grad=True)
    return DistillInput(Features({level: tensor}, shape), [torch.tensor(own).reshape(-1, 4) for own in boxes])


def gradient_of(side: DistillInput, level: str) -> Array:
    gradient = side.features.levels[level].grad
    assert gradient is not None
    return gradient.numpy().astype(np.float64)
