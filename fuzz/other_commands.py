"""What ``fuzz/kill.py`` needs for the commands that neither prepare, train nor predict."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from run_folders import small_stores

_STUDY_SETTINGS = (
    "preprocess.rows=128",
    "preprocess.columns=64",
    "detector.anchor_sizes=[[6, 9], [12, 16], [22, 30]]",
    "batch.size=2",
    "precision=32-true",
    "schedule.epochs=2",
    "schedule.steps_per_epoch=2",
)


def nothing(folder: Path) -> None:
    """Make an empty folder, for a command that reads nothing."""
    folder.mkdir()


def simulate_words(_: Path, out: Path) -> list[str]:
    """Return the words of ``comoto simulate`` for a few tiny patients."""
    patients = ["--mammograms", "15", "--train", "10", "--validation", "4", "--test", "4"]
    return ["simulate", "--size", "tiny", *patients, "--workers", "2", "--out", str(out / "exams")]


def index_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto index`` on simulated exams."""
    return ["index", "bcs-dbt", str(folder / "exams" / "bcs-dbt"), "--out", str(out / "manifest")]


def split_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto split`` on a manifest."""
    return ["split", str(folder / "manifest"), "--test", "0.2", "--out", str(out / "split")]


def small_tables(folder: Path) -> None:
    """Write a manifest of simulated volumes, and predictions that find every second lesion."""
    from comoto import api
    from comoto.records import PREDICTION_COLUMNS

    patients = {"mammography.training_patients": 0, "mammography.test_patients": 0}
    paths = api.simulate(folder / "exams", size="tiny", values=patients, workers=1)
    manifest = api.index("bcs-dbt", paths.bcs_dbt)
    manifest.save(folder / "manifest")
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(PREDICTION_COLUMNS)
        for number, record in enumerate(manifest.records()):
            keys = (record.patient_id, record.study_id, record.view_key)
            for lesion in record.lesions[: number % 2]:
                x1, y1, x2, y2 = (round(side) for side in lesion.box_xyxy)
                place = (x1, x2 - x1, y1, y2 - y1, lesion.slice_index, 1)
                writer.writerow((*keys, *place, 1 / (2 + number)))
            writer.writerow((*keys, 1, 5, 1, 5, 0, 1, 1 / (3 + number)))


def evaluate_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto evaluate`` with all of its files."""
    files = ["--json", str(out / "result.json"), "--figure", str(out / "froc.png")]
    tables = ["--predictions", str(folder / "predictions.csv"), "--manifest", str(folder / "manifest")]
    return ["evaluate", *tables, "--min-radius", "5", "--bootstrap", "2000", *files]


def report_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto report``."""
    tables = ["--predictions", str(folder / "predictions.csv"), "--manifest", str(folder / "manifest")]
    return ["report", *tables, "--min-radius", "5", "--bootstrap", "2000", "--out", str(out / "report.html")]


def export_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto export onnx``."""
    return ["export", "onnx", "--model", str(folder / "run"), "--out", str(out / "student.onnx")]


def small_study(folder: Path) -> None:
    """Write prepared stores and a study of two variants on them."""
    small_stores(folder)
    content = {
        "name": "small",
        "preset": "demo",
        "settings": list(_STUDY_SETTINGS),
        "data": {
            "mammograms": str(folder / "vindr-mammo"),
            "tomosynthesis": str(folder / "bcs-dbt"),
            "split": "validation",
        },
        "fractions": [1.0],
        "seeds": [0],
        "min_hit_radius": 5.3,
        "bootstrap": 20,
        "variants": {
            "pretraining": {"impa": False},
            "scratch": {"impa": "none", "settings": ["init=scratch"]},
        },
    }
    (folder / "study.yaml").write_text(json.dumps(content), encoding="utf-8")


def study_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto study run``, a run at a time."""
    return ["study", "run", str(folder / "study.yaml"), "--out", str(out / "study"), "--workers", "1"]


def study_result(out: Path) -> dict[str, Any]:
    """Return what the runs of a study ended with: their predictions and their weights."""
    names = ("predictions.csv", "model.safetensors")
    return {
        str(path.relative_to(out)): path.read_bytes() for name in names for path in sorted(out.rglob(name))
    }
