"""What users have from former versions still opens: files that old code wrote, and its names.

The files are in tests/golden/old. A setting, flag, key or file that is renamed keeps its former name as an
alias, or one of these fails.
"""

import importlib
import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import yaml

import comoto
from comoto import api, components
from comoto.cli.main import app
from comoto.config import flat_settings, load_train_config
from comoto.distill.base import DistillInput
from comoto.errors import OutputExistsError
from comoto.inference.aggregate import LookedAt
from comoto.preprocessing.store import PreparedStore
from comoto.records import Manifest
from comoto.splits.file import load_split_file
from comoto.study.config import load_study
from comoto.study.results import read_results
from comoto.study.run import run_study
from comoto.training.log_file import read_log
from comoto.training.record import saved_config, trained_on
from former_files import OLD, moved, unpack

VERSIONS = ("21ea050", "b9a0bc3")
CSV = "predictions.csv"
SECOND_EPOCH = {
    "detection/class": 0.5821062326431274,
    "detection/box": 0.3836873769760132,
    "mammograms/class": 0.6169191598892212,
    "mammograms/box": 0.5874202847480774,
    "distill/lesion_points": 0.03464437276124954,
    "distill/ratio": 0.035871404010336644,
    "learning_rate": 0.0003,
    "validation/mean_sensitivity_positive": 1.0,
}
"""What the code of b9a0bc3 logs when it resumes ``runs/interrupted`` of the archive."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("former")
    unpack(folder)
    return folder


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def old(unpacked: Path, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what a version wrote; paths in it are relative to it, and it is the working folder."""
    shutil.copytree(unpacked / version, tmp_path / version)
    monkeypatch.chdir(tmp_path / version)
    return tmp_path / version


@pytest.fixture
def expected(version: str) -> dict[str, Any]:
    """What the version itself said of its files."""
    found: dict[str, Any] = json.loads((OLD / f"{version}.json").read_text(encoding="utf-8"))
    return found


