"""Run folders for ``damage.py`` and ``kill.py``: how they are made, read, and trained."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

EPOCHS = 6
_SHORT = (
    "preprocess.rows=128",
    "preprocess.columns=64",
    "detector.anchor_sizes=[[6, 9], [12, 16], [22, 30]]",
    f"schedule.epochs={EPOCHS}",
    "schedule.steps_per_epoch=3",
    "batch.size=2",
    "selection.min_hit_radius=5.3",
    "precision=32-true",
    "threads=1",
)
_STUDENT = ("init=scratch", "joint.size=0", "data.fraction=0.5", "self_training.size=2")


def small_run(folder: Path) -> None:
    """Write a run of two finished epochs with a round of proposals; nothing is trained."""
    import torch

    from comoto.checksums import write_sealed_json
    from comoto.config import load_train_config
    from comoto.training.record import RunMade, TrainingState, run_record

    patients = {"tomosynthesis/train": ["a", "b"], "tomosynthesis/validation": ["c"]}
    with run_record(folder / "run", resume=False) as record:
        made = RunMade("student", patients, {"data.tomosynthesis": "0a"})
        record.start(load_train_config("demo", ["seed=3", "batch.size=5"]), made)
        for epoch in (1, 2):
            record.log(epoch, {"detection/box": 0.25 * epoch, "train_seconds": 1.5})
        tensors = {"step": {"weight": torch.arange(24.0)}, "optimizer": {"lr": 0.1}}
        record.save_state(TrainingState(2, 1, 0.5, 0.25), tensors)
    proposal = {"image_id": "a", "box_xyxy": [1.0, 2.0, 3.0, 4.0], "slice_index": 5, "score": 0.5}
    content = {"format": "comoto-proposals-2", "proposals": [proposal]}
    write_sealed_json(folder / "run" / "proposals" / "epoch_0001.json", content)


def read_run(folder: Path) -> Any:
    """Return all that a resumed training takes from a run."""
    import torch

    from comoto.training.log_file import read_log
    from comoto.training.record import RunRecord, read_about_run, read_patients, saved_config
    from comoto.training.self_training import read_proposals

    run = folder / "run"
    state, saved = RunRecord(run, resume=True).load_state(torch.device("cpu"))
    tensors = {key: value.tolist() for key, value in saved["step"].items()}
    about = read_about_run(run) or {}
    return (
        saved_config(run),
        read_patients(run),
        about.get("inputs"),
        (state, tensors, saved["optimizer"]),
        read_log(run / "log.csv"),
        read_proposals(run / "proposals" / "epoch_0001.json"),
    )


def small_stores(folder: Path) -> None:
    """Write prepared mammograms and volumes to train on."""
    from comoto import api

    patients = {
        "mammography.training_patients": 6,
        "mammography.test_patients": 0,
        "mammography.lesion_share": 0.75,
        "tomosynthesis.train_patients": 6,
        "tomosynthesis.validation_patients": 2,
        "tomosynthesis.test_patients": 0,
        "tomosynthesis.lesion_share": 0.75,
    }
    paths = api.simulate(folder / "exams", size="tiny", values=patients, workers=1)
    for name, root in (("bcs-dbt", paths.bcs_dbt), ("vindr-mammo", paths.vindr_mammo)):
        manifest = api.index(name, root)
        api.prepare(manifest, folder / name, preset="demo", overrides=_SHORT, workers=1)


def teacher_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto train teacher``."""
    return ["train", "teacher", "--mammograms", str(folder / "vindr-mammo"), *_words(out, _SHORT)]


def student_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto train student``, with self-training."""
    store = ["--tomosynthesis", str(folder / "bcs-dbt")]
    return ["train", "student", *store, *_words(out, (*_SHORT, *_STUDENT))]


def trained(out: Path) -> dict[str, str]:
    """Return what a training ended with: hashes of the weights, of the best ones and of the optimizer."""
    import torch

    from comoto.checksums import unseal_bytes

    run = out / "run"
    if not (run / "state.pt").is_file():
        return {}
    payload = unseal_bytes("comoto-state-2", (run / "state.pt").read_bytes())
    state = torch.load(io.BytesIO(payload), weights_only=True)
    found = {"model.safetensors": hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()}
    for part in ("step", "optimizer"):
        found[f"state.pt: {part}"] = hashlib.sha256(repr(_plain(state[part])).encode()).hexdigest()
    found["state.pt: state"] = repr(state["state"])
    return found


def _words(out: Path, settings: tuple[str, ...]) -> list[str]:
    sets = [word for setting in settings for word in ("--set", setting)]
    return ["--preset", "demo", *sets, "--out", str(out / "run")]


def _plain(value: Any) -> Any:
    """Return nested tensors as bytes."""
    if isinstance(value, dict):
        return [(str(key), _plain(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.numpy().tobytes() if hasattr(value, "numpy") else value
