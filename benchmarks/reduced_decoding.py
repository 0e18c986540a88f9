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
from pathlib import Path

import numpy as np

from comoto import api
from comoto.config import PreprocessConfig
from comoto.geometry.boxes import iou_matrix
from comoto.inference.model import Model
from comoto.inference.volume import detect_volume
from comoto.preprocessing.plan import plan_image
from comoto.records import Modality
from comoto.sources import open_source

GRIDS = ((1024, 512), (512, 256), (256, 128))
SAMPLED = 12


def grey_differences(path: Path, rows: int, columns: int) -> tuple[int, np.ndarray, float, float]:
    """Return the halvings, absolute differences of some slices, and seconds a frame of both ways."""
    config = PreprocessConfig(rows=rows, columns=columns)
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
    print("| grid | halvings | mean | 99 % | 99.99 % | max | ms full | ms reduced |\n|---|" + "---:|" * 7)
    for rows, columns in GRIDS:
        results = [grey_differences(path, rows, columns) for path in paths]
        differences = np.concatenate([result[1] for result in results])
        full, reduced = (1e3 * float(np.median([result[k] for result in results])) for k in (2, 3))
        print(
            f"| {rows} x {columns} | {sorted({result[0] for result in results})} | {differences.mean():.2f} "
            f"| {np.percentile(differences, 99):.0f} | {np.percentile(differences, 99.99):.0f} "
            f"| {differences.max()} | {full:.0f} | {reduced:.0f} |",
            flush=True,
        )


def compare_detections(model: Model, paths: list[Path], least: float) -> None:
    """Pair each detection from full frames with the best one from reduced frames."""
    preprocess = model.config.preprocess
    found: dict[str, list] = {}
    for decode in ("full", "auto"):
        changed = preprocess.model_copy(update={"decode": decode})
        this = replace(model, config=model.config.model_copy(update={"preprocess": changed}))
        found[decode] = [detect_volume(this, path, None, model.config.inference)[0] for path in paths]
    shifts, overlaps, slices, lost, total = [], [], [], 0, [0, 0]
    for full, auto in zip(found["full"], found["auto"], strict=True):
        kept = full.scores >= least
        total[0] += int(kept.sum())
        total[1] += int((auto.scores >= least).sum())
        if not len(auto.scores):
            lost += int(kept.sum())
            continue
        overlap = iou_matrix(full.boxes_xyxy[kept], auto.boxes_xyxy)
        if not overlap.size:
            continue
        best = overlap.argmax(axis=1)
        values = overlap.max(axis=1)
        lost += int((values < 0.5).sum())
        same = values >= 0.5
        overlaps += values[same].tolist()
        shifts += np.abs(full.scores[kept] - auto.scores[best])[same].tolist()
        slices += np.abs(full.first_slice[kept] - auto.first_slice[best])[same].tolist()
    print(
        f"\ndetections of score {least} and more: {total[0]} from full frames, {total[1]} from reduced ones"
    )
    print(f"without a partner (IoU under 0.5): {lost}")
    if shifts:
        print(
            f"score differences: median {np.median(shifts):.4f}, largest {max(shifts):.3f}; "
            f"IoU: median {np.median(overlaps):.3f}, least {min(overlaps):.3f}; "
            f"first slice differs by at most {max(slices)}"
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