def same_detections(found: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    """Compare what two versions wrote into the JSON file of a prediction."""
    assert [image["image_id"] for image in found] == [image["image_id"] for image in before]
    for now, then in zip(found, before, strict=True):
        assert {**then, "detections": []}.items() <= {**now, "detections": []}.items()
        assert len(then["detections"]) == len(now["detections"]) > 0
        for one, former in zip(now["detections"], then["detections"], strict=True):
            assert one.keys() >= former.keys()
            assert one["box_xyxy"] == pytest.approx(former["box_xyxy"], abs=0.02)  # two decimals are written
            assert one["score"] == pytest.approx(former["score"], abs=1e-4)
            assert all(one[key] == former[key] for key in former.keys() - {"box_xyxy", "score"})


def images_of(path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["images"]
    return found


def test_manifests(old: Path, expected: dict[str, Any]) -> None:
    for name, (images, lesions) in expected["manifests"].items():
        manifest = Manifest.load(old / "manifests" / name)
        assert (manifest.name, len(manifest.images), len(manifest.lesions)) == (name, images, lesions)
        assert set(manifest.lesions["image_id"]) <= set(manifest.images["image_id"])
        assert (manifest.lesions["x1"] < manifest.lesions["x2"]).all()
        assert (manifest.lesions["y1"] < manifest.lesions["y2"]).all()
        in_volumes = name == "bcs-dbt"
        assert manifest.lesions["slice_index"].notna().all() == in_volumes
        manifest.save(old / "again")
        again = Manifest.load(old / "again")
        assert again.images.equals(manifest.images)
        assert again.lesions.equals(manifest.lesions)


def test_split_file_and_its_manifests(old: Path, expected: dict[str, Any]) -> None:
    file = load_split_file(old / "split" / "split.json")
    again = api.verify_split(old / "split" / "split.json", ["manifests/bcs-dbt"], headers=False)
    assert again.hash == file.hash
    folder = next(path.parent for path in (old / "split").rglob("manifest.json"))
    assert len(Manifest.load(folder)) == expected["manifests"]["bcs-dbt"][0]


@pytest.mark.parametrize("name", ["bcs-dbt", "vindr-mammo"])
def test_stores(old: Path, expected: dict[str, Any], name: str) -> None:
    store = PreparedStore(old / "stores" / name)
    assert len(store) == expected["manifests"][name][0]
    for image_id in store.image_ids:
        pixels = store.pixels(image_id)
        assert len(pixels) == len(store.slice_indices(image_id))
        assert np.array_equal(store.plane(image_id, 0), pixels[0])
        assert 20 < pixels.max() <= 255
    boxes = [store.lesions_on_grid(image_id)[0] for image_id in store.image_ids]
    assert 0 < sum(map(len, boxes)) <= expected["manifests"][name][1]


def test_a_run_folder_predicts_what_it_predicted(old: Path, expected: dict[str, Any]) -> None:
    assert saved_config(old / "runs/student").teacher == Path("runs/teacher")
    assert trained_on(old / "runs/student")[0]
    assert [row["epoch"] for row in read_log(old / "runs/student/log.csv")] == [1, 2]
    comoto.predict("runs/student", expected["volumes"], "again.csv")
    same_detections(images_of("again.json"), expected["predictions"])
    now, before = pd.read_csv("again.csv"), pd.read_csv(CSV)
    assert list(now.columns) == list(before.columns)
    pd.testing.assert_frame_equal(now, before, atol=1e-4)


def test_a_run_folder_keeps_its_spans_unless_told(old: Path, expected: dict[str, Any]) -> None:
    """It gives best slices either way; a range around them only where that is asked for."""
    assert saved_config(old / "runs/student").inference.aggregation.span == "strong"
    first = expected["volumes"][:1]
    comoto.predict("runs/student", first, "told.csv", overrides=["aggregation.span=spread"])
    content = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert content["made_by"]["inference"]["aggregation"]["span"] == "spread"
    for row in content["images"][0]["detections"]:
        middle = row["first_slice"] + (row["num_spanned"] - 1) / 2
        assert middle == pytest.approx(row["best_slice"], abs=0.256)
        assert len(row["profile"]) == len(content["images"][0]["slices_looked_at"])


def test_a_teacher_predicts_what_it_predicted(old: Path, expected: dict[str, Any]) -> None:
    films = list(pd.read_csv("mammograms.csv")["image_id"].unique())
    comoto.predict("runs/teacher", films, "again.csv", mammograms=True)
    pd.testing.assert_frame_equal(pd.read_csv("again.csv"), pd.read_csv("mammograms.csv"), atol=0.02)


def test_an_onnx_file_predicts_what_it_predicted(old: Path, expected: dict[str, Any]) -> None:
    comoto.predict("student.onnx", expected["volumes"], "again.csv")
    same_detections(images_of("again.json"), images_of("onnx.json"))


def test_an_interrupted_prediction_goes_on(old: Path, version: str, expected: dict[str, Any]) -> None:
    if version == "21ea050":
        with pytest.raises(OutputExistsError, match=r"former version .* cannot be continued"):
            comoto.predict("runs/student", expected["volumes"], "interrupted.csv")
        return
    comoto.predict("runs/student", expected["volumes"], "interrupted.csv")
    assert not Path("interrupted.csv.journal").exists()
    same_detections(images_of("interrupted.json"), expected["predictions"])


def test_predictions_are_scored_as_before(old: Path, expected: dict[str, Any]) -> None:
    scored = "study/students/standard/100/mixed-batches/seed0-rep0/predictions.csv"
    result = api.evaluate(scored, "study/labels.csv", "study/boxes.csv", min_radius=8)
    assert result.metric == expected["metric"]
    assert 0 < result.metric["mean_sensitivity_positive"] < 1


def test_an_interrupted_run_is_resumed(old: Path, expected: dict[str, Any]) -> None:
    """Nothing but the folder is given; the second epoch is the one with which b9a0bc3 itself goes on.

    It is not quite that of the run that was not interrupted, since most weights in the archive are zero.
    """
    result = api.train_student("runs/interrupted", resume=True)
    assert result.run == Path("runs/interrupted")
    log = read_log(old / "runs/interrupted/log.csv")
    whole = read_log(old / "runs/student/log.csv")
    assert [row["epoch"] for row in log] == [1, 2]
    assert log[1].keys() == whole[1].keys()
    measured = {key: log[1][key] for key in SECOND_EPOCH}
    assert measured == pytest.approx(SECOND_EPOCH, rel=1e-4)
    for key in ("detection/class", "detection/box", "mammograms/class", "mammograms/box"):
        assert log[1][key] == pytest.approx(whole[1][key], rel=0.01)
    assert log[1]["learning_rate"] == whole[1]["learning_rate"]


def test_the_settings_of_a_run_are_a_preset(old: Path) -> None:
    content = yaml.safe_load(Path("runs/student/config.yaml").read_text(encoding="utf-8"))
    config = load_train_config("runs/student/config.yaml")
    assert config.distill.kind == content["distill"]["kind"] == "lesion_points"
    named = [f"{key}={_yaml(value)}" for key, value in _student(content)]
    no_recipe = ["average.teacher_shares=[]", "focus.fit=false"]  # of today's preset
    assert load_train_config("demo", [*named, *no_recipe]) == config


def test_a_study_is_read(old: Path, expected: dict[str, Any]) -> None:
    results = read_results(old / "study", 20)
    assert {place[2] for place in results.runs} == {"pretraining", "lskd", "mixed-batches"}
    table = json.loads(api.study_table(old / "study", bootstrap=20).to_json(orient="records"))
    for row, former in zip(table, expected["study"], strict=True):
        row["arm"] = row.pop("variant")  # the one column that is called otherwise now
        assert {key: row[key] for key in former} == pytest.approx(former)
    assert len(api.study_table(old / "study", rule="published", bootstrap=20)) == 3


def test_a_study_goes_on_where_it_stood(
    unpacked: Path, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its runs are complete: none is refused for its settings, and none is started."""
    old = moved(unpacked / version, tmp_path / "moved")
    monkeypatch.chdir(old)
    outcome = run_study(load_study(Path("study.yaml")), old / "study")
    assert (len(outcome.states), outcome.count("done")) == (4, 4)


def test_every_setting_is_still_called_so(old: Path) -> None:
    content = yaml.safe_load(Path("runs/student/config.yaml").read_text(encoding="utf-8"))
    kinds = [f"{key}={value}" for key, value in _student(content) if key in ("detector.kind", "distill.kind")]
    for key, value in _student(content):
        load_train_config("demo", [*kinds, f"{key}={_yaml(value)}"])


def test_every_word_of_a_setting_is_still_understood(expected: dict[str, Any]) -> None:
    for key, words in expected["words"].items():
        section, colon, rest = key.partition(":")
        kind, _, name = rest.partition(".")
        for word in words:
            chosen = [f"{section}.kind={kind}", f"{section}.{name}={word}"] if colon else [f"{key}={word}"]
            load_train_config("demo", chosen)


def test_every_kind_is_still_known(expected: dict[str, Any]) -> None:
    for table, kinds in expected["kinds"].items():
        for kind in kinds:
            components.check_name(table, kind)
    for kind in expected["kinds"]["aggregator"]:
        load_train_config("demo", [f"inference.aggregation.kind={kind}"])


def test_python_calls_take_what_they_took(expected: dict[str, Any]) -> None:
    for name, arguments in expected["calls"].items():
        parameters = inspect.signature(getattr(comoto, name)).parameters
        missing = [one for one in arguments if one not in parameters]
        assert not missing, f"comoto.{name} no longer takes {missing}"


def test_commands_take_the_options_that_they_took(expected: dict[str, Any]) -> None:
    now = dict(_commands(typer.main.get_command(app), ""))
    for name, options in expected["commands"].items():
        missing = [one for one in options if one not in now[name]]
        assert not missing, f"comoto {name} no longer takes {missing}"


def _student(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of a student, the kind of a component before its settings."""
    flat = flat_settings(content)
    yield from sorted(flat.items(), key=lambda item: not item[0].endswith(".kind"))


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def _commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    for word, below in getattr(command, "commands", {}).items():
        yield from _commands(below, f"{name} {word}".strip())
    options = [one for one in command.params if one.param_type_name == "option"]
    yield name, {flag for one in options for flag in (*one.opts, *one.secondary_opts)}


def test_code_of_users_imports_the_former_names() -> None:
    assert importlib.import_module("comoto.distill.base").Side is DistillInput
    assert importlib.import_module("comoto.inference.aggregate").Stack is LookedAt
