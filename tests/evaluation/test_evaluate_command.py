"""``comoto evaluate`` as a user runs it."""

import json
import subprocess
import sys

import pytest
from challenge_cases import box, boxes, false_positive, labels, prediction, predictions, volume
from test_mammogram_froc import detections, manifest

RUN_AND_LIST_MODULES = """
import sys
from comoto.cli.main import run
sys.argv = ["comoto", *sys.argv[1:]]
try:
    run()
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print("torch" in sys.modules, "comoto.evaluation" in sys.modules, "matplotlib" in sys.modules)
"""


@pytest.fixture
def arguments(tmp_path):
    a, b = volume(1), volume(2)
    found = predictions(prediction(a, 0.9), *[false_positive(b, 0.95)] * 3)
    found.to_csv(tmp_path / "predictions.csv")
    labels(a, b, volume(3)).to_csv(tmp_path / "labels.csv", index=False)
    boxes(box(a), box(b)).to_csv(tmp_path / "boxes.csv", index=False)
    return [f"--{name}={tmp_path / name}.csv" for name in ("predictions", "labels", "boxes")]


def test_summary_json_and_figure(arguments, tmp_path, comoto):
    outputs = [f"--json={tmp_path / 'out' / 'result.json'}", f"--figure={tmp_path / 'out' / 'froc.png'}"]
    code, out, err = comoto("evaluate", *arguments, *outputs, "--bootstrap=50", "--seed=4")
    assert (code, "bootstrap: 50/50" in err) == (0, True)
    content = json.loads((tmp_path / "out" / "result.json").read_text())
    # 3 FP on 2 positive volumes stand above the hit of 1 of 2 lesions: a line from (0, 0) to (1.5, 0.5).
    assert content["sensitivity_at_1_fps_positive"] == pytest.approx(1 / 3)
    assert content["sensitivity_at_2_fps_positive"] == 0.5
    assert content["sensitivity_at_2_fps_all"] == 0.5
    assert content["mean_sensitivity_positive"] == pytest.approx((1 / 3 + 1.5) / 4)
    assert (content["bootstrap"]["replicates"], content["bootstrap"]["seed"]) == (50, 4)
    assert len(content["froc"]["positive"]["band"]["low"]) == len(content["froc"]["positive"]["band"]["high"])
    assert "volumes, positive  2" in out
    assert "volumes, all       3" in out
    assert "1-4 FP/volume  0.4583" in out
    assert (tmp_path / "out" / "froc.png").stat().st_size > 10_000


def test_existing_outputs_are_refused_before_anything_is_read(arguments, tmp_path, comoto):
    target = tmp_path / "result.json"
    target.write_text("old")
    code, out, err = comoto("evaluate", *arguments, f"--json={target}")
    assert (code, out) == (2, "")
    assert "--overwrite" in err
    assert target.read_text() == "old"
    code, _, _ = comoto("evaluate", *arguments, f"--json={target}", "--overwrite")
    assert code == 0
    assert json.loads(target.read_text())["num_lesions"] == 2


def test_wrong_input_is_one_line_and_code_2_and_writes_nothing(arguments, tmp_path, comoto):
    (tmp_path / "boxes.csv").write_text("StudyUID,View\n")
    target = tmp_path / "result.json"
    code, out, err = comoto("evaluate", *arguments, f"--json={target}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("comoto: ")
    assert "columns 'Slice', 'X', 'Y', 'Width', 'Height', 'VolumeSlices' are missing" in err
    assert not target.exists()


@pytest.mark.parametrize("given", [[], ["--predictions=p.csv"], ["--manifest=m", "--labels=l.csv"]])
def test_an_incomplete_call_says_what_to_give(given, comoto):
    code, _, err = comoto("evaluate", *given)
    assert code == 2
    assert "give --predictions with --labels and --boxes, or with --manifest" in err


def test_a_figure_of_unknown_kind_is_refused_first(arguments, tmp_path, comoto):
    code, out, err = comoto("evaluate", *arguments, f"--figure={tmp_path / 'froc.gif'}")
    assert (code, out) == (2, "")
    assert "a figure ends in .png" in err


def test_mammograms_against_a_manifest(tmp_path, comoto):
    manifest().save(tmp_path / "manifest")
    detections(("a", 0, 0, 10, 10, 0.9)).to_csv(tmp_path / "found.csv", index=False)
    code, out, _ = comoto(
        "evaluate",
        f"--mammogram-predictions={tmp_path / 'found.csv'}",
        f"--manifest={tmp_path / 'manifest'}",
        "--rule=center",
        f"--json={tmp_path / 'result.json'}",
        f"--figure={tmp_path / 'froc.svg'}",
    )
    assert code == 0
    assert "centre inside the lesion's box" in out
    content = json.loads((tmp_path / "result.json").read_text())
    assert (content["rule"], content["iou"], content["mean_sensitivity"]) == ("center", None, 0.5)


def test_the_command_needs_no_torch(arguments, tmp_path):
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            RUN_AND_LIST_MODULES,
            "evaluate",
            *arguments,
            "--bootstrap=5",
            f"--figure={tmp_path / 'froc.png'}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.splitlines()[-1] == "False True True"
