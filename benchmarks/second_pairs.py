"""Are lesions found better on volumes than on mammograms of the same breasts? Called by second_study.py.

Both detectors start from scratch and see the same patients, as many steps of as many images, half of them
without a lesion, at the same learning rate. The one of the volumes is the window's variant ``scratch`` with
all patients. A hit on a mammogram is the challenge's: the centre of a box within half the diagonal of the
lesion's, at least 8.5 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import comoto
from comoto.config import TrainConfig, load_train_config
from comoto.evaluation.bootstrap import patient_draws, percentile_interval
from comoto.evaluation.ceiling import hit_lesions
from comoto.evaluation.challenge import FPS_POSITIVE, resampled_positive
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    read_predictions,
    read_truth,
)
from comoto.evaluation.depth_variants import DepthRules, depth_variants
from comoto.records import Manifest, Split
from comoto.study.config import StudyConfig, load_study
from comoto.study.grid import PlannedRun, build_grid
from comoto.study.kept import BOXES, LABELS
from comoto.training.run import train_teacher

DRAWS = 1000
SAME = ("batch", "augment", "optimizer", "schedule", "selection", "seed", "threads")
"""Sections of the settings that both detectors share."""
FILMS, VOLUMES, PLANE = "mammograms", "volumes", "volumes, x and y alone"


@dataclass(frozen=True)
class Judged:
    """One detector of either kind: where the lesions lie, of what type they are, and what it found."""

    truth: ChallengeTruth
    types: list[str]
    found: ChallengePredictions

    def drawn(self, copies: np.ndarray) -> np.ndarray:
        """Return the mean sensitivity at 1 to 4 false positives on each draw of patients."""
        rates = np.array(FPS_POSITIVE)
        return resampled_positive(self.found, self.truth).sensitivity_at_draws(rates, copies).mean(axis=1)


def compare_modalities(folder: Path) -> None:
    """Train what is missing, and write ``paired.md``."""
    study = load_study(folder / "study.yaml")
    grid = build_grid(study, folder / "study")
    scratch = {
        run.config.seed: run
        for run in grid.students
        if run.label == "scratch" and run.config.data.fraction == 1.0
    }
    pairs = []
    for run in sorted(scratch.values(), key=lambda each: each.config.seed):
        volume_detector = folder / "study" / run.name
        if not (volume_detector / "predictions.csv").is_file():
            raise SystemExit(f"{volume_detector}: not complete; run the part 'window' first")
        film_detector = folder / "paired" / f"seed{run.config.seed}"
        films = film_settings(run, study, folder / "prepared" / "paired")
        train_teacher(films, film_detector, resume=True)
        own = judge_films(folder, film_detector, study.min_hit_radius)
        pairs.append({FILMS: own, **judge_volumes(folder, volume_detector, study.min_hit_radius)})
    text = told(pairs)
    (folder / "paired.md").write_text(text, encoding="utf-8")
    print(text)


def film_settings(run: PlannedRun, study: StudyConfig, films: Path) -> TrainConfig:
    """Return what trains a detector on mammograms with the effort of a student's run."""
    config = load_train_config("demo", [*study.settings, "impa.weight=0"], role="teacher")
    return config.model_copy(
        update={
            **{name: getattr(run.config, name) for name in SAME},
            "data": config.data.model_copy(update={"mammograms": (films,)}),
        }
    )


def judge_films(folder: Path, run: Path, radius: float) -> Judged:
    """Predict the validation patients' mammograms, a volume of one slice each to the challenge's metric."""
    manifest = Manifest.load(folder / "manifests" / "paired").split(Split.VALIDATION)
    table = run / "predictions.csv"
    if not table.is_file():
        comoto.predict(run, folder / "manifests" / "paired", table, split="validation", mammograms=True)
    images = manifest.images
    labels = pd.DataFrame(
        {"PatientID": images["patient_id"], "StudyUID": images["image_id"], "View": images["view_key"]}
    )
    boxes = _places(manifest.lesions.merge(images[["image_id", "view_key"]], on="image_id"))
    boxes |= {"Slice": 0, "VolumeSlices": 1, "Class": "lesion"}
    truth = read_truth(labels, pd.DataFrame(boxes), radius)
    found = pd.read_csv(table).merge(images[["image_id", "view_key"]], on="image_id")
    told_by = pd.read_csv(folder / "exams" / "volumes" / "vindr-mammo" / "lesions.csv", dtype=str)
    types = told_by.set_index(["image_id", "Lesion"])["type"]
    rows = {**_places(found), "Z": 0, "Depth": 0, "Score": found["score"], "PatientID": ""}
    return Judged(truth, _types(truth, types, by_study=True), read_predictions(pd.DataFrame(rows), truth))


