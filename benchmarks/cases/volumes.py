"""Volumes on disk for the benchmarks: multi-frame DICOM files of the size of a real one, JPEG 2000."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comoto.records import Laterality, View
from comoto.simulation.cohort import simulated_uid
from comoto.simulation.dicom_tomosynthesis import TomosynthesisHeader, encode_frame, write_tomosynthesis

REAL, TINY = (2457, 1996), (256, 208)
"""Rows and columns of a BCS-DBT frame, and of one for a quick look."""
_DIFFERENT = 10
"""Frames that differ; a longer volume repeats them."""

Frame = NDArray[np.uint16]


def tissue(index: int, shape: tuple[int, int]) -> Frame:
    """Smooth tissue with noise inside a half disc, 10 bits, about half air."""
    rows, columns = shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    y, x = y / rows, x / rows
    inside = (x / 0.51) ** 2 + ((y - 0.5) / 0.47) ** 2 < 1
    noise = np.random.default_rng(index).normal(0, 12, x.shape)
    values = 450 + 120 * np.sin(27 * x + index / 7) * np.cos(19 * y) + noise
    return np.where(inside, np.clip(values, 1, 1023), 0).astype(np.uint16)


def of_256_levels(index: int, shape: tuple[int, int]) -> Frame:
    """Return ``tissue`` in 256 levels from 0 to 1020: its stretch to 8 bits loses nothing."""
    frame = tissue(index, shape) // 4 * 4
    frame[shape[0] // 2, 2] = 1020
    return frame.astype(np.uint16)


def write_volume(
    path: Path,
    num_frames: int,
    shape: tuple[int, int] = REAL,
    make: Callable[[int, tuple[int, int]], Frame] = tissue,
) -> Path:
    """Write a left CC volume; no more than the compressed file is in memory."""
    encoded = [encode_frame(make(index, shape), 16) for index in range(min(num_frames, _DIFFERENT))]
    header = TomosynthesisHeader(
        patient_id=path.stem,
        study_instance_uid=simulated_uid(path.stem, "study"),
        series_instance_uid=simulated_uid(path.stem, "series"),
        sop_instance_uid=simulated_uid(path.stem, "image"),
        study_description="benchmark",
        series_number=1,
        view=View.CC,
        laterality=Laterality.LEFT,
        rows=shape[0],
        columns=shape[1],
        num_frames=num_frames,
        pixel_mm=0.085,
        slice_mm=1.0,
        thickness_mm=float(num_frames),
        window=(450.0, 500.0),
        frame_laterality=Laterality.LEFT,
        angle_deg=7.5,
        num_views=15,
        with_pixel_spacing=False,
    )
    frames: Any = (encoded[index % len(encoded)] for index in range(num_frames))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tomosynthesis(path, header, frames)
    return path
