"""Make the files of a former version with its own code; the README says how this is called.

What is made lies in the working folder, which stands for a user's: settings name it with relative paths where
a user's would.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import shutil
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import typer
import yaml

from comoto import api, components
from comoto.cli.main import app
from comoto.config import TrainConfig, override
from comoto.inference import predict as predicting
from comoto.records import Manifest
from comoto.simulation import simulate, sized

COHORT = [
    "grid.rows=64",
    "grid.columns=32",
    "grid.slice_mm=8",
    "anatomy.thickness_mm=[32, 34]",
    "mammography.training_patients=4",
    "mammography.test_patients=1",
    "mammography.lesion_share=1",
    "mammography.views_per_study=1",
    "tomosynthesis.train_patients=3",
    "tomosynthesis.validation_patients=1",
    "tomosynthesis.test_patients=2",
    "tomosynthesis.lesion_share=1",
    "tomosynthesis.views_per_study=1",
    "tomosynthesis.one_view_share=1",
    "traps.rotated_share=0.5",
]
SETTINGS = [
    "preprocess.rows=64",
    "preprocess.columns=32",
    "detector.anchor_sizes=[[6, 9], [12, 16], [22, 30]]",
    "detector.score_threshold=0.0",
    "detector.max_detections=5",
    "batch.size=2",
    "precision=32-true",
    "optimizer.kind=sgd",
    "schedule.steps_per_epoch=1",
    "inference.slice_step=1",
]
RUN = [*SETTINGS, "threads=1", "schedule.epochs=2", "selection.min_hit_radius=5.3"]
TEACHER = [*RUN, "data.mammograms=stores/vindr-mammo"]
STUDENT = [
    *TEACHER,
    "data.tomosynthesis=stores/bcs-dbt",
    "teacher=runs/teacher",
    "distill.kind=lesion_points",
    "joint.size=2",
    "joint.batch_norm=mixed",
    "joint.weight=0.5",
    "inference.aggregation.kind=box_fusion",
]
STUDY = {
    "name": "old",
    "preset": "demo",
    "settings": [*SETTINGS, "schedule.epochs=1"],
    "student_settings": ["joint.size=0"],
    "data": {"mammograms": "stores/vindr-mammo", "tomosynthesis": "stores/bcs-dbt"},
    "fractions": [1.0],
    "seeds": [0],
    "min_hit_radius": 8.0,
    "bootstrap": 20,
    "arms": {
        "pretraining": {"impa": False},
        "lskd": {"impa": False, "settings": ["distill.kind=lesion_points"]},
        "mixed-batches": {"impa": False, "settings": ["joint.size=2"]},
    },
    "rules": {"published": ["inference.aggregation.kind=local_maximum"]},
}
ENDED = ("teacher", "student")
"""Runs that no test resumes."""
SCORED = "study/students/standard/100/mixed-batches/seed0-rep0/predictions.csv"
ROOTS = {"bcs-dbt": "exams/bcs-dbt", "vindr-mammo": "exams/vindr-mammo"}


def main() -> None:
    """Make everything that is not there."""
    if not Path("exams").is_dir():
        simulate(Path("exams"), override(sized("tiny"), COHORT), workers=1)
    for name, root in ROOTS.items():
        api.index(name, root).save(Path("manifests", name))
        manifest = Manifest.load(Path("manifests", name))
        api.prepare(manifest, f"stores/{name}", preset="demo", overrides=SETTINGS, workers=1)
    api.split(["manifests/bcs-dbt"], "split", seed=3, fractions=[0.5], official=False)
    api.train_teacher("runs/teacher", preset="demo", overrides=TEACHER)
    api.train_student("runs/student", preset="demo", overrides=STUDENT)
    api.train_student("runs/interrupted", preset="demo", overrides=STUDENT, stop_after=1)
    api.export_onnx("runs/student", "student.onnx")
    volumes, films = _test_files()
    api.predict("runs/student", volumes, "predictions.csv")
    api.predict("student.onnx", volumes, "onnx.csv")
    api.predict("runs/teacher", films, "mammograms.csv", mammograms=True)
    _interrupted(volumes)
    Path("study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")
    api.run_study("study.yaml", "study", workers=1)
    _write_expected(volumes)
    _remove_what_no_test_opens([*volumes, *films])


def _test_files() -> tuple[list[str], list[str]]:
    """Return the paths of the test images, volumes and mammograms."""
    found = []
    for name in ROOTS:
        images = Manifest.load(Path("manifests", name)).images
        paths = images[images["split"] == "test"]["path"]
        found.append(sorted(str(Path(path).relative_to(Path.cwd())) for path in paths))
    return found[0], found[1]


def _interrupted(volumes: list[str]) -> None:
    """Predict on the first volume and be interrupted at the second one."""
    one, calls = predicting._one, []

    def first_only(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return one(*arguments)

    predicting._one = first_only
    with contextlib.suppress(KeyboardInterrupt):
        api.predict("runs/student", volumes, "interrupted.csv")
    predicting._one = one


def _write_expected(volumes: list[str]) -> None:
    """Write what this version says of its own files."""
    detections = json.loads(Path("predictions.json").read_text(encoding="utf-8"))
    table = api.study_table("study", bootstrap=20)
    manifests = {name: Manifest.load(Path("manifests", name)) for name in ROOTS}
    expected = {
        "volumes": volumes,
        "predictions": detections["images"],
        "manifests": {name: [len(one.images), len(one.lesions)] for name, one in manifests.items()},
        "study": json.loads(table.to_json(orient="records")),
        "metric": api.evaluate(SCORED, "study/labels.csv", "study/boxes.csv", min_radius=8).metric,
        "calls": {name: list(inspect.signature(getattr(api, name)).parameters) for name in api.__all__},
        "commands": dict(_commands(typer.main.get_command(app), "")),
        "kinds": {table: sorted(names) for table, names in components.TABLES.items()},
        "words": dict(_words()),
    }
    lines = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in expected.items())
    Path("expected.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _commands(command: Any, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands with their flags."""
    for word, below in getattr(command, "commands", {}).items():
        yield from _commands(below, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, [flag for one in command.params if one.param_type_name == "option" for flag in one.opts]


def _words() -> Iterator[tuple[str, list[str]]]:
    """Yield the settings that are one of several words; those of a component below its kind."""
    yield from _words_of(TrainConfig, "")
    for section, table in (("detector", "detector"), ("distill", "distiller")):
        for kind in components.TABLES[table]:
            yield from _words_of(components.resolve(table, kind).Config, f"{section}:{kind}.")


def _words_of(model: type[pydantic.BaseModel], section: str) -> Iterator[tuple[str, list[str]]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel):
            yield from _words_of(field.annotation, f"{section}{name}.")
        options = [one for part in _parts(field.annotation) for one in typing.get_args(part)]
        words = [one for one in options if isinstance(one, str)]
        if words:
            yield section + name, words


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *typing.get_args(annotation)]


def _remove_what_no_test_opens(images: list[str]) -> None:
    kept = {Path(image).resolve() for image in images}
    for path in sorted(Path("exams").rglob("*.dcm")) + sorted(Path("exams").rglob("*.dicom")):
        if path.resolve() not in kept:
            path.unlink()
    for folder in sorted(Path.cwd().rglob("tensorboard")):
        shutil.rmtree(folder)
    for path in (*Path.cwd().rglob("worker.log"), *Path.cwd().rglob("lock"), *Path("exams").rglob("*.csv")):
        path.unlink()
    for path in (*Path("study").rglob("*.safetensors"), *(Path("runs", run, "state.pt") for run in ENDED)):
        path.unlink()


if __name__ == "__main__":
    sys.exit(main())