def _places(rows: pd.DataFrame) -> dict[str, object]:
    width, height = rows["x2"] - rows["x1"], rows["y2"] - rows["y1"]
    place = {"X": rows["x1"], "Y": rows["y1"], "Width": width, "Height": height}
    return {"StudyUID": rows["image_id"], "View": rows["view_key"], **place}


def judge_volumes(folder: Path, run: Path, radius: float) -> dict[str, Judged]:
    """Read what the window's run predicted on the validation patients' volumes."""
    truth = read_truth(folder / "study" / LABELS, folder / "study" / BOXES, radius)
    found = read_predictions(run / "predictions.csv", truth)
    told_by = pd.read_csv(folder / "exams" / "volumes" / "bcs-dbt" / "lesions.csv", dtype=str)
    types = _types(truth, told_by.set_index(["StudyUID", "View", "Lesion"])["type"], by_study=False)
    plane = depth_variants(found, truth, DepthRules())["in_plane"]
    return {VOLUMES: Judged(truth, types, found), PLANE: Judged(truth, types, plane)}


def _types(truth: ChallengeTruth, types: pd.Series, *, by_study: bool) -> list[str]:
    keys = list(truth.volumes)
    numbers = zip(truth.lesion_volume.tolist(), truth.lesion_number.tolist(), strict=True)
    return [
        types[(keys[volume][0], str(number)) if by_study else (*keys[volume], str(number))]
        for volume, number in numbers
    ]


def told(pairs: list[dict[str, Judged]]) -> str:
    """Return the table: each kind, volumes minus mammograms on the same draws of patients, and by type."""
    patients = len(pairs[0][FILMS].truth.patients)
    copies = np.stack(list(patient_draws(patients, DRAWS, 0)))
    whole = np.ones((1, patients + 1), dtype=np.int64)
    names = list(pairs[0])
    level = {name: np.mean([pair[name].drawn(whole)[0] for pair in pairs]) for name in names}
    drawn = {name: np.mean([pair[name].drawn(copies) for pair in pairs], axis=0) for name in names}
    types = sorted(set(pairs[0][FILMS].types))
    lines = [
        f"Mean sensitivity at 1 to 4 false positives per image with a lesion, {len(pairs)} seeds, {patients} "
        f"patients, {len(pairs[0][FILMS].types)} lesions; intervals over patients alone, the same draws for "
        "all. By type: share of the lesions hit at 4 false positives.",
        "",
        f"| images | mean sensitivity | minus {FILMS} | {' | '.join(types)} |",
        f"|---|---|---|{'---|' * len(types)}",
    ]
    for name in names:
        apart = percentile_interval(drawn[name] - drawn[FILMS])
        minus = f"{level[name] - level[FILMS]:+.3f} [{apart.low:+.3f}, {apart.high:+.3f}]"
        shares = [f"{_share(pairs, name, kind):.2f}" for kind in types]
        cells = [name, f"{level[name]:.3f}", "" if name == FILMS else minus, *shares]
        lines.append(f"| {' | '.join(cells)} |")
    counts = [str(pairs[0][FILMS].types.count(kind)) for kind in types]
    return "\n".join([*lines, f"| lesions | {len(pairs[0][FILMS].types)} | | {' | '.join(counts)} |", ""])


def _share(pairs: list[dict[str, Judged]], name: str, kind: str) -> float:
    hits = [
        hit_lesions(pair[name].found, pair[name].truth)[np.array(pair[name].types) == kind] for pair in pairs
    ]
    return float(np.mean(hits))
