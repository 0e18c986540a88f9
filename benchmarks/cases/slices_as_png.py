"""Prediction on a volume the common way: its slices as PNG files, read back one by one, batches of one.

Written from the description: every slice is stretched from its minimum to its maximum and saved with 8 bits;
then each file is read, brought to the network's grid, and the network runs on it alone; the garbage is
collected after each.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from comoto.detections import Detections
from comoto.dicom.read import DicomImage
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.preprocessing.plan import Plan


@dataclass(frozen=True)
class Spent:
    """Wall seconds of the parts."""

    network: float
    whole: float


def detect_by_png(model: Model, path: Path, plan: Plan, folder: Path) -> tuple[Detections, Spent]:
    """Return the detections on the grid, and what the network took of the time.

    Args:
        model: loaded.
        path: of the volume.
        plan: where the grid lies on the slices.
        folder: for the PNG files; it must exist.
    """
    started, network, found = time.perf_counter(), 0.0, {}
    with DicomImage(path) as image:
        number = image.num_frames
        for index in range(number):
            frame = image.frame(index).astype(np.float32)
            frame = (frame - frame.min()) / (frame.max() - frame.min()) * 255
            cv2.imwrite(str(folder / f"{index}.png"), np.rint(frame).astype(np.uint8))
    for index in range(number):
        picture = cv2.imread(str(folder / f"{index}.png"), cv2.IMREAD_GRAYSCALE)
        on_grid = plan.to_grid.image(plan.orient.image(picture.astype(np.float32)))
        begun = time.perf_counter()
        found[index] = model.detect([np.rint(on_grid).astype(np.uint8)])[0]
        network += time.perf_counter() - begun
        gc.collect()
    merged = aggregate(found, number, model.config.inference.aggregation)
    return merged, Spent(network, time.perf_counter() - started)
