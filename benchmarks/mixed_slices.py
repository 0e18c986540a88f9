"""One look at all slices together: the head on a mix of their features, judged beside boxes that are merged.

After M&M-3D (arXiv 2511.10597), without its training: every cell of a student's pyramid is averaged over the
slices, and the head looks at the mean once. ``soft``: slices weigh as a softmax over the cell's highest logit
on each of them (the head's own word for where a lesion is); ``flat``: all alike, the trivial rival. The box's
slice is the mean under these weights of ``p4``. Then the merged boxes of the student and those of the mix are
fused as ``projection_teacher.py`` fuses a teacher's: the rule ``FIXED`` was set down beforehand, others are
cross-fitted over halves of the patients.

Predictions are kept in --out under the names that ``keep_teacher.py`` gives them.

Run: python benchmarks/mixed_slices.py --out FOLDER --store STUDY/../prepared/volumes --split validation \
         --min-radius 21.25 --group joint-10:0.25=RUN,RUN
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from comoto.detections import Detections, prediction_table
from comoto.detectors.about import read_about
from comoto.detectors.base import Features
from comoto.detectors.device import autocast
from comoto.detectors.focus_map import box_means
from comoto.evaluation.challenge_tables import ChallengeTruth, challenge_tables, read_truth
from comoto.evaluation.depth_variants import DepthRules
from comoto.geometry import clip_boxes
from comoto.inference.model import Model, load_model
from comoto.inference.prepared import on_source
from comoto.inference.volume import slice_indices
from comoto.output_files import atomic_write
from comoto.preprocessing.plan import pad
from comoto.preprocessing.store import PreparedStore
from comoto.records import ImageRecord, Split
from keep_teacher import Way, predicted, set_weights
from projection_teacher import FIXED, RULES, TITLE, best_of, cross_fitted, judged, line, meet, way_of

MIXES = ("soft", "flat")
DEPTH_LEVEL = "p4"


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    store = PreparedStore(options.store)
    truth = read_truth(*challenge_tables(store.manifest.split(Split(options.split))), options.min_radius)
    lines = []
    for name, way, runs in options.group:
        students = [pd.read_csv(predicted(run, way, store, options)) for run in runs]
        mixed = [mixed_tables(run, way, store, options) for run in runs]
        for text in fusion_lines(f"{name}, {way.name}", students, mixed, truth, options):
            lines.append(text)
            print(text, flush=True)
    with atomic_write(options.out / "mixed.md") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="predictions and the table")
    parser.add_argument("--store", type=Path, required=True, help="prepared volumes")
    parser.add_argument("--split", choices=[split.value for split in Split], required=True)
    parser.add_argument(
        "--group", action="append", required=True, help="NAME:SHARE=RUN,RUN, runs and the teacher's share"
    )
    parser.add_argument("--draws", type=int, default=200, help="of patients, for cross-fitted intervals")
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--slice-mm", type=float, default=1.0, help="distance of slices")
    parser.add_argument("--batches", type=int, default=50, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.group = [way_of(one) for one in options.group]
    return options


def mixed_tables(
    run: Path, way: Way, store: PreparedStore, options: argparse.Namespace
) -> dict[str, pd.DataFrame]:
    """Return what the head finds on each mix; made where it is not kept."""
    sha256 = read_about(run)[2]
    paths = {mix: options.out / f"{sha256[:12]}-{way.name}-mix-{mix}.csv" for mix in MIXES}
    if not all(path.is_file() for path in paths.values()):
        model, _ = load_model(run, role="student")
        set_weights(model, run, way, options.batches)
        records = list(store.manifest.split(Split(options.split)).records())
        found = [detect_mixed(model, store, record) for record in records]
        for mix, path in paths.items():
            with atomic_write(path) as part:
                prediction_table([one[mix] for one in found]).to_csv(part, index=False)
    return {mix: pd.read_csv(path) for mix, path in paths.items()}


@torch.inference_mode()
def detect_mixed(model: Model, store: PreparedStore, record: ImageRecord) -> dict[str, Detections]:
    """Return what the head finds on each mix of a volume's slices, in source pixels."""
    planes = store.regular_planes(record.image_id)
    planes = planes[slice_indices(len(planes), model.config.inference.slice_step)]
    slices = torch.from_numpy(store.slice_indices(record.image_id)[planes]).float()
    features, logits = looked_at(model, store, record.image_id, planes)
    found = {}
    for mix in MIXES:
        weights = {
            level: torch.softmax(each if mix == "soft" else torch.zeros_like(each), dim=0)
            for level, each in logits.items()
        }
        levels = {
            level: (maps.float() * weights[level]).sum(dim=0, keepdim=True)
            for level, maps in features.levels.items()
            if level in weights
        }
        [boxes] = model.detector.predict(replace(features, levels=levels))
        likely = box_means(weights[DEPTH_LEVEL], [boxes.boxes_xyxy] * len(slices), features.image_shape)
        shares = likely.reshape(len(slices), -1)
        depth = (shares * slices[:, None]).sum(dim=0) / shares.sum(dim=0)
        found[mix] = found_on(store, record, boxes.boxes_xyxy, boxes.scores, depth)
    return found


