"""What a run's ``state.pt`` holds."""

import io
from pathlib import Path
from typing import Any

import torch

from comoto.checksums import unseal_bytes


def saved_state(run: Path) -> dict[str, Any]:
    """Return the content of a run's state."""
    payload = unseal_bytes("comoto-state-2", (run / "state.pt").read_bytes())
    return dict(torch.load(io.BytesIO(payload), weights_only=True))
