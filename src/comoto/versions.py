"""The versions that decide numbers, for ``comoto --version`` and for reports."""

from __future__ import annotations

import platform
from importlib.metadata import version

_PACKAGES = ("comoto", "torch", "torchvision", "timm", "lightning-fabric", "numpy", "pydicom", "imagecodecs")


def versions() -> str:
    """Return one line per package that decides numbers, read without importing any."""
    lines = [f"{name} {version(name)}" for name in _PACKAGES]
    lines.append(f"Python {platform.python_version()} on {platform.platform()}")
    return "\n".join(lines)
