"""A volume through the published network: PNG files and batches of one, against frames that stream.

The frames have 256 levels, so that their way through 8-bit files loses nothing and both networks see the same
bytes. Both sides run the same network with the same random weights.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cases.harness import Options, Row, Side, in_turns, judged
from cases.networks import PAPER, random_detector, settings
from cases.slices_as_png import Spent, detect_by_png
from cases.volumes import REAL, TINY, of_256_levels, write_volume
from comoto.detections import Detections
from comoto.dicom.read import DicomImage
from comoto.inference.model import Model
from comoto.inference.volume import detect_volume
from comoto.preprocessing.plan import plan_image
from comoto.records import Modality

ABOUT = "volume inference, weights and network of `paper`"
LEAST_SHARE, TOLERANCE = 0.98, 1e-3
SLICES, TINY_SLICES = 24, 10


@dataclass(frozen=True)
class TimedModel(Model):
    """A model that notes how long its network runs."""

    seconds: list[float] = field(default_factory=list)

    def detect(self, images: list[NDArray[np.uint8]]) -> list[Detections]:
        """See ``Model.detect``."""
        started = time.perf_counter()
        found = super().detect(images)
        self.seconds.append(time.perf_counter() - started)
        return found


def run(options: Options) -> list[Row]:
    config = settings(PAPER, quick=options.quick)
    shape, slices = (TINY, TINY_SLICES) if options.quick else (REAL, SLICES)
    with tempfile.TemporaryDirectory() as name:
        path = write_volume(Path(name) / "volume.dcm", slices, shape, of_256_levels)
        detector = random_detector(config, path)
        model = TimedModel(detector, config, torch.device("cpu"), "32-true", "benchmark", "")
        with DicomImage(path) as image:
            plan = plan_image(image, None, Modality.TOMOSYNTHESIS, config.preprocess)

        def common() -> tuple[Detections, Spent]:
            found, spent = detect_by_png(model, path, plan, Path(name))
            return found.to_source(plan).clipped(plan.source_shape), spent

        def ours() -> tuple[Detections, Spent]:
            model.seconds.clear()
            started = time.perf_counter()
            found, _, _ = detect_volume(model, path, None, config.inference)
            return found, Spent(sum(model.seconds), time.perf_counter() - started)

        sides = {"common": Side(common, most=2), "ours": Side(ours, most=2)}
        in_turns(sides, options.minutes)
    (expected, their_spent), (found, spent) = sides["common"].result, sides["ours"].result
    same, comparison = compared(expected, found)
    share, their_share = spent.network / spent.whole, their_spent.network / their_spent.whole
    row = Row(
        f"{slices} slices of {shape[0]} x {shape[1]}, JPEG 2000, against PNG files and batches of one",
        f"network at least {100 * LEAST_SHARE:.0f} % of the time",
        None,
        comparison,
        sides["common"].times,
        sides["ours"].times,
        f"network {100 * share:.1f} % of the time (common way {100 * their_share:.1f} %)",
        same=same,
    )
    return [judged(row, share >= LEAST_SHARE)]


def compared(expected: Detections, found: Detections) -> tuple[bool, str]:
    """Say whether two sets of detections are the same but for rounding in the network."""
    if len(expected) != len(found):
        return False, f"{len(expected)} and {len(found)} detections"
    if not len(found):
        return False, "no detections to compare"
    orders = [
        np.lexsort((one.boxes_xyxy[:, 0], one.boxes_xyxy[:, 1], one.first_slice)) for one in (expected, found)
    ]
    one, other = expected[orders[0]], found[orders[1]]
    boxes = float(np.abs(one.boxes_xyxy - other.boxes_xyxy).max())
    scores = float(np.abs(one.scores - other.scores).max())
    slices = bool((one.first_slice == other.first_slice).all())
    good = slices and scores <= TOLERANCE and boxes <= 1.0
    return good, f"{len(found)} detections, largest difference {boxes:.1e} pixels, {scores:.0e} of the score"
