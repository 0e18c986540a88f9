"""How time and memory grow with the slices of a volume, and with the volumes of a call."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from cases.children import Prediction, predict_in_child
from cases.harness import Options, Row
from cases.networks import DEFAULT, random_detector, settings, write_run
from cases.volumes import TINY, write_volume

ABOUT = "growth of the cost of prediction, default preset"
SLICES, VOLUMES = (15, 30, 60, 125), (10, 100, 1000)
SHAPE = (1229, 998)
"""Half of a real frame's sides: decoding shrinks, the network's grid stays the same."""
EXPONENT, MOST_GROWTH = (0.9, 1.1), 1.1
"""Time ~ size ** exponent; memory may grow by this factor from the smallest to the largest."""
SLICES_OF_SMALL = 9


def run(options: Options) -> list[Row]:
    shape = TINY if options.quick else SHAPE
    slices, volumes = ((10, 20), (2, 6)) if options.quick else (SLICES, VOLUMES)
    config = settings(DEFAULT, quick=options.quick)
    tiny = settings(DEFAULT, quick=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = write_run(folder / "run", config, random_detector(config))
        small = write_run(folder / "small", tiny, random_detector(tiny))
        by_slices = []
        for number in slices:
            path = write_volume(folder / f"{number}.dcm", number, shape)
            by_slices.append(predict_in_child(large, [path], folder / "one.csv", options.threads))
            path.unlink()
        by_volumes = []
        first = write_volume(folder / "first.dcm", SLICES_OF_SMALL, TINY)
        for number in volumes:
            many = folder / f"{number} volumes"
            many.mkdir()
            for place in range(number):
                shutil.copyfile(first, many / f"{place}.dcm")
            by_volumes.append(predict_in_child(small, [many], folder / "many.csv", options.threads))
            shutil.rmtree(many)
    return [
        row(f"slices of a volume, {shape[0]} x {shape[1]}", slices, by_slices),
        row(
            f"volumes of {SLICES_OF_SMALL} slices, {TINY[0]} x {TINY[1]}, grid 128 x 64", volumes, by_volumes
        ),
    ]


def row(what: str, sizes: tuple[int, ...], found: list[Prediction]) -> Row:
    """Fit time ~ size ** exponent, and compare the memory."""
    exponent = float(np.polyfit(np.log(sizes), np.log([one.cpu for one in found]), 1)[0])
    growth = found[-1].peak_mib / found[0].peak_mib
    each = ", ".join(f"{size:,}: {one.cpu / size:.3f} s" for size, one in zip(sizes, found, strict=True))
    memory = " to ".join(f"{one.peak_mib:,.0f}" for one in (found[0], found[-1]))
    return Row(
        what,
        f"linear up to {sizes[-1]:,} (exponent {EXPONENT[0]} to {EXPONENT[1]}), memory within 10 %",
        EXPONENT[0] <= exponent <= EXPONENT[1] and growth <= MOST_GROWTH,
        figure=f"exponent {exponent:.2f}; CPU s each, {each}; {memory} MiB",
    )
