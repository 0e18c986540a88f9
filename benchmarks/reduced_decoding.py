"""What decoding JPEG 2000 at half resolution, or less, does to pictures and to detections.

Every volume is rendered twice onto the same grid, from full frames and from reduced ones, and the grey values
(0 to 255) are compared; then a model predicts on both. Make volumes with, for instance,
``comoto simulate --size full --test 6 --mammograms 0 --train 0 --validation 0 --out full``.

Run: python benchmarks/reduced_decoding.py --model RUN VOLUME.dcm [VOLUME.dcm ...]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from comoto import api
from comoto.config import PreprocessConfig
from comoto.detections import Detections
from comoto.geometry.boxes import iou_matrix
from comoto.inference.model import Model
from comoto.inference.volume import detect_volume
from comoto.preprocessing.plan import plan_image
from comoto.records import Modality
from comoto.sources import open_source

GRIDS = ((1024, 512), (512, 256), (256, 128))
SAMPLED = 12


def grey_differences(
    path: Path, rows: int, columns: int, decode: str
) -> tuple[int, np.ndarray, float, float]:
    """Return the halvings, absolute differences of some slices, and seconds a frame of both ways."""
    config = PreprocessConfig(rows=rows, columns=columns, decode=decode)
    with open_source(path) as image:
        plan = plan_image(image, None, Modality.TOMOSYNTHESIS, config)
        indices = np.linspace(0, image.num_frames - 1, SAMPLED).astype(int).tolist()
        found, seconds = [], {"full": 0.0, "reduced": 0.0}
        for index in indices:
            pictures = {}
            for name, halvings in (("full", 0), ("reduced", plan.halvings)):
                started = time.perf_counter()
                pictures[name] = plan.render(image.frame(index, halvings)).astype(int)
                seconds[name] += time.perf_counter() - started
            found.append(np.abs(pictures["full"] - pictures["reduced"])[pictures["full"] > 0])
    return plan.halvings, np.concatenate(found), seconds["full"] / SAMPLED, seconds["reduced"] / SAMPLED


def compare_pictures(paths: list[Path]) -> None:
    print("| decode | grid | halvings | mean | 99 % | 99.99 % | max | ms full | ms reduced |")
    print("|---|---|" + "---:|" * 7)
    for decode, (rows, columns) in product(("auto", "fast"), GRIDS):
        results = [grey_differences(path, rows, columns, decode) for path in paths]
        differences = np.concatenate([result[1] for result in results])
        full, reduced = (1e3 * float(np.median([result[k] for result in results])) for k in (2, 3))
        print(
            f"| {decode} | {rows} x {columns} | {sorted({result[0] for result in results})} "
            f"| {differences.mean():.2f} | {np.percentile(differences, 99):.0f} "
            f"| {np.percentile(differences, 99.99):.0f} | {differences.max()} | {full:.0f} | {reduced:.0f} |",
            flush=True,
        )


def detections(model: Model, paths: list[Path], decode: str) -> list[Detections]:
    preprocess = model.config.preprocess.model_copy(update={"decode": decode})
    this = replace(model, config=model.config.model_copy(update={"preprocess": preprocess}))
    return [detect_volume(this, path, None, model.config.inference)[0] for path in paths]


def compare_detections(model: Model, paths: list[Path], least: float) -> None:
    """Pair each detection from full frames with the best one from reduced frames."""
    reference = detections(model, paths, "full")
    for decode in ("auto", "fast"):
        shifts, overlaps, lost = [], [], 0
        others = detections(model, paths, decode)
        for full, other in zip(reference, others, strict=True):
            kept = full.scores >= least
            overlap = iou_matrix(full.boxes_xyxy[kept], other.boxes_xyxy)
            if not overlap.size:
                lost += int(kept.sum())
                continue
            best, values = overlap.argmax(axis=1), overlap.max(axis=1)
            same = values >= 0.5
            lost += int((~same).sum())
            overlaps += values[same].tolist()
            shifts += np.abs(full.scores[kept] - other.scores[best])[same].tolist()
        count = [sum(int((found.scores >= least).sum()) for found in all_) for all_ in (reference, others)]
        print(
            f"\n{decode}: {count[0]} detections of score {least} and more from full frames, {count[1]} from "
            f"reduced ones; {lost} of the former without a partner (IoU under 0.5). Score differences: "
            f"median {np.median(shifts):.4f}, largest {max(shifts):.3f}; IoU: median "
            f"{np.median(overlaps):.3f}, least {min(overlaps):.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--least", type=float, default=0.1, help="least score of a detection to be compared")
    parser.add_argument("volumes", type=Path, nargs="+")
    arguments = parser.parse_args()
    compare_pictures(arguments.volumes)
    compare_detections(api.load_model(arguments.model), arguments.volumes, arguments.least)


if __name__ == "__main__":
    main()
