"""The second exams' study and its acceptance window, from nothing; the same call continues where it stopped.

Run: python benchmarks/second_study.py FOLDER [--workers 2] [--part study|window|controls|paired]
     [--estimate-only]
(or bash benchmarks/second_study.sh FOLDER). It first says how long it will take here: everything is done once
at a small scale, which takes a few minutes.

The parts: ``study`` predicts test patients; ``window`` is the same with two seeds on validation patients of
other exams; ``controls`` adds the variants of ``window_controls.yaml`` to it; ``paired`` finds the lesions of
the window's breasts on mammograms and on volumes, with detectors trained from scratch on the same patients,
in the same numbers of steps and images; the window's runs come first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

import comoto
from comoto.config import dump_yaml, read_yaml
from comoto.errors import ComotoError
from comoto.progress import enable_progress, say
from comoto.records import Manifest
from second_study_cost import FEW, NO_NORMALS, SHORT, Clock, told

HERE = Path(__file__).resolve().parent
FROZEN, STUDY = HERE / "second_exams.yaml", HERE / "second_study.yaml"
CONTROLS = HERE / "window_controls.yaml"
NO_VOLUMES = {f"tomosynthesis.{name}_patients": 0 for name in ("train", "validation", "test")}
NO_FILMS = {"mammography.training_patients": 0, "mammography.test_patients": 0}


@dataclass(frozen=True)
class Part:
    """What is made and trained.

    Attributes:
        seed: of the mammograms; the volumes have the next.
        test_patients: with volumes; without any, validation patients are predicted.
        films_of: whose mammograms lie beside the volumes.
        study: changes of the study file.
        variants: those of the study file that take part, in one repetition; empty: as the file says.
        controls: whether those of ``CONTROLS`` take part too, at 10 %.
        exams: changes of the frozen exams.
    """

    seed: int
    test_patients: int
    films_of: str
    study: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    controls: bool = False
    exams: Mapping[str, Any] = field(default_factory=dict)


_WINDOW = Part(
    4100,
    0,
    "of_tomosynthesis",
    {
        "name": "second-window",
        "fractions": [0.1, 1.0],
        "seeds": [0, 1],
        "fraction_repetitions": {},
        "fraction_seeds": {},
        "bootstrap": 1000,
        "main": [],
        "rules": {
            "published": ["inference.aggregation.kind=local_maximum"],
            "nms-0.1": ["inference.aggregation.kind=nms_3d", "inference.aggregation.iou=0.1"],
            "tracks": ["inference.aggregation.kind=tracks"],
            "whole-spans": ["inference.aggregation.span=strong"],
        },
    },
    variants=("scratch", "fine-tuned", "joint"),
)
PARTS = {
    "study": Part(5200, 150, "own"),
    "window": _WINDOW,
    "controls": replace(_WINDOW, controls=True),
    "paired": _WINDOW,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", choices=sorted(PARTS), default="study")
    parser.add_argument("--estimate-only", action="store_true")
    arguments = parser.parse_args()
    enable_progress()
    part, workers = PARTS[arguments.part], arguments.workers
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    estimate(folder, part, arguments.part, workers)
    if arguments.estimate_only:
        return
    make_exams(folder, part, workers, Clock())
    prepare_stores(folder, workers, Clock())
    if arguments.part == "paired":
        from second_pairs import compare_modalities

        compare_modalities(folder)
        return
    run_study(folder, part, workers)


def exam_settings(part: Part) -> dict[str, dict[str, Any]]:
    """Return what differs from the simulator's defaults, of the mammograms and of the volumes."""
    frozen = read_yaml(FROZEN)
    films = {**frozen["mammograms"], "seed": part.seed, **part.exams, **NO_VOLUMES}
    volumes = {**frozen["volumes"], "tomosynthesis.test_patients": part.test_patients, "seed": part.seed + 1}
    volumes |= {"mammography.patients": part.films_of, **part.exams}
    return {"mammograms": films, "volumes": volumes | (NO_FILMS if part.films_of == "own" else {})}


