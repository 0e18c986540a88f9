"""Compare the rules that put slices together on one student and one set of volumes.

The network runs once per volume; its detections on slices stay in memory, and every rule gets the same ones.
A rule may carry settings: nms_3d:iou=0.1,window_share=0.5. The last column is the paired difference to the
first rule. Rules that are tuned on these volumes are flattered by them: choose on validation volumes, report
on others.

Run: python benchmarks/aggregation.py --run demo-output/runs/comoto --manifest demo-output/manifests/bcs-dbt \
         --split test --min-radius 10.62
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from comoto import api, components
from comoto.config import AggregationConfig, override
from comoto.detections import Detections
from comoto.dicom.read import DicomImage
from comoto.evaluation.challenge import ChallengeResult, evaluate
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    challenge_tables,
    read_predictions,
    read_truth,
)
from comoto.evaluation.paired import paired_difference
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import detect_slices, slice_indices
from comoto.preprocessing.plan import Plan, plan_image
from comoto.records import ImageRecord, Manifest, Modality, Split

Found = tuple[ImageRecord, Plan, int, dict[int, Detections]]
"""A volume, how it was rendered, its number of slices, and the detections on its slices."""
MEAN, TIE_BREAK = "mean_sensitivity_positive", "sensitivity_at_2_fps_all"


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    rules = {text: rule(text, options.border_slices) for text in options.rules}
    manifest = volumes(options.manifest, options.split)
    model = api.load_model(options.run)
    started = time.monotonic()
    found = [slices(model, record, options.slice_step) for record in manifest.records()]
    seconds = (time.monotonic() - started) / len(found)
    boxes = sum(len(one) for *_, by_slice in found for one in by_slice.values())
    print(
        f"{options.run.name}: {len(found)} volumes, {len(manifest.lesions)} lesions, {boxes} boxes on "
        f"1 of {options.slice_step} slices; reading and network {seconds:.2f} s per volume; "
        f"least hit radius {options.min_radius:g} pixels"
    )
    print(
        f"{'rule':<34}{'mean sensitivity 1-4 FP [95 %]':>32}{'2 FP, all':>11}"
        f"{'detections':>12}{'s/volume':>10}{'minus the first':>26}"
    )
    tables = challenge_tables(manifest)
    truth = read_truth(*tables, options.min_radius)
    first: ChallengePredictions | None = None
    for text, config in rules.items():
        started = time.perf_counter()
        merged = [aggregate(one, num_slices, config) for _, _, num_slices, one in found]
        seconds = (time.perf_counter() - started) / len(found)
        predictions = pd.concat(
            table(record, plan, boxes) for (record, plan, *_), boxes in zip(found, merged, strict=True)
        )
        result = evaluate(predictions, *tables, options.bootstrap, options.seed, options.min_radius)
        matched = read_predictions(predictions, truth)
        first = first or matched
        paired = paired_difference(matched, first, truth, max(options.bootstrap, 1), options.seed)
        difference = f"{paired.value:+.3f} [{paired.interval.low:+.3f}, {paired.interval.high:+.3f}]"
        detections = len(predictions) / len(found)
        line = f"{text:<34}{figures(result)}{detections:>12.1f}{seconds:>10.4f}{difference:>26}"
        print(line, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder of a student")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest folder of volumes")
    parser.add_argument("--split", choices=[split.value for split in Split], help="only this split")
    parser.add_argument(
        "--rules", nargs="+", default=list(components.AGGREGATORS), metavar="RULE[:KEY=VALUE]"
    )
    parser.add_argument("--border-slices", type=int, default=0, help="left out at either end, for all rules")
    parser.add_argument("--slice-step", type=int, default=2)
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def rule(text: str, border_slices: int) -> AggregationConfig:
    """Read ``kind`` or ``kind:key=value,key=value``; a misspelt name fails before the network runs."""
    kind, _, given = text.partition(":")
    components.resolve("aggregator", kind)
    settings = [f"border_slices={border_slices}", *(part for part in given.split(",") if part)]
    return override(AggregationConfig(kind=kind), settings)


def volumes(folder: Path, split: str | None) -> Manifest:
    manifest = Manifest.load(folder)
    if split is not None:
        manifest = manifest.split(Split(split))
    return manifest.select(manifest.images["modality"] == Modality.TOMOSYNTHESIS.value)


def slices(model: Model, record: ImageRecord, step: int) -> Found:
    """Run the network over one volume."""
    with DicomImage(record.path) as image:
        plan = plan_image(image, record.laterality, Modality.TOMOSYNTHESIS, model.config.preprocess)
        num_slices = image.header.num_frames
        indices = slice_indices(num_slices, step)
        rendered = ((k, plan.render(frame)) for k, frame in zip(indices, image.frames(indices), strict=True))
        return record, plan, num_slices, detect_slices(model, rendered, 16)


def table(record: ImageRecord, plan: Plan, boxes: Detections) -> pd.DataFrame:
    keys = {key: getattr(record, key) for key in ("image_id", "patient_id", "study_id", "view_key")}
    return replace(boxes.to_source(plan), **keys).to_dataframe()


def figures(result: ChallengeResult) -> str:
    text = f"{result.metric[MEAN]:.3f}"
    if result.bootstrap is not None:
        interval = result.bootstrap.intervals[MEAN]
        text += f" [{interval.low:.3f}, {interval.high:.3f}]"
    return f"{text:>32}{result.metric[TIE_BREAK]:>11.3f}"


if __name__ == "__main__":
    main()
