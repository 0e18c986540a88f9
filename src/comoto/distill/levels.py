"""Which map a lesion is looked up on: a named level, or the pyramid level that fits it.

Letters: C channels, H x W pixels of the grid, h x w cells of a map, N boxes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from comoto.detectors.base import Features, LevelSpec, LevelSpecs
from comoto.errors import ConfigError

FIT = "fit"
"""In place of a level's name: each lesion on the pyramid level that fits it."""
FIT_CELLS = 3
"""A level fits a lesion whose longer side covers at least this many cells."""


def pyramid_of(names: list[str]) -> list[str]:
    """Return the pyramid's levels (``p3`` and up), finest first."""
    return sorted(
        (name for name in names if name[0] == "p" and name[1:].isdigit()), key=lambda name: int(name[1:])
    )


def level_channels(level: str, specs: LevelSpecs, key: str) -> int:
    """Return C of a level, or of all pyramid levels for ``fit``.

    Raises:
        ConfigError: there is no such level, or ``fit`` without a pyramid of one width; names the key.
    """
    if level == FIT:
        widths = {specs[name].channels for name in pyramid_of(list(specs))}
        if len(widths) != 1:
            raise ConfigError(
                f"{key}=fit: needs a feature pyramid of one width; the detector has {', '.join(specs)}"
            )
        return widths.pop()
    if level not in specs:
        raise ConfigError(f"{key}: the detector has no level '{level}'; it has {', '.join(specs)}")
    return specs[level].channels


def num_cells(spec: LevelSpec, grid_shape: tuple[int, int]) -> int:
    """Return h w of a level on a grid (H, W)."""
    # the stride of a detector that resizes inside is a fraction, and the quotient of whole numbers inexact
    rows, columns = (math.ceil(length / spec.stride - 1e-6) for length in grid_shape)
    return rows * columns


def fitting_levels(boxes_xyxy: Tensor, features: Features) -> list[str]:
    """Return for each box the coarsest pyramid level on which it still shows, else the finest.

    A box shows on a level if its longer side covers at least ``FIT_CELLS`` cells.

    Args:
        boxes_xyxy: (N, 4) pixels of the grid.
        features: maps with pyramid levels.
    """
    names = pyramid_of(list(features.levels))
    sides = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).double().cpu()  # (N, 2): width, height
    rows_columns = torch.tensor([features.levels[name].shape[-2:] for name in names], dtype=torch.float64)
    per_pixel = (rows_columns / torch.tensor(features.image_shape)).flip(1)  # (levels, 2): along x, along y
    covered = (sides[:, None] * per_pixel).amax(dim=2)  # (N, levels)
    coarsest = ((covered >= FIT_CELLS).sum(dim=1) - 1).clamp(min=0)  # coarser levels cover fewer cells
    return [names[k] for k in coarsest.tolist()]
