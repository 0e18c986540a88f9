"""A cross-modal study on real images, CDD-CESM: teacher of one modality, students of the other.

Run: python benchmarks/cesm_study.py FOLDER IMAGES [--workers 2] [--folds 4] [--seeds 5] [--only VARIANT]
     [--direction both|to-subtracted|to-low-energy] [--table-only] [--tiny]

Patients with a compact lesion are put into folds; each fold is tested by detectors that saw none of its
patients. Of the others of a fold, 55 % teach, 37 % are the student's and 8 % choose the teacher's epoch. All
runs of a seed are made in every fold before the next seed begins, so a study that is cut off is whole up to
there. The same call goes on; ``--seeds`` may grow. FOLDER/<direction>/table.md is the result. ``--tiny``
makes two folds, one seed and six steps a run, to see that it works.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import comoto
from cesm_pictures import pictures
from cesm_pool import pooled
from comoto.config import dump_yaml, read_yaml
from comoto.datasets.cdd_cesm.files import Energy
from comoto.errors import ComotoError
from comoto.preprocessing.store import PreparedStore
from comoto.progress import enable_progress, say
from comoto.records import Manifest, Split
from comoto.study.config import load_study, saved_study
from comoto.study.grid import build_grid
from comoto.study.kept import DONE, read_done
from comoto.study.run import StudyOptions, run_study
from comoto.study.table import markdown, summarise, write_tables

STUDY = Path(__file__).resolve().parent / "cesm_study.yaml"
DIRECTIONS: dict[str, tuple[Energy, Energy]] = {
    "to-subtracted": ("low_energy", "subtracted"),
    "to-low-energy": ("subtracted", "low_energy"),
}
"""What the teacher learns, and what its student."""
TEACHER, STUDENT = 0.55, 0.37
"""Shares of the patients who are not tested; the rest chooses the teacher's epoch."""
TINY = ["schedule.epochs=1", "schedule.steps_per_epoch=6", "schedule.validate_every=1"]


