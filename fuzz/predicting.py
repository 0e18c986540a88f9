"""What ``fuzz/kill.py`` and ``fuzz/damage.py`` need to predict: volumes, and a student that never trained."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest import mock


def untrained_student(run: Path) -> None:
    """Write a run folder whose weights are random and whose detector reports faint boxes too."""
    import torch

    from comoto.config import load_train_config
    from comoto.detectors.checkpoint import About, build_detector, save_checkpoint

    overrides = ["detector.score_threshold=0.001", "precision=32-true"]
    config = load_train_config("demo", overrides, role="student")
    torch.manual_seed(0)
    run.mkdir(parents=True)
    save_checkpoint(run, build_detector(config), config, About("student", 1, {"nothing": 0.0}))


def predict_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto predict`` on the manifest of a folder, slice by slice."""
    model = ["--model", str(folder / "run"), "--set", "batch_size=1"]
    return ["predict", *model, "--out", str(out / "predictions.csv"), str(folder / "manifest")]


def interrupted_prediction(folder: Path) -> None:
    """Leave the journal of a prediction that was interrupted before its last volume.

    Args:
        folder: holds ``manifest``.
    """
    from comoto import api
    from comoto.inference import predict
    from comoto.records import Manifest

    untrained_student(folder / "run")
    number = len(Manifest.load(folder / "manifest"))
    real = predict.predict_volume
    calls: list[Path] = []

    def until_the_last(model: Any, path: Path, config: Any = None, job: Any = None) -> Any:
        calls.append(path)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(model, path, config, job)

    with mock.patch.object(predict, "predict_volume", until_the_last):
        try:
            api.predict(folder / "run", [folder / "manifest"], folder / "predictions.csv")
        except KeyboardInterrupt:
            return
    raise AssertionError("the last volume was reached without an interruption")


def continued_prediction(folder: Path) -> bytes:
    """Continue the interrupted prediction beside the folder, and return the table."""
    from comoto import api

    journal = folder / "predictions.csv.journal"
    beside = folder / "continued"
    beside.mkdir()
    try:
        shutil.copyfile(journal, beside / journal.name)
        done = api.predict(folder / "run", [folder / "manifest"], beside / "predictions.csv")
        return done.table.read_bytes()
    finally:
        shutil.rmtree(beside)


def exported_student(folder: Path) -> None:
    """Write an untrained student as an ONNX file."""
    from comoto import api

    untrained_student(folder / "run")
    api.export_onnx(folder / "run", folder / "student.onnx")


def loaded_student(folder: Path) -> str:
    """Return the seal of the exported student, which loading checks."""
    from comoto import api

    return api.load_model(folder / "student.onnx").sha256
