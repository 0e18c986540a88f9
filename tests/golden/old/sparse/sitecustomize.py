"""Weights of which most are zero, so that files of detectors are small; for ``make.py`` and its workers.

Python imports a module of this name by itself where its folder is on ``PYTHONPATH``.
"""

from typing import Any

import safetensors.torch
import torch

KEPT = 3
"""Leading channels of a layer that keep their values."""
STEPS = 256
"""Values are multiples of 1 / STEPS."""


def _sparse(value: Any, scaled: bool, key: str = "") -> Any:
    if isinstance(value, dict):
        return type(value)((key, _sparse(one, scaled, str(key))) for key, one in value.items())
    if isinstance(value, list | tuple):
        return type(value)(_sparse(one, scaled) for one in value)
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.dim() < 2:
        return value
    kept, block = torch.zeros_like(value), (slice(0, KEPT), slice(0, KEPT))
    values = value[block]
    if scaled and "bbox" not in key and float(values.std()) > 0:  # so few have to be larger to matter
        values = values / values.std() * (2 / values[0].numel()) ** 0.5 * (0.2 if "cls_logits" in key else 1)
    kept[block] = (values * STEPS).round() / STEPS
    return kept


def _patched(write: Any, *, scaled: bool) -> Any:
    return lambda content, *rest, **more: write(_sparse(content, scaled), *rest, **more)


safetensors.torch.save_file = _patched(safetensors.torch.save_file, scaled=True)
torch.save = _patched(torch.save, scaled=False)