def main() -> None:
    options = _arguments()
    enable_progress()
    folder = options.folder.absolute()
    names = list(DIRECTIONS) if options.direction == "both" else [options.direction]
    if not options.table_only:
        _run(folder, options, names)
    for name in names:
        write_table(folder / name, options.folds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--direction", choices=["both", *DIRECTIONS], default="both")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], metavar="VARIANT")
    parser.add_argument("--table-only", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    if options.tiny:
        options.folds, options.seeds = 2, 1
    return options


def _run(folder: Path, options: argparse.Namespace, names: Sequence[str]) -> None:
    images = {
        energy: pictures(options.images.absolute(), energy, folder / "pictures")
        for energy in DIRECTIONS["to-subtracted"]
    }
    patients = sorted(set().union(*(set(one.images["patient_id"]) for one in images.values())))
    say(f"{len(patients)} patients; " + "; ".join(map(repr, images.values())))
    roles = [fold_roles(patients, fold, options.folds) for fold in range(options.folds)]
    for name in names:
        for fold, of_patient in enumerate(roles):
            make_stores(folder / name / f"fold{fold}", name, images, of_patient, options.workers)
    for last in range(options.seeds):
        for name in names:
            for fold in range(options.folds):
                place = folder / name / f"fold{fold}"
                study = load_study(study_file(place, name, last + 1, tiny=options.tiny))
                how = StudyOptions(workers=options.workers, only=tuple(options.only))
                states = run_study(study, place / "study", how).states
                failed = [
                    f"{place / 'study' / run}: {one.reason}" for run, one in states.items() if one.reason
                ]
                if failed or any(one.status != "done" for one in states.values()):
                    raise ComotoError("\n".join(failed) or f"{place}: stopped; the same call goes on")


def fold_roles(patients: Sequence[str], fold: int, folds: int) -> dict[str, str]:
    """Return what each patient is in a fold: ``teacher``, ``student``, ``validation`` or ``test``.

    Args:
        patients: sorted; which fold tests whom depends on nothing else.
        fold: from 0.
        folds: how many there are.
    """
    order = np.random.default_rng(0).permutation(len(patients))
    tested = {patients[k] for k in order[fold::folds]}
    others = [patients[k] for k in np.random.default_rng([1, fold]).permutation(len(patients))]
    others = [name for name in others if name not in tested]
    ends = round(TEACHER * len(others)), round((TEACHER + STUDENT) * len(others))
    roles = dict.fromkeys(tested, "test")
    roles |= dict.fromkeys(others[: ends[0]], "teacher")
    roles |= dict.fromkeys(others[ends[0] : ends[1]], "student")
    return roles | dict.fromkeys(others[ends[1] :], "validation")


def make_stores(
    place: Path, direction: str, images: dict[Energy, Manifest], roles: dict[str, str], workers: int
) -> None:
    """Prepare what teacher and student of a fold see; finished stores stay."""
    source, target = DIRECTIONS[direction]
    splits = {
        "teacher": Split.TRAIN,
        "student": Split.TRAIN,
        "validation": Split.VALIDATION,
        "test": Split.TEST,
    }
    for role, energy, parts in (
        ("teacher", source, ("teacher", "validation")),
        ("student", target, ("student", "validation", "test")),
    ):
        manifest = images[energy]
        role_of = manifest.images["patient_id"].map(roles)
        whole = Manifest(
            manifest.name,
            manifest.images.assign(split=role_of.map(lambda word: splits[word].value)),
            manifest.lesions,
        )
        store = place / role
        if not (store / "manifest" / "manifest.json").is_file():
            comoto.prepare(whole.select(role_of.isin(parts)), store, preset="demo", workers=workers)
    _refuse_shared(place)


def _refuse_shared(place: Path) -> None:
    """Check that nobody who teaches is the student's or tested."""
    taught = PreparedStore(place / "teacher").manifest.split(Split.TRAIN).images["patient_id"]
    student = PreparedStore(place / "student").manifest.images["patient_id"]
    shared = set(taught) & set(student)
    if shared:
        raise ComotoError(f"{place}: {len(shared)} patients are the teacher's and the student's; remove it")


def study_file(place: Path, direction: str, seeds: int, *, tiny: bool = False) -> Path:
    """Write the study of a fold."""
    content: dict[str, Any] = read_yaml(STUDY)
    content["name"] = f"cesm-{direction}-{place.name}"
    content["data"] = {"mammograms": str(place / "teacher"), "tomosynthesis": str(place / "student")}
    content["seeds"] = list(range(seeds))
    if tiny:
        content["teacher_settings"] += TINY
        content["fraction_settings"] = dict.fromkeys(content["fractions"], TINY)
        content["bootstrap"] = 50
    path = place / "study.yaml"
    path.write_text(dump_yaml(content), encoding="utf-8")
    return path


def write_table(folder: Path, folds: int) -> None:
    """Pool the folds of a direction, and say what a run took."""
    places = [folder / f"fold{fold}" / "study" for fold in range(folds)]
    results = pooled(places)
    rows = summarise(results)
    written = write_tables(folder, results, rows)
    print(markdown(results, rows))
    print("\n".join(costs(places)))
    say(f"{written[0]}: {len(results.truth.patients)} patients, each tested once")


def costs(places: Sequence[Path]) -> list[str]:
    """Return a line for each kind of run: how many are complete, how long one and a training step took."""
    seconds: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for place in places:
        grid = build_grid(saved_study(place), place)
        for run in (*grid.teachers, *grid.students):
            done = read_done(place / run.name) if (place / run.name / DONE).is_file() else None
            if done is not None:
                kind = run.label if run.role == "teacher" else f"{run.label}, {run.config.data.fraction:g}"
                seconds[kind].append((done["seconds"], done["train_seconds"], run.steps))
    lines = ["run, complete, seconds of one, seconds of training a step"]
    for kind, times in seconds.items():
        whole, trained, steps = (np.mean(column) for column in zip(*times, strict=True))
        lines.append(f"{kind}, {len(times)}, {whole:.1f}, {trained / steps:.3f}")
    return lines


if __name__ == "__main__":
    main()
