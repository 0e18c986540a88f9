"""The learned map over the points of a lesion, on the student's side (CoMoTo, arXiv 2407.17620)."""

from __future__ import annotations

from torch import nn

from comoto.distill.settings import ProjectionInit


def point_projection(num_points: int, init: ProjectionInit) -> nn.Linear:
    """Return S' = S A^T + a over P points, one for all channels.

    Args:
        num_points: P.
        init: ``identity`` starts with S' = S; ``default`` is torch's random start, as published.
    """
    projection = nn.Linear(num_points, num_points)
    if init == "identity":
        nn.init.eye_(projection.weight)
        nn.init.zeros_(projection.bias)
    return projection
