"""What the student's recipe and the aggregation rule are worth, on volumes simulated for this purpose.

Takes a finished demo folder (its teacher and its prepared training patients, never its test patients),
simulates validation volumes of other patients, trains students with a few recipes and seeds, and prints the
challenge's mean sensitivity under two aggregation rules. The last checkpoint is judged: nothing is selected.

Run: python benchmarks/student_recipe.py --demo demo-output --out recipe --seeds 3
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from comoto import api
from comoto.config import AggregationConfig, override
from comoto.detections import Detections, Spans
from comoto.dicom.read import DicomImage
from comoto.evaluation.challenge import challenge_metric
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.inference.aggregate import aggregate
from comoto.inference.volume import detect_slices, slice_indices
from comoto.preprocessing.plan import plan_image
from comoto.records import IntArray, Manifest, Modality
from comoto.simulation import simulate, sized

VARIANTS = {
    "negatives, learning rate 6e-4": ["optimizer.learning_rate=6e-4"],
    "negatives, learning rate 3e-4": ["optimizer.learning_rate=3e-4"],
    "negatives, learning rate 2e-4": ["optimizer.learning_rate=2e-4"],
    "positives only, 6e-4": ["optimizer.learning_rate=6e-4", "batch.negative_share=0"],
    "negatives and LsKD, 6e-4": ["optimizer.learning_rate=6e-4", "distill.kind=lesion_points"],
    "from scratch, negatives, 1.5e-3": ["optimizer.learning_rate=1.5e-3", "init=scratch"],
}
RULES = {
    "local_maximum": AggregationConfig(kind="local_maximum"),
    "nms_3d": AggregationConfig(kind="nms_3d"),
}
DEPTHS = ("nms_3d, top slice", "nms_3d, middle of volume")
"""The boxes of ``nms_3d`` with another depth: what does the depth alone do to the metric?"""
COLUMNS = (*RULES, *DEPTHS)
HIT_RADIUS = 10.62


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--patients", type=int, default=80)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    manifest = validation_volumes(options.out, options.patients)
    print(f"{len(manifest)} volumes, {len(manifest.lesions)} lesions; mean sensitivity at 1-4 FP per volume")
    print(f"{'student':<34}" + "".join(f"{name:>28}" for name in COLUMNS))
    for variant, settings in ((variant, VARIANTS[variant]) for variant in options.variants):
        scores: dict[str, list[float]] = {name: [] for name in COLUMNS}
        for seed in range(options.seeds):
            run = options.out / f"{variant.replace(' ', '-').replace(',', '')}-{seed}"
            train(run, options.demo, [*settings, f"seed={seed}", f"threads={options.threads}"])
            for name, score in scores_of(run, manifest).items():
                scores[name].append(score)
        cells = [f"{np.mean(v):.3f} ({' '.join(f'{one:.3f}' for one in v)})" for v in scores.values()]
        print(f"{variant:<34}" + "".join(f"{cell:>28}" for cell in cells), flush=True)


def validation_volumes(out: Path, patients: int) -> Manifest:
    """Simulate and index volumes of patients whom no demo has."""
    wanted = [
        "seed=77",
        "mammography.training_patients=0",
        "mammography.test_patients=0",
        "tomosynthesis.train_patients=0",
        "tomosynthesis.validation_patients=0",
        f"tomosynthesis.test_patients={patients}",
        "tomosynthesis.lesion_share=0.8",
    ]
    paths = simulate(out / "exams", override(sized("demo"), wanted), workers=2)
    return api.index("bcs-dbt", paths.bcs_dbt)


def train(run: Path, demo: Path, settings: list[str]) -> None:
    """Train a student on the demo's training patients; continue or keep what an earlier call left."""
    overrides = [
        f"data.mammograms={demo / 'prepared' / 'vindr-mammo'}",
        f"data.tomosynthesis={demo / 'prepared' / 'bcs-dbt'}",
        f"teacher={demo / 'runs' / 'teacher'}",
        "data.fraction=0.25",
        "joint.size=0",
        "schedule.validate_every=1000",
        "selection.max_images=1",
        f"selection.min_hit_radius={HIT_RADIUS}",
        *settings,
    ]
    api.train_student(run, preset="demo", overrides=overrides, resume=True)


def scores_of(run: Path, manifest: Manifest) -> dict[str, float]:
    """Return the mean sensitivity of a run's last checkpoint under each rule; the network runs once."""
    model = api.load_model(run)
    labels, boxes = challenge_tables(manifest)
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in COLUMNS}
    for record in manifest.records():
        with DicomImage(record.path) as image:
            plan = plan_image(image, record.laterality, Modality.TOMOSYNTHESIS, model.config.preprocess)
            num_slices = image.header.num_frames
            indices = slice_indices(num_slices, model.config.inference.slice_step)
            rendered = (
                (k, plan.render(frame)) for k, frame in zip(indices, image.frames(indices), strict=True)
            )
            found = detect_slices(model, rendered, 16)
        merged = {rule: aggregate(found, num_slices, config) for rule, config in RULES.items()}
        own = merged["nms_3d"]
        flat = np.zeros(len(own), dtype=np.int64)
        merged[DEPTHS[0]] = replace(own, spans=Spans(top_slices(own, found), flat))
        merged[DEPTHS[1]] = replace(own, spans=Spans(flat + num_slices // 2, flat))
        for name, one in merged.items():
            keys = {key: getattr(record, key) for key in ("image_id", "patient_id", "study_id", "view_key")}
            tables[name].append(replace(one.to_source(plan), **keys).to_dataframe())
    return {
        name: challenge_metric(pd.concat(rows), labels, boxes, HIT_RADIUS)["mean_sensitivity_positive"]
        for name, rows in tables.items()
    }


def top_slices(merged: Detections, found: dict[int, Detections]) -> IntArray:
    """Return the slice from which each merged box comes, the one of its highest score."""
    where = {
        (float(score), *box): k
        for k, one in found.items()
        for score, box in zip(one.scores, one.boxes_xyxy.tolist(), strict=True)
    }
    pairs = zip(merged.scores, merged.boxes_xyxy.tolist(), strict=True)
    return np.array([where[(float(score), *box)] for score, box in pairs], dtype=np.int64)


if __name__ == "__main__":
    main()