def make_exams(folder: Path, part: Part, workers: int, clock: Clock) -> None:
    """Simulate both sets of patients and index them."""
    for name, values in exam_settings(part).items():
        out = folder / "exams" / name
        with clock.on(f"simulate {name}"):
            comoto.simulate(out, size="small", exams="second", values=values, workers=workers)
    sources = {"mammograms": ("vindr-mammo", "mammograms"), "volumes": ("bcs-dbt", "volumes")}
    if part.films_of != "own":
        sources["paired"] = ("vindr-mammo", "volumes")
    for name, (dataset, exams) in sources.items():
        path = folder / "manifests" / name
        if not path.is_dir():
            manifest = comoto.index(dataset, folder / "exams" / exams / dataset)
            (_split_as_volumes(folder, manifest) if name == "paired" else manifest).save(path)


def _split_as_volumes(folder: Path, films: Manifest) -> Manifest:
    """Return the mammograms of the volumes' breasts, which train and validate as their volumes do."""
    volumes = Manifest.load(folder / "manifests" / "volumes")
    about = pd.read_csv(folder / "exams" / "volumes" / "vindr-mammo" / "images.csv", dtype=str)
    patient = about.drop_duplicates("study_id").set_index("study_id")["same_as"]
    split = volumes.images.drop_duplicates("patient_id").set_index("patient_id")["split"]
    own = films.images["study_id"].map(patient).map(split).astype("string")
    return replace(films, images=films.images.assign(split=own))


def prepare_stores(folder: Path, workers: int, clock: Clock) -> None:
    """Prepare what was indexed, on the study's grid."""
    grid = [one for one in read_yaml(STUDY)["settings"] if one.startswith("preprocess.")]
    for manifest in sorted((folder / "manifests").iterdir()):
        store = folder / "prepared" / manifest.name
        with clock.on(f"prepare {manifest.name}"):
            comoto.prepare(manifest, store, preset="demo", overrides=grid, workers=workers)


def study_file(folder: Path, part: Part) -> Path:
    """Write the study with the places of its stores."""
    content = {**read_yaml(STUDY), **part.study}
    if part.variants:
        content["variants"] = {
            name: {key: content["variants"][name].get(key, ()) for key in ("impa", "settings")}
            for name in part.variants
        }
    if part.controls:
        more = read_yaml(CONTROLS)["variants"]
        content["variants"] |= {name: {**variant, "fractions": [0.1]} for name, variant in more.items()}
    known = content["fractions"]
    content["fraction_settings"] = {
        fraction: settings for fraction, settings in content["fraction_settings"].items() if fraction in known
    }
    content["data"] = {
        "mammograms": str(folder / "prepared" / "mammograms"),
        "tomosynthesis": str(folder / "prepared" / "volumes"),
        "split": "test" if part.test_patients else "validation",
    }
    path = folder / "study.yaml"
    path.write_text(dump_yaml(content))
    return path


def run_study(folder: Path, part: Part, workers: int) -> None:
    """Run what is not complete.

    Raises:
        ComotoError: a run failed; the same call tries it again.
    """
    out = folder / "study"
    outcome = comoto.run_study(study_file(folder, part), out, workers=workers)
    failed = [f"{out / name}: {state.reason}" for name, state in outcome.states.items() if state.reason]
    if failed:
        raise ComotoError("\n".join(failed))


def estimate(folder: Path, part: Part, name: str, workers: int) -> None:
    """Say how long a part will take, and keep it; what was said once is said again."""
    kept = folder / f"estimate-{name}.txt"
    if not kept.is_file():
        say("measuring how long it will take, at a small scale")
        short = read_yaml(STUDY)
        study = {**part.study, "seeds": [0], "fractions": [1.0], "main": []}
        study |= {"fraction_repetitions": {}, "fraction_seeds": {}}
        variants = part.variants or tuple(short["variants"])
        study["teacher_settings"] = [*short["teacher_settings"], *SHORT, NO_NORMALS["teacher"]]
        study["fraction_settings"] = {1.0: [*SHORT, NO_NORMALS["student"]]}
        small = replace(part, test_patients=0, films_of="own", study=study, variants=variants, exams=FEW)
        small = replace(small, controls=False)  # their steps are left out of the estimate
        with tempfile.TemporaryDirectory() as place:
            few = Path(place)
            clock = Clock()
            make_exams(few, small, workers, clock)
            prepare_stores(few, workers, clock)
            run_study(few, small, workers)
            text = told(clock, few, exam_settings(part), study_file(folder, part), name, workers)
        kept.write_text(text)
    print(kept.read_text(), flush=True)


if __name__ == "__main__":
    main()
