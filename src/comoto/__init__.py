"""CoMoTo: lesion detection in digital breast tomosynthesis, taught by mammograms.

Research software, not a medical device. One call per command of the command line, see ``comoto.api``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_RECORDS = {"Detections": "comoto.detections", "Manifest": "comoto.records"}
"""Classes that callers make themselves, and where they are."""


def __getattr__(name: str) -> Any:
    """Load the public calls on first use, so that ``import comoto`` stays light."""
    if name in _RECORDS:
        return getattr(import_module(_RECORDS[name]), name)
    if not name.startswith("_"):
        api = import_module("comoto.api")
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'comoto' has no attribute '{name}'")
