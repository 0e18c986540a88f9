"""The first commands of docs/command-line.md, run as they stand, and what they leave on the disk."""

import csv
import json

import pytest
import yaml
from documented_commands import ROOT, blocks, command_lines
from PIL import Image

from comoto import api
from comoto.records import PREDICTION_COLUMNS, Manifest

LABELS = "exams/bcs-dbt/BCS-DBT-labels-test-PHASE-2.csv"
BOXES = "exams/bcs-dbt/BCS-DBT-boxes-test-v2-PHASE-2-Jan-2024.csv"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_from_nothing_to_a_figure(comoto, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    said = {}
    for words in command_lines(blocks(ROOT / "docs" / "command-line.md", "sh")[0]):
        answer = comoto(*words)
        assert answer.code == 0, (words, answer.err)
        assert "Warning" not in answer.err
        said[words[-1] if words[0] != "evaluate" else words[1]] = answer
    check_manifests(tmp_path)
    check_runs(tmp_path)
    check_predictions(tmp_path)
    check_result(tmp_path, said["--predictions"].out)
    check_mammograms(tmp_path, said["--mammogram-predictions"].out)
    for name in ("lesion.png", "found.png", "froc.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".part", ".journal")]


def check_manifests(folder):
    """10 patients x 2 views; 12 patients x 2 views, all lesions of the tables among them."""
    mammograms, volumes = (Manifest.load(folder / "manifests" / name) for name in ("mammograms", "volumes"))
    assert (len(mammograms), len(volumes)) == (20, 24)
    assert not set(mammograms.images["patient_id"]) & set(volumes.images["patient_id"])
    boxes = [row for path in (folder / "exams/bcs-dbt").glob("*boxes*.csv") for row in rows(path)]
    assert len(volumes.lesions) == len(boxes) > 0


def check_runs(folder):
    for name, role in (("teacher", "teacher"), ("student", "student")):
        run = folder / "runs" / name
        about = json.loads((run / "checkpoint.json").read_text())
        assert about["role"] == role
        log = rows(run / "log.csv")
        assert [row["epoch"] for row in log] == ["1", "2"]
        assert all(float(row["detection/box"]) > 0 for row in log)
        assert list((run / "tensorboard").iterdir())
    config = yaml.safe_load((folder / "runs" / "student" / "config.yaml").read_text())
    assert (config["init"], config["distill"]["kind"], config["joint"]["size"]) == ("teacher", "none", 8)
    assert float(log[0]["mammograms/class"]) > 0


def check_predictions(folder):
    found = rows(folder / "predictions.csv")
    assert tuple(found[0]) == PREDICTION_COLUMNS
    assert {(row["StudyUID"], row["View"]) for row in found} <= {
        (row["StudyUID"], row["View"]) for row in rows(folder / LABELS)
    }
    assert all(0 <= float(row["Score"]) <= 1 for row in found)
    assert all(0 <= int(row["X"]) < int(row["X"]) + int(row["Width"]) <= 64 for row in found)
    assert all(0 <= int(row["Y"]) < int(row["Y"]) + int(row["Height"]) <= 128 for row in found)
    sidecar = json.loads((folder / "predictions.json").read_text())
    assert sum(len(image["detections"]) for image in sidecar["images"]) == len(found)
    about = json.loads((folder / "runs" / "student" / "checkpoint.json").read_text())
    assert sidecar["made_by"]["model_sha256"] == about["sha256"]


def check_result(folder, said):
    """The file and the summary hold what the Python call gives, bit for bit."""
    content = json.loads((folder / "result.json").read_text())
    result = api.evaluate(
        folder / "predictions.csv", folder / LABELS, folder / BOXES, bootstrap=100, min_radius=5.3
    )
    assert content["mean_sensitivity_positive"] == result.mean_sensitivity_positive
    assert 0 <= content["mean_sensitivity_positive"] <= 1
    figures = [content[f"sensitivity_at_{fps}_fps_positive"] for fps in (1, 2, 3, 4)]
    assert content["mean_sensitivity_positive"] == pytest.approx(sum(figures) / 4)
    assert 0 <= content["sensitivity_at_2_fps_all"] <= 1
    assert content["num_lesions"] == len(rows(folder / BOXES))
    assert content["bootstrap"]["replicates"] == 100
    assert f"{content['mean_sensitivity_positive']:.4f}" in said


def check_mammograms(folder, said):
    split = Manifest.load(folder / "manifests" / "mammograms").images["split"]
    assert "images       4\n" in said
    assert (split == "test").sum() == 4
    found = rows(folder / "found.csv")
    assert tuple(found[0]) == ("image_id", "x1", "y1", "x2", "y2", "score")
    result = api.evaluate_mammograms(
        folder / "found.csv", folder / "manifests" / "mammograms", split="test", rule="center"
    )
    assert result.summary() + "\n" == said
