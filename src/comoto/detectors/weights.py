"""Weights in and out: safetensors only, and a mismatch is an error that says what did not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from comoto.errors import CheckpointError

DAMAGED = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    pickle.UnpicklingError,
)
"""What ``torch.load`` raises on files that are damaged or not torch's."""


class OtherArchitecture(CheckpointError):
    """Weights do not fit a network by their names and shapes."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a ``.safetensors`` file.

    Raises:
        CheckpointError: the file is missing or not safetensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights file")
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not readable as safetensors: {error}") from error


def load_matching(module: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Load weights of which every key and shape must match.

    Raises:
        OtherArchitecture: keys are missing or left over, or shapes differ; says how many, and names one.
    """
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in weights]
    extra = [key for key in weights if key not in wanted]
    shapes = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in weights and weights[key].shape != wanted[key].shape
    ]
    problems = [
        f"{len(names)} {what} ({names[0]}{', ...' if len(names) > 1 else ''})"
        for what, names in (("missing", missing), ("unknown", extra), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise OtherArchitecture(
            f"{source}: weights of another architecture: of {len(wanted)} tensors {'; '.join(problems)}; "
            "use the detector settings that the weights were trained with"
        )
    module.load_state_dict(weights)
