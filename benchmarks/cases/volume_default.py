"""A whole volume with the default preset, from JPEG 2000 to CSV, against the published network.

Each side runs in processes of its own, in turns. The published network sees a few slices only, and its time
is scaled to all of them: its cost is the network's, the same for every slice.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import torch

from cases.children import Prediction, predict_in_child
from cases.harness import Options, Row, Times, judged
from cases.networks import DEFAULT, PAPER, random_detector, settings, write_run
from cases.volumes import REAL, TINY, write_volume
from comoto.detectors.device import resolve_precision

ABOUT = "volume inference, default preset, decode to CSV"
SLICES, PAPER_SLICES, LONGEST = 66, 10, 125
"""The published rule leaves out eight slices: fewer than nine would give an empty file."""
AUTO = "default-auto"
LEAST_RATIO, MOST_SECONDS, MOST_MIB = 25, 60.0, 1536
CORES = 2


def run(options: Options) -> list[Row]:
    shape = TINY if options.quick else REAL
    slices, paper_slices, longest = (12, 10, 20) if options.quick else (SLICES, PAPER_SLICES, LONGEST)
    rounds = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            number: write_volume(folder / f"{number}.dcm", number, shape)
            for number in sorted({slices, paper_slices, longest})
        }
        runs = {
            preset: write_run(folder / preset, config, random_detector(config, files[slices]))
            for preset in (PAPER, DEFAULT)
            for config in (settings(preset, quick=options.quick),)
        }
        auto = settings(DEFAULT, quick=options.quick).model_copy(update={"precision": "auto"})
        runs[AUTO] = write_run(folder / AUTO, auto, random_detector(auto, files[slices]))
        theirs: list[Prediction] = []
        ours: list[Prediction] = []
        as_installed: list[Prediction] = []
        for _ in range(rounds):
            theirs.append(predict_in_child(runs[PAPER], [files[paper_slices]], folder / "paper.csv", CORES))
            ours.append(predict_in_child(runs[DEFAULT], [files[slices]], folder / "default.csv", CORES))
            as_installed.append(predict_in_child(runs[AUTO], [files[slices]], folder / "auto.csv", CORES))
        long = predict_in_child(runs[DEFAULT], [files[longest]], folder / "long.csv", CORES)
    return [
        timed(theirs, ours, slices, paper_slices, shape),
        Row(
            f"the same with `precision: auto`, here {resolve_precision('auto', torch.device('cpu'))}",
            "",
            None,
            ours=times(as_installed, 1.0),
            figure=f"{as_installed[-1].rows} detections",
        ),
        remembered(ours, long, slices, longest),
    ]


def timed(
    theirs: list[Prediction], ours: list[Prediction], slices: int, paper_slices: int, shape: tuple[int, int]
) -> Row:
    row = Row(
        f"{slices} slices of {shape[0]} x {shape[1]}, JPEG 2000, {CORES} threads, against `paper`",
        f"{LEAST_RATIO}x; under {MOST_SECONDS:.0f} s on {CORES} cores",
        None,
        "",
        times(theirs, slices / paper_slices),
        times(ours, 1.0),
        f"{ours[-1].rows} detections; `paper` measured on {paper_slices} slices and scaled to {slices}",
    )
    met = (row.ratio or 0) >= LEAST_RATIO and median(one.wall for one in ours) < MOST_SECONDS
    return judged(row, met)


def remembered(ours: list[Prediction], long: Prediction, slices: int, longest: int) -> Row:
    peak = max(one.peak_mib for one in ours)
    return Row(
        "memory of the whole process",
        f"at most {MOST_MIB:,} MiB, whatever the number of slices",
        max(peak, long.peak_mib) <= MOST_MIB,
        figure=f"{peak:,.0f} MiB at {slices} slices, {long.peak_mib:,.0f} MiB at {longest}",
    )


def times(predictions: list[Prediction], factor: float) -> Times:
    """Return medians, scaled."""
    cpu, wall = (median(getattr(one, key) for one in predictions) for key in ("cpu", "wall"))
    return Times(factor * cpu, factor * wall, len(predictions))
