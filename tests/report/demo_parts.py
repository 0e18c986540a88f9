"""Makes a demo folder from its parts with public calls, as ``comoto demo`` does."""

import shutil
import time
from pathlib import Path

from comoto import api
from comoto.checksums import write_sealed_json
from comoto.demo import STUDENTS
from comoto.evaluation.mammogram import evaluate_mammograms
from comoto.records import Manifest, Modality, Split
from comoto.report.demo_folder import FORMAT


def finish_demo(folder, preset_overrides, min_hit_radius, fraction, bootstrap=200):
    """Train, predict and evaluate in a folder that holds exams, manifests and prepared stores."""
    stages = [{"name": "simulate", "seconds": 1.5, "peak_mib": None}]

    def timed(name, call):
        started = time.monotonic()
        result = call()
        stages.append({"name": name, "seconds": time.monotonic() - started, "peak_mib": 700.0})
        return result

    data = [f"data.mammograms={folder / 'prepared/vindr-mammo'}"]
    timed(
        "train the teacher",
        lambda: api.train_teacher(
            folder / "runs/teacher", preset="demo", overrides=[*preset_overrides, *data]
        ),
    )
    data += [f"data.tomosynthesis={folder / 'prepared/bcs-dbt'}"]
    for name, own in STUDENTS.items():
        teacher = [] if "init=scratch" in own else [f"teacher={folder / 'runs/teacher'}"]
        overrides = [*preset_overrides, *data, *teacher, f"data.fraction={fraction}", *own]
        timed(
            f"train {name}",
            lambda name=name, overrides=overrides: api.train_student(
                folder / "runs" / name, preset="demo", overrides=overrides
            ),
        )
    evaluate_demo(folder, min_hit_radius, bootstrap)
    about = {
        "format": FORMAT,
        "seed": 0,
        "size": "tiny",
        "pixel_mm": 1.6,
        "slice_mm": 4.0,
        "started": "2026-03-01T10:30+01:00",
        "command": "comoto demo --out <mine>",
        "fraction": fraction,
        "min_hit_radius": min_hit_radius,
        "stages": stages,
        "versions": "comoto 0.1.0\nnumpy <2 & more>",
        "machine": "2 cores",
    }
    write_sealed_json(folder / "demo.json", about)


def evaluate_demo(folder, min_hit_radius, bootstrap):
    """Predict the test images and score them."""
    evaluation = folder / "evaluation"
    evaluation.mkdir()
    for name in STUDENTS:
        files = api.predict(
            folder / "runs" / name,
            [folder / "manifests/bcs-dbt"],
            folder / f"predictions/{name}.csv",
            split="test",
        )
        result = api.evaluate(
            files.table,
            manifest=folder / "manifests/bcs-dbt",
            split="test",
            bootstrap=bootstrap,
            min_radius=min_hit_radius,
        )
        (evaluation / f"{name}.json").write_text(result.to_json(), encoding="utf-8")
    mammograms = api.predict(
        folder / "runs/teacher",
        [folder / "manifests/vindr-mammo"],
        folder / "predictions/teacher.csv",
        split="test",
        mammograms=True,
    )
    held_out = Manifest.load(folder / "manifests/vindr-mammo").split(Split.TEST)
    assert set(held_out.images["modality"]) == {Modality.MAMMOGRAM.value}
    result = evaluate_mammograms(mammograms.table, held_out, rule="center", bootstrap=bootstrap)
    (evaluation / "teacher.json").write_text(result.to_json(), encoding="utf-8")


def lay_out(folder, exams):
    """Copy what the shared tiny exams already hold; paths in manifests stay those of the exams."""
    for name in ("bcs-dbt", "vindr-mammo"):
        shutil.copytree(exams.manifests / name, folder / "manifests" / name)
        shutil.copytree(exams.stores / name, folder / "prepared" / name)
    return Path(folder)
