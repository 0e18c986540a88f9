"""From slices to the volume: loops over slices and boxes against ``local_maximum`` and ``nms_3d``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from cases.harness import Options, Row, Side, in_turns, judged
from cases.suppression_by_loops import Slices, local_maximum, nms_3d
from comoto.config import AggregationConfig
from comoto.detections import Detections
from comoto.inference.aggregate import aggregate

ABOUT = "volume suppression"
SIZES = ((60, 100), (125, 300))
LEAST_RATIO, MOST_SECONDS = 300, 1.0
IMAGE = (2457.0, 1996.0)
PAPER = AggregationConfig(kind="local_maximum", border_slices=4)
DEFAULT = AggregationConfig(kind="nms_3d", span="strong")  # the spans of the common way


def run(options: Options) -> list[Row]:
    rows = []
    for num_slices, boxes in ((12, 10),) if options.quick else SIZES:
        for shape, make in (("scattered", scattered), ("crowded", crowded)):
            slices = make(num_slices, boxes)
            rows += [compare(rule, slices, shape, options) for rule in (PAPER, DEFAULT)]
    return rows


def scattered(num_slices: int, boxes: int) -> dict[int, Detections]:
    """Boxes anywhere on the image: hardly any suppresses another, the most work that there can be."""
    generator = np.random.default_rng(0)
    return {index: _drawn(generator, boxes, IMAGE) for index in range(num_slices)}


def crowded(num_slices: int, boxes: int) -> dict[int, Detections]:
    """Boxes around a few places that persist from slice to slice, as a detector gives them."""
    generator = np.random.default_rng(1)
    size = generator.uniform(80, 300, (12, 2))
    low = generator.uniform(0, 1, (12, 2)) * (np.array(IMAGE[::-1]) - size)
    slices = {}
    for index in range(num_slices):
        place = generator.integers(0, len(low), boxes)
        shift, stretch = generator.normal(0, 12, (boxes, 2)), generator.uniform(0.8, 1.25, (boxes, 2))
        corner = np.clip(low[place] + shift, 0, None)
        found = np.hstack([corner, corner + size[place] * stretch]).astype(np.float32)
        slices[index] = Detections(found, _scores(generator, boxes), space="grid")
    return slices


def _drawn(generator: np.random.Generator, boxes: int, image: tuple[float, float]) -> Detections:
    size = generator.uniform(40, 400, (boxes, 2))
    low = generator.uniform(0, 1, (boxes, 2)) * (np.array(image[::-1]) - size)
    return Detections(
        np.hstack([low, low + size]).astype(np.float32), _scores(generator, boxes), space="grid"
    )


def _scores(generator: np.random.Generator, boxes: int) -> np.ndarray[Any, Any]:
    return generator.uniform(0.05, 1, boxes).astype(np.float32)


def compare(rule: AggregationConfig, slices: dict[int, Detections], shape: str, options: Options) -> Row:
    num_slices, boxes = len(slices), len(slices[0])
    tensors = [(torch.from_numpy(one.boxes_xyxy), torch.from_numpy(one.scores)) for one in slices.values()]
    sides = {
        "common": Side(loops(rule, tensors), most=1 if num_slices > 60 else 3),
        "ours": Side(lambda: aggregate(slices, num_slices, rule), most=15),
    }
    in_turns(sides, options.minutes)
    found, expected = sides["ours"].result, sorted(sides["common"].result)
    if rule.kind == "local_maximum":
        columns: tuple[Any, ...] = (found.scores, found.first_slice, found.boxes_xyxy)
    else:
        columns = (found.scores, found.first_slice, found.num_spanned, found.boxes_xyxy)
    ours = sorted(zip(*(column.tolist() for column in columns), strict=True))
    same = ours == expected
    total = num_slices * boxes
    row = Row(
        f"`{rule.kind}`, {num_slices} slices x {boxes} boxes, {shape}",
        f"equal, {LEAST_RATIO}x" if num_slices <= 60 else f"equal, under {MOST_SECONDS:.0f} s",
        None,
        f"the same {len(ours):,} of {total:,} boxes" if same else f"{len(ours)} and {len(expected)} boxes",
        sides["common"].times,
        sides["ours"].times,
        same=same,
    )
    met = (row.ratio or 0) >= LEAST_RATIO if num_slices <= 60 else sides["ours"].times.cpu < MOST_SECONDS
    return judged(row, met)


def loops(rule: AggregationConfig, slices: Slices) -> Callable[[], Any]:
    """Return the common way of a rule."""
    if rule.kind == "local_maximum":
        return partial(local_maximum, slices, rule.border_slices, 0.5, 0.25, rule.min_score)
    return partial(nms_3d, slices, 0.3, 1.0, rule.min_score)
