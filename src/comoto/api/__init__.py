"""One documented call per command of the command line.

``import comoto; comoto.predict_volume("runs/student", "volume.dcm")`` and so on. Paths may be text, and what
a call returned stands for its place, such as the store that ``prepare`` made. Every call raises subclasses of
``comoto.errors.ComotoError`` for wrong input, and a ``TypeError`` for an argument of a wrong type.
Coordinates: docs/coordinates.md.

The examples are run by a test, on tiny simulated patients and in a folder that holds manifests, stores, run
folders and a study, as yours will.
"""

from comoto.api.appearance import match_appearance, measure_appearance
from comoto.api.data import (
    download,
    index,
    plan_download,
    prepare,
    simulate,
    split,
    verify_split,
    verify_store,
)
from comoto.api.prediction import export_onnx, load_model, predict, predict_volume
from comoto.api.results import draw, evaluate, evaluate_mammograms, write_report
from comoto.api.studies import run_study, study_table
from comoto.api.training import import_checkpoint, train_student, train_teacher
from comoto.components import allow_code

__all__ = [
    "allow_code",
    "download",
    "draw",
    "evaluate",
    "evaluate_mammograms",
    "export_onnx",
    "import_checkpoint",
    "index",
    "load_model",
    "match_appearance",
    "measure_appearance",
    "plan_download",
    "predict",
    "predict_volume",
    "prepare",
    "run_study",
    "simulate",
    "split",
    "study_table",
    "train_student",
    "train_teacher",
    "verify_split",
    "verify_store",
    "write_report",
]
