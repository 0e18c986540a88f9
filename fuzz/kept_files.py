"""Healthy checkpoints and studies for ``fuzz/damage.py``, and all that the package reads of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RUN = "students/standard/100/pretraining/seed0-rep0"
_NAMES = [{"PatientID": f"p{number}", "StudyUID": f"s{number}", "View": "lcc"} for number in range(4)]
_BOX = {"Slice": 10, "X": 100, "Y": 100, "Width": 20, "Height": 20, "Class": "mass", "VolumeSlices": 20}
_FOUND = {"X": 100, "Y": 100, "Z": 10, "Width": 20, "Height": 20, "Depth": 0, "Score": 0.9}


def small_checkpoint(folder: Path) -> None:
    """Write the checkpoint of a detector that was never trained."""
    from comoto.config import load_train_config
    from comoto.detectors.checkpoint import About, build_detector, save_checkpoint

    config = load_train_config("demo", role="teacher")
    save_checkpoint(folder / "run", build_detector(config), config, About("teacher", 3, {"froc": 0.5}))


def read_checkpoint(folder: Path) -> Any:
    """Return all of a checkpoint."""
    from comoto.detectors.checkpoint import load_checkpoint

    found = load_checkpoint(folder / "run")
    weights = {key: value.numpy().tobytes() for key, value in found.detector.state_dict().items()}
    return found.config, found.about, found.sha256, weights


def small_study(folder: Path) -> None:
    """Write a study as it stands after its runs, with detections chosen by hand."""
    import pandas as pd

    from comoto.checksums import file_sha256
    from comoto.study.config import StudyConfig, save_study
    from comoto.study.grid import build_grid
    from comoto.study.kept import keep_test_tables, tables_checksum, write_done
    from comoto.study.spec import RunSpec

    study = StudyConfig.model_validate(
        {
            "name": "damaged",
            "preset": "demo",
            "data": {"mammograms": "/m", "tomosynthesis": "/t"},
            "fractions": [1.0],
            "seeds": [0, 1],
            "bootstrap": 5,
            "variants": {"pretraining": {"impa": False, "settings": ["joint.size=0"]}},
        }
    )
    out = folder / "study"
    out.mkdir(parents=True)
    save_study(study, out)
    boxes = pd.DataFrame([{**name, **_BOX} for name in _NAMES])
    tables = {"labels.csv": pd.DataFrame(_NAMES).to_csv(index=False), "boxes.csv": boxes.to_csv(index=False)}
    keep_test_tables(out, tables)
    for run in build_grid(study, out).students:
        place = out / run.name
        place.mkdir(parents=True)
        path = place / "predictions.csv"
        pd.DataFrame([{**name, **_FOUND} for name in _NAMES[:3]]).to_csv(path, index=False)
        sums = {path.name: file_sha256(path)}
        write_done(place, {"name": run.name, "seconds": 10.0}, sums, tables_checksum(tables))
        order = {
            "name": run.name,
            "role": "student",
            "folder": place,
            "config": run.config,
            "config_hash": "",
        }
        more = {"test": Path("/t"), "stop": out / "stop", "keep_state": False}
        RunSpec.model_validate({**order, **more}).save()


def read_study(folder: Path) -> Any:
    """Return what ``comoto study table`` and ``status`` take from a study, and the order of a worker."""
    from comoto.study.grid import build_grid
    from comoto.study.results import read_results
    from comoto.study.spec import load_spec, run_state

    out = folder / "study"
    results = read_results(out)
    states = [run_state(run, out) for run in build_grid(results.study, out).students]
    figures = [
        (place, pair, run.result.metric, run.found.hit_lesion.tolist(), run.found.scores.tolist())
        for place, runs in results.runs.items()
        for pair, run in runs.items()
    ]
    order = load_spec(out / RUN / "spec.json").model_dump(exclude={"folder", "stop", "config"})
    return states, figures, results.unchecked, order
