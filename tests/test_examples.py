"""The examples in the docstrings run, in a folder like a user's, and what people call has one.

The folder is what a former version wrote on tiny simulated patients (tests/golden/old), so nothing is trained
or simulated beforehand.
"""

import doctest
import importlib
import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import comoto
from comoto import api, evaluation, geometry
from comoto.components import own_permissions
from former_files import moved, unpack

SOURCE = Path(comoto.__file__).parent
OTHERS = [
    "comoto.config.load:load_train_config",
    "comoto.config.models:AggregationConfig",
    "comoto.detections:Detections",
    "comoto.detections:Detections.merge",
    "comoto.detections:Detections.stack",
    "comoto.detections:Detections.to_coco",
    "comoto.evaluation.bootstrap:percentile_interval",
    "comoto.evaluation.intervals:Resampling",
    "comoto.evaluation.paired:paired_difference",
    "comoto.inference.aggregate.rule:aggregate",
    "comoto.inference.model:Model.detect",
    "comoto.preprocessing.store:PreparedStore",
    "comoto.records:Manifest",
    "comoto.records:Manifest.from_records",
    "comoto.records:Manifest.load",
    "comoto.records:Manifest.records",
    "comoto.records:Manifest.save",
    "comoto.records:Manifest.select",
    "comoto.records:Manifest.split",
    "comoto.records:Manifest.summary",
]
"""What people call besides ``comoto.*`` and what ``comoto.geometry`` and ``comoto.evaluation`` name."""
NOT_RUN = {
    *("download", "export_onnx", "import_checkpoint", "plan_download"),
    *("match_appearance", "measure_appearance"),
}
"""Calls that need the network, a published checkpoint or larger breasts than here, or take 9 s."""


def _public() -> Iterator[tuple[str, Any]]:
    for room in (api, geometry, evaluation):
        for name in room.__all__:
            if name != "Step":  # a protocol: whatever the steps offer
                yield f"{room.__name__}.{name}", getattr(room, name)
    for place in OTHERS:
        module, _, names = place.partition(":")
        found = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
        yield place, found


PUBLIC = dict(_public())


def _modules() -> list[str]:
    """Return the modules with an example, known by their text: importing all of them takes long."""
    files = [path for path in SOURCE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    return sorted(
        ".".join(("comoto", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in files
    )


def _examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in _modules() for test in finder.find(importlib.import_module(name), name)]
    return [test for test in found if test.examples]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder: volumes, manifests, stores, runs, predictions and a study."""
    base = tmp_path_factory.mktemp("examples")
    unpack(base)
    work = moved(base / "b9a0bc3", base / "work")
    volumes = sorted((work / "exams" / "bcs-dbt").rglob("*.dcm"))
    shutil.copy(volumes[0], work / "volume.dcm")
    student = work / "study/students/standard/100/mixed-batches/seed0-rep0"
    shutil.copy(student / "predictions.csv", work / "predictions.csv")
    (work / "hospital").mkdir()
    rows = ["path,patient_id,study_id,view,laterality,label"]
    for number, volume in enumerate(volumes):
        shutil.copy(volume, work / "hospital" / f"{number}.dcm")
        rows.append(f"{number}.dcm,P{number},2024-03-11,CC,L,{'cancer' if number else 'normal'}")
    (work / "hospital" / "images.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    lesions = "path,x1,y1,x2,y2,slice_index,category\n1.dcm,5,11,13,21,2,mass\n"
    (work / "hospital" / "lesions.csv").write_text(lesions, encoding="utf-8")
    return work


@pytest.mark.parametrize("example", _examples(), ids=lambda test: test.name)
def test_example(example: doctest.DocTest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    said: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    with own_permissions(), np.printoptions(legacy=False):
        failed, _ = doctest.DocTestRunner(optionflags=flags).run(example, out=said.append)
    assert not failed, "".join(said)


@pytest.mark.parametrize("name", PUBLIC)
def test_what_people_call_has_an_example(name: str) -> None:
    thing = PUBLIC[name]
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(thing) or "")
    assert examples, f"{name}: no example in its docstring"
    skipped = all(one.options.get(doctest.SKIP) for one in examples if one.source.startswith("comoto."))
    is_left_out = any(one.options.get(doctest.SKIP) for one in examples) and skipped
    assert is_left_out == (name.removeprefix("comoto.api.") in NOT_RUN)
