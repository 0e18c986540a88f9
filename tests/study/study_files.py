"""Study files for the tests, and what a run leaves, made by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from comoto.checksums import file_sha256
from comoto.records import PREDICTION_COLUMNS
from comoto.study.config import StudyConfig, save_study
from comoto.study.grid import build_grid
from comoto.study.kept import keep_test_tables, tables_checksum, write_done
from tiny_exams import TINY

SHORT = [
    *(one for one in TINY if not one.startswith(("schedule.", "selection.", "threads"))),
    "schedule.epochs=1",
]
"""The tiny exams' settings with a schedule of one epoch; the study sets the rest itself."""


def study_content(stores: Path, **changes: Any) -> dict[str, Any]:
    """Two variants x two fractions x two seeds on the tiny exams, as a study file holds them."""
    content: dict[str, Any] = {
        "name": "tiny",
        "preset": "demo",
        "settings": [*SHORT, "schedule.steps_per_epoch=2"],
        "data": {"mammograms": str(stores / "vindr-mammo"), "tomosynthesis": str(stores / "bcs-dbt")},
        "fractions": [0.5, 1.0],
        "seeds": [0, 1],
        "min_hit_radius": 5.3,
        "bootstrap": 50,
        "variants": {
            "pretraining": {"impa": False},
            "scratch": {"impa": "none", "settings": ["init=scratch"]},
        },
    }
    return content | changes


def study_of(stores: Path = Path("/stores"), **changes: Any) -> StudyConfig:
    """The same as a checked configuration; the stores need not exist."""
    return StudyConfig.model_validate(study_content(stores, **changes))


def write_study(path: Path, content: dict[str, Any]) -> Path:
    """Write a study file."""
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def hand_made_study(
    folder: Path,
    found: dict[tuple[str, float, str, int, int], list[int]],
    slices: dict[int, int] | None = None,
    prefix: str = "",
    **changes: Any,
) -> Path:
    """A study folder as it stands after its runs, with detections chosen by hand.

    Four patients with a volume each, which holds one lesion of 10, 20, 30 and 40 pixels.

    Args:
        folder: to be made.
        found: (regime, fraction, variant, seed, repetition) -> the lesions that the run finds, without any
            false positive; runs that are not named are not complete.
        slices: lesion -> the slice that every run says; 10, where the lesions lie, of the others.
        prefix: of the names of patients and studies.
        changes: of ``study_content``.
    """
    study = study_of(**changes)
    folder.mkdir()
    save_study(study, folder)
    names = [
        {"PatientID": f"{prefix}p{number}", "StudyUID": f"{prefix}s{number}", "View": "lcc"}
        for number in range(4)
    ]
    labels = pd.DataFrame(names).to_csv(index=False)
    box = {"Slice": 10, "X": 100, "Y": 100, "Class": "mass", "VolumeSlices": 20}
    sides = [{"Width": 10 * (number + 1), "Height": 10} for number in range(4)]
    boxes = [{**name, **box, **side} for name, side in zip(names, sides, strict=True)]
    tables = {"labels.csv": labels, "boxes.csv": pd.DataFrame(boxes).to_csv(index=False)}
    keep_test_tables(folder, tables)
    for cell in build_grid(study, folder.absolute()).cells:
        key = (cell.regime, cell.fraction, cell.variant, cell.seed, cell.repetition)
        if key in found:
            rows = [
                {
                    **names[number],
                    "X": 100,
                    "Y": 100,
                    "Z": (slices or {}).get(number, 10),
                    "Depth": 0,
                    "Score": 0.9,
                    **sides[number],
                }
                for number in found[key]
            ]
            table = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))
            (folder / cell.run).mkdir(parents=True)
            path = folder / cell.run / "predictions.csv"
            table.to_csv(path, index=False)
            made = {path.name: file_sha256(path)}
            write_done(folder / cell.run, {"seconds": 10.0}, made, tables_checksum(tables))
    return folder
