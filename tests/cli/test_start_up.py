"""What is wrong with a command's arguments is told before torch is imported, which takes seconds."""

import json
import subprocess
import sys
from pathlib import Path

from comoto.checksums import write_sealed_json
from comoto.config import load_train_config, override

CALLS_ONE_BY_ONE = """
import contextlib, io, json, sys
from comoto.cli.main import run

told = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["comoto", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            run()
        except SystemExit as leaving:
            code = leaving.code
    told.append([code, said.getvalue(), "torch" in sys.modules])
import comoto.inference.predict, comoto.preprocessing, comoto.training.run
import comoto.report.results_report, comoto.study.run, comoto.study.table
print(json.dumps([told, "torch" in sys.modules]))
"""
STUDY = """
name: wrong
preset: demo
data: {mammograms: nowhere, tomosynthesis: nowhere}
fractions: [1.0]
seeds: [0]
regimes: {only: []}
reference: scratch
variants: {scratch: {impa: none, settings: [init=scratch, joint.size=0, batch.sise=3]}}
"""


def calls(folder: Path) -> dict[tuple[str, ...], str]:
    """Return calls with one mistake each, and what is told of it."""
    run, out, set_ = str(folder / "run"), str(folder / "out"), "--set"
    volume = str(folder / "volume.dcm")
    student = ("train", "student", "--out", out, "--preset", "demo")
    predict = ("predict", "--model", run, "--out", f"{out}.csv")
    prepare = ("prepare", "--manifest", "nowhere", "--out", out)
    return {
        ("train", "teacher", "--out", out, set_, "typo=1"): "unknown configuration key 'typo'",
        ("train", "teacher", "--out", out, set_, "detector.nms_iu=0.1"): "did you mean 'detector.nms_iou'?",
        ("train", "teacher", "--out", out, "--preset", "ful"): "did you mean 'full'?",
        ("train", "teacher", "--out", out, "--mammograms", "nowhere"): "nowhere: no store.json here",
        ("train", "teacher", "--out", run): f"{run} is not empty",
        (*student, set_, "distill.kind=pkd", set_, "distill.weigt=1"): "did you mean 'distill.weight'?",
        (*student, set_, "distill.kind=pdk"): "did you mean 'pkd'?",
        (
            *student,
            set_,
            "distill.kind=pkd",
            set_,
            "distill.start_epoch=99",
        ): "=99 is never reached",
        (*student, "--tomosynthesis", "nowhere"): "nowhere: no store.json here",
        (*prepare, set_, "preprocess.rws=1"): "did you mean 'preprocess.rows'?",
        prepare: "nowhere",
        ("appearance", "measure", "nowhere", "nowhere"): "nowhere: no store.json here",
        ("appearance", "match", "nowhere", "--to", "nowhere", "--out", out): "nowhere: no store.json here",
        ("predict", "--model", "nowhere", "--out", f"{out}.csv", volume): "nowhere: no such folder",
        (*predict, set_, "slice_stp=2", volume): "did you mean 'slice_step'?",
        (*predict, "--device", "cdua", volume): "did you mean 'cuda'?",
        (*predict, "--split", "tset", volume): "did you mean 'test'?",
        (*predict, "--mammograms", volume): "is a student, trained on tomosynthesis slices",
        (*predict, "--manifest", "nowhere", volume): "nowhere",
        (*predict, "nowhere.dcm"): "nowhere.dcm: no such file or folder",
        (
            *predict,
            "nowhere.dcm",
            "nowhere",
        ): "of 2 images could be predicted on; the first: nowhere.dcm",
        ("predict", "--model", run, "--out", str(folder), volume): "is a folder; name a file in it",
        ("evaluate", "--predictions", "nowhere", "--labels", "a", "--boxes", "b"): "cannot be read",
        (
            *("report", "--manifest", "nowhere", "--predictions", "a=b", "--out", f"{out}.html"),
            *("--run", run),
        ): "nowhere",
        ("study", "run", str(folder / "study.yaml"), "--out", out): "did you mean 'batch.size'?",
        ("study", "status", "nowhere"): "nowhere: holds no study.yaml",
        ("study", "table", "nowhere"): "nowhere: holds no study.yaml",
    }


def test_no_wrong_argument_waits_for_torch(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "volume.dcm").touch()
    (tmp_path / "study.yaml").write_text(STUDY)
    content = {"role": "student", "epoch": 1, "metric": {"sensitivity": 0.5}, "sha256": "0" * 64}
    config = override(load_train_config("demo"), ["joint.size=0"]).model_dump(mode="json")
    about = {"format": "comoto-checkpoint-2", **content, "config": config}
    write_sealed_json(tmp_path / "run" / "checkpoint.json", about, indent=2)
    wanted = calls(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CALLS_ONE_BY_ONE, json.dumps([list(call) for call in wanted])],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    told, at_the_end = json.loads(done.stdout.splitlines()[-1])
    for (call, sentence), (code, said, has_torch) in zip(wanted.items(), told, strict=True):
        assert (code, sentence in said, has_torch) == (2, True, False), f"{' '.join(call)}: {said}"
    assert not at_the_end
