"""What the public calls take: text, what other calls returned, data frames; else a TypeError."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import comoto
from comoto.arguments import as_path, as_paths, as_settings
from comoto.config import PreprocessConfig
from comoto.errors import ConfigError
from comoto.preprocessing import PreparedStore
from comoto.records import ImageRecord, Laterality, Lesion, Manifest, Modality, Split, View
from comoto.study.run import StudyOutcome
from comoto.study.spec import RunState
from comoto.training.run import TrainResult

FRAME = pd.DataFrame({"a": [1]})


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two grey pictures of two patients; one has a lesion."""
    folder = tmp_path_factory.mktemp("pictures")
    records = []
    for number, split in enumerate((Split.TRAIN, Split.TEST)):
        path = folder / f"{number}.png"
        Image.fromarray(np.tile(np.arange(200, 0, -1, dtype=np.uint8), (160, 1))).save(path)
        lesions = (Lesion((10.0, 20.0, 40.0, 60.0), None, "mass"),) if number else ()
        record = ImageRecord(
            image_id=f"image-{number}",
            modality=Modality.MAMMOGRAM,
            patient_id=f"patient-{number}",
            study_id="study",
            view_key="lcc",
            laterality=Laterality.LEFT,
            view=View.CC,
            split=split,
            label="mass",
            path=path,
            num_slices=None,
            lesions=lesions,
        )
        records.append(record)
    return Manifest.from_records("mine", records)


def test_paths_may_be_text(manifest: Manifest, tmp_path: Path) -> None:
    manifest.save(str(tmp_path / "m"))
    again = comoto.Manifest.load(str(tmp_path / "m"))
    pd.testing.assert_frame_equal(again.images, manifest.images)
    store = comoto.prepare(str(tmp_path / "m"), str(tmp_path / "s"), preset="demo", workers=1)
    assert PreparedStore(str(tmp_path / "s")).image_ids == store.image_ids


def test_what_a_call_returned_stands_for_its_place(manifest: Manifest, tmp_path: Path) -> None:
    store = comoto.prepare(manifest, tmp_path / "store", preset="demo", workers=1)
    assert comoto.verify_store(store).images == 2
    run = TrainResult(tmp_path / "run", 2, 1, "sensitivity", 0.5)
    assert as_path("teacher", run) == tmp_path / "run"
    assert as_paths("mammograms", store) == [tmp_path / "store"]


def test_mammogram_predictions_as_a_data_frame(manifest: Manifest, tmp_path: Path) -> None:
    hit = {"image_id": "image-1", "x1": 10, "y1": 20, "x2": 40, "y2": 60, "score": 0.9}
    frame = pd.DataFrame([hit, {**hit, "image_id": "image-0"}])
    frame.to_csv(tmp_path / "p.csv", index=False)
    of_frame = comoto.evaluate_mammograms(frame, manifest)
    assert of_frame.metric == comoto.evaluate_mammograms(str(tmp_path / "p.csv"), manifest).metric
    # the false positive has the hit's score: at it 0.5 false positives an image and everything found
    assert of_frame.metric["mean_sensitivity"] == 1.0
    assert repr(of_frame) == "MammogramResult(mean_sensitivity 1.000: 1 lesions, 2 images)"


def test_draw_gives_a_picture(manifest: Manifest, tmp_path: Path) -> None:
    picture = comoto.draw("image-1", manifest=manifest)
    plain = comoto.draw(manifest.images["path"][1])
    drawn, bare = (np.asarray(each).astype(int) for each in (picture, plain))
    greens = [int((each[..., 1] - each[..., 0] > 50).sum()) for each in (drawn, bare)]
    assert greens[0] > 100  # the frame of a box of 30 x 40 pixels
    assert greens[1] == 0
    with pytest.raises(ConfigError, match="expected 'L' or 'R'"):
        comoto.draw(manifest.images["path"][1], laterality="left")
    with pytest.raises(TypeError, match=r"image: expected an image_id of the manifest \(text\), got pathlib"):
        comoto.draw(tmp_path, manifest=manifest)


WRONG: list[tuple[str, Any, str]] = [
    (
        "predictions",
        lambda: comoto.evaluate([1.0], "l", "b"),
        "a table or a data frame, got list",
    ),
    ("labels", lambda: comoto.evaluate("p", np.zeros((2, 3)), "b"), "got numpy.ndarray of shape (2, 3)"),
    ("manifest", lambda: comoto.evaluate("p", manifest=FRAME), "got pandas.DataFrame of shape (1, 1)"),
    ("manifest", lambda: comoto.prepare(3, "out"), "expected a Manifest, or the folder"),
    ("root", lambda: comoto.index("bcs-dbt", None), "expected a path (text or Path), got None"),
    (
        "model",
        lambda: comoto.predict(FRAME, "a.dcm", "o.csv"),
        "a run folder, an ONNX file",
    ),
    ("run", lambda: comoto.load_model(FRAME), "expected a path (text or Path), got pandas.DataFrame"),
    ("path", lambda: comoto.predict_volume("run", np.zeros((4, 8, 8))), "numpy.ndarray of shape (4, 8, 8)"),
    ("overrides", lambda: comoto.train_teacher("o", overrides="batch.size=4"), "a list of texts such as"),
    (
        "overrides[0]",
        lambda: comoto.prepare("m", "o", overrides=[4]),
        "such as 'batch.size=4', got int",
    ),
    ("teacher", lambda: comoto.train_student("o", teacher=["a"]), "expected a path (text or Path), got list"),
    (
        "mammograms[1]",
        lambda: comoto.train_teacher("o", mammograms=["a", 1]),
        "(text or Path), got int",
    ),
    ("folder", lambda: Manifest.load(FRAME), "expected a path (text or Path)"),  # type: ignore[arg-type]
    ("store", lambda: comoto.verify_store(7), "got int"),
    ("out", lambda: comoto.simulate(b"out"), "got bytes"),
]


@pytest.mark.parametrize(("name", "call", "words"), WRONG, ids=[f"{n}-{w[:12]}" for n, _, w in WRONG])
def test_a_wrong_type_is_named(name: str, call: Any, words: str) -> None:
    with pytest.raises(TypeError, match=rf"^{re.escape(name)}: ") as raised:
        call()
    assert words in str(raised.value)


def test_several_paths_are_given_as_one_or_as_a_list() -> None:
    assert as_paths("inputs", "a b") == [Path("a b")]
    assert as_paths("inputs", (Path("a"), "b")) == [Path("a"), Path("b")]
    assert as_settings("overrides", ("a=1",)) == ("a=1",)


def test_what_people_print_is_short(manifest: Manifest, tmp_path: Path) -> None:
    assert repr(manifest) == "Manifest(mine: 2 mammogram images of 2 patients, 1 lesions; train 1, test 1)"
    assert (
        repr(manifest.split(Split.VALIDATION)) == "Manifest(mine: 0 images of 0 patients, 0 lesions; empty)"
    )
    store = comoto.prepare(manifest, tmp_path / "s", overrides=["preprocess.rows=64"], workers=1)
    columns = PreprocessConfig().columns
    assert repr(store) == f"PreparedStore({tmp_path / 's'}: 2 mammogram images on a grid of 64 x {columns})"
    states = {"a": RunState("done", 1), "b": RunState("failed", 0), "c": RunState("done", 1)}
    assert repr(StudyOutcome(states, True)) == "StudyOutcome(2 done, 1 failed, interrupted)"
