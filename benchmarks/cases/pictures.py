"""Pictures of simulated exams: stored values through their window, and files that are small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def windowed(pixels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Return stored values (H, W) through their window (center, width), from 0 to 1; air is 0."""
    center, width = window
    return np.asarray(np.clip((pixels - (center - width / 2)) / width, 0, 1) * (pixels > 0))


def shown(pixels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Return stored values (H, W) through their window as 8 bits."""
    return np.rint(windowed(pixels, window) * 255).astype(np.uint8)


def save(path: Path, gray: np.ndarray, levels: int) -> None:
    """Save an 8-bit picture with few gray levels, which makes a file half as large and cannot be seen."""
    step = 255 / (levels - 1)
    Image.fromarray(np.rint(np.rint(gray / step) * step).astype(np.uint8)).save(path, optimize=True)