def looked_at(
    model: Model, store: PreparedStore, name: str, planes: np.ndarray
) -> tuple[Features, dict[str, Tensor]]:
    """Return the features of slices, and by level of the head the highest logit (S, 1, h, w) of each cell."""
    grid, size = model.config.preprocess, model.config.inference.batch_size
    parts, tops = [], []
    for begin in range(0, len(planes), size):
        chosen = planes[begin : begin + size].tolist()
        pixels = np.stack([pad(store.plane(name, plane), grid.rows, grid.columns) for plane in chosen])
        images = torch.from_numpy(pixels).unsqueeze(1).float() / 255
        with autocast(model.device, model.precision):
            part = model.detector.features(images)
            outputs = model.detector.head_outputs(part)["cls_logits"]
        parts.append(part)
        tops.append(highest(outputs.amax(dim=2), part, model.config.detector.anchor_sizes))
    levels = {key: torch.cat([part.levels[key] for part in parts]) for key in parts[0].levels}
    logits = {key: torch.cat([top[key] for top in tops]) for key in tops[0]}
    return Features(levels, parts[0].image_shape), logits


def highest(logits: Tensor, features: Features, anchor_sizes: list[list[int]]) -> dict[str, Tensor]:
    """Return flat logits (S, A) as the highest of each cell (S, 1, h, w), by level ``p3`` and up."""
    names = [f"p{3 + number}" for number in range(len(anchor_sizes))]
    cells = [features.levels[name].shape[-2:] for name in names]
    per_cell = logits.shape[1] // sum(rows * columns for rows, columns in cells)
    split = torch.split(logits, [rows * columns * per_cell for rows, columns in cells], dim=1)
    return {
        name: each.reshape(len(each), 1, *shape, per_cell).amax(dim=4)
        for name, each, shape in zip(names, split, cells, strict=True)
    }


def found_on(
    store: PreparedStore, record: ImageRecord, boxes: Tensor, scores: Tensor, depth: Tensor
) -> Detections:
    inside = clip_boxes(boxes.numpy(), store.plan(record.image_id).grid_shape).astype(np.float32)
    real = (inside[:, 2] - inside[:, 0] >= 1) & (inside[:, 3] - inside[:, 1] >= 1)
    first = depth.round().long().numpy()[real]
    found = Detections(inside[real], scores.numpy()[real], (first, np.ones_like(first)), space="grid")
    return on_source(found, store, record)


def fusion_lines(
    name: str,
    students: list[pd.DataFrame],
    mixed: list[dict[str, pd.DataFrame]],
    truth: ChallengeTruth,
    options: argparse.Namespace,
) -> Iterator[str]:
    """Yield the table: merged boxes, those of a mix, and both."""
    rules = DepthRules(tolerance_mm=10.0, slice_mm=np.full(len(truth.volumes), options.slice_mm))
    own = judged(students, truth, rules)
    yield TITLE
    yield line(f"{name}, merged boxes", own, own, truth)
    for mix in MIXES:
        tables = [each[mix] for each in mixed]
        meetings = [meet(*both) for both in zip(students, tables, strict=True)]
        yield line(f"{mix} mix", judged(tables, truth, rules), own, truth)
        fused = {rule: judged([one.fused(rule) for one in meetings], truth, rules) for rule in RULES}
        yield line(f"both, {mix}, {FIXED.name}", fused[FIXED], own, truth)
        ways = {"merged boxes": own} | {rule.name: found for rule, found in fused.items()}
        yield best_of(f"both, {mix}", ways, own, truth)
        yield cross_fitted(f"both, {mix}", ways, truth, options.draws)


if __name__ == "__main__":
    main()
