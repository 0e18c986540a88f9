"""A control of the recipe: projections of the student's own few volumes in the place of all mammograms.

For each run of ``--runs``, a student with mammograms in its batches, every volume of its training patients
is projected onto the plane (mean over its slices) with its boxes, a teacher is trained on these pictures with
the settings of the run's own teacher, and the student again, mixed with them. Both are judged a quarter of
the way back to their teachers and with a focus head. If projections do as well, mammograms did nothing. The
validation patients, on whom both are judged, choose the swapped teacher's epoch too, which favours it.

Stores, runs and predictions are kept in --out, so the same call goes on where it was stopped.

Run: python benchmarks/teacher_swap.py --out FOLDER --split validation --min-radius 21.25 --runs RUN,RUN
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import comoto
from comoto.checksums import content_sha256
from comoto.config import load_run_config
from comoto.evaluation.challenge_tables import challenge_tables, read_predictions, read_truth
from comoto.evaluation.depth_variants import MILLIMETRES, DepthRules, depth_variants
from comoto.output_files import atomic_folder, atomic_write
from comoto.preprocessing.planes import write_planes
from comoto.preprocessing.store import PreparedStore
from comoto.preprocessing.store_folder import ImageNote, finish, start_folder
from comoto.records import Manifest, Modality, Split
from keep_teacher import CHALLENGE, TITLE, Way, predicted, row, training_cohort

RECIPE = Way(0.25, "averaged", focus=True)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    runs = [Path(run) for run in options.runs.split(",")]
    config = load_run_config(runs[0] / "config.yaml")
    if config.data.tomosynthesis is None:
        raise SystemExit(f"{runs[0]}: does not say which volumes it was trained on")
    store = PreparedStore(config.data.tomosynthesis)
    swapped = [swap(run, options.out / str(number)) for number, run in enumerate(runs)]
    truth = read_truth(*challenge_tables(store.manifest.split(Split(options.split))), options.min_radius)
    rules = DepthRules(tolerance_mm=10.0, slice_mm=np.full(len(truth.volumes), options.slice_mm))
    by_way = {}
    for name, chosen in (("mammograms", runs), ("projections of its own volumes", swapped)):
        found = [read_predictions(predicted(run, RECIPE, store, options), truth) for run in chosen]
        inside = [depth_variants(one, truth, rules)[MILLIMETRES] for one in found]
        by_way[name] = {CHALLENGE: found, MILLIMETRES: inside}
    lines = [TITLE, *(row(name, by_way, name, "mammograms", truth) for name in by_way)]
    print("\n".join(lines))
    with atomic_write(options.out / "table.md") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="stores, runs, predictions and the table")
    parser.add_argument("--runs", required=True, help="RUN,RUN: students of the recipe")
    parser.add_argument("--split", choices=[split.value for split in Split], required=True)
    parser.add_argument("--min-radius", type=float, default=100.0, help="least hit radius, source pixels")
    parser.add_argument("--slice-mm", type=float, default=1.0, help="distance of slices")
    parser.add_argument("--batches", type=int, default=50, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def swap(run: Path, out: Path) -> Path:
    """Train teacher and student of a run again, with projections for mammograms; return the student."""
    config = load_run_config(run / "config.yaml")
    if config.teacher is None or config.data.tomosynthesis is None:
        raise SystemExit(f"{run}: has no teacher, or does not say which volumes it was trained on")
    cohort = training_cohort(config)
    projections, teacher, student = out / "projections", out / "teacher", out / "student"
    if not projections.is_dir():
        write_projections(cohort.store, cohort.patients, projections)
    for kind, folder in (("teacher", teacher), ("student", student)):
        again = {"resume": True} if (folder / "run.json").is_file() else {}
        if kind == "teacher":
            settings = config.teacher / "config.yaml"
            comoto.train_teacher(folder, mammograms=projections, preset=settings, **again)
        else:
            values = {"teacher": teacher, "data.mammograms": (projections,)}
            comoto.train_student(folder, preset=run / "config.yaml", values=values, **again)
    return student


def write_projections(volumes: PreparedStore, patients: Sequence[str], out: Path) -> None:
    """Write the projections of some training patients' volumes and of all validation patients' as a store."""
    images = volumes.manifest.images
    wanted = images["patient_id"].isin(patients) | (images["split"] == Split.VALIDATION.value)
    chosen = volumes.manifest.select(wanted)
    manifest = Manifest(
        f"{chosen.name}-projected",
        chosen.images.assign(modality=Modality.MAMMOGRAM.value, num_slices=1),
        chosen.lesions.assign(slice_index=None),
    )
    keys = {name: content_sha256({"projection of": name})[:40] for name in chosen.images["image_id"]}
    with atomic_folder(out, overwrite=False) as part:
        start_folder(part, manifest.name, volumes.config, volumes.options)
        for name, key in keys.items():
            info = volumes.info(name)
            picture = np.rint(volumes.pixels(name)[volumes.regular_planes(name)].mean(axis=0)).astype(
                np.uint8
            )
            one = replace(info, num_slices=1, slice_indices=np.array([0]), sha256=())
            write_planes(part, key, one, [picture])
            ImageNote(name, "", key, key).write(part)
        finish(part, manifest, keys)


if __name__ == "__main__":
    main()
