"""Students of single images: a store of mammograms as volumes of one slice."""

import pytest

from comoto import api
from comoto.config import load_train_config
from comoto.detectors.about import read_about
from comoto.errors import ConfigError
from comoto.evaluation.challenge import challenge_metric
from comoto.evaluation.challenge_tables import challenge_tables
from comoto.inference.model import load_model
from comoto.inference.prepared import predict_store
from comoto.preprocessing.store import PreparedStore
from comoto.records import PREDICTION_COLUMNS
from comoto.training.cohorts import open_student_store


@pytest.fixture(scope="module")
def films(exams):
    return exams.stores / "vindr-mammo"


@pytest.fixture(scope="module")
def settings(exams, films):
    own = ["data.single_images=true", "schedule.epochs=2", "init=scratch"]
    return [*exams.teacher_data, f"data.tomosynthesis={films}", *own]


@pytest.fixture(scope="module")
def student(settings, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "student"
    api.train_student(run, preset="demo", overrides=settings)
    return run


def test_mammograms_are_volumes_of_one_slice(films):
    store = PreparedStore(films)
    volumes = store.as_volumes()
    assert set(volumes.manifest.images["modality"]) == {"tomosynthesis"}
    assert {volumes.num_slices(name) for name in volumes.image_ids} == {1}
    assert set(volumes.manifest.lesions["slice_index"]) == {0}
    assert volumes.manifest.lesions[["x1", "y2"]].equals(store.manifest.lesions[["x1", "y2"]])
    assert set(store.manifest.images["modality"]) == {"mammogram"}
    labels, boxes = challenge_tables(volumes.manifest)
    assert len(boxes) == len(store.manifest.lesions)
    perfect = boxes.assign(Z=0, Depth=1, Score=0.9)[list(PREDICTION_COLUMNS)]
    assert set(challenge_metric(perfect, labels, boxes, 3.0).values()) == {1.0}
    beside = perfect.assign(X=perfect["X"] + 2 * perfect["Width"] + 8)
    assert challenge_metric(beside, labels, boxes, 3.0)["mean_sensitivity_positive"] == 0.0


def test_volumes_stay_what_they_are(exams):
    store = PreparedStore(exams.stores / "bcs-dbt")
    assert list(store.as_volumes().manifest.records()) == list(store.manifest.records())


def test_it_is_judged_as_students_are(student, films):
    config, about, _ = read_about(student)
    assert "mean_sensitivity_positive" in about.metric
    model, _ = load_model(student, role="student", device="cpu")
    store = open_student_store(films, "data.tomosynthesis", config)
    found = predict_store(model, store, store.manifest, config.inference)
    assert len(found) == len(store)
    rows = [one.to_dataframe() for one in found]
    assert {slice_index for table in rows for slice_index in table["Z"]} == {0}
    assert {depth for table in rows for depth in table["Depth"]} == {1}


def test_it_predicts_on_mammograms_and_no_volumes(student, exams, films, tmp_path):
    record = PreparedStore(films).record(PreparedStore(films).image_ids[0])
    table = api.predict(student, [record.path], tmp_path / "found.csv", mammograms=True)
    assert table.num_images == 1
    with pytest.raises(ConfigError, match="is a student of single images"):
        api.predict(student, [exams.bcs_dbt], tmp_path / "no.csv")


def test_the_two_kinds_of_stores_are_not_mixed_up(exams, films):
    volumes = exams.stores / "bcs-dbt"
    config = load_train_config("demo", exams.student_data, role="student")
    with pytest.raises(ConfigError, match=r"tomosynthesis images only; data\.single_images=true trains"):
        open_student_store(films, "data.tomosynthesis", config)
    single = load_train_config("demo", [*exams.student_data, "data.single_images=true"], role="student")
    with pytest.raises(ConfigError, match="does not hold mammogram images only"):
        open_student_store(volumes, "data.tomosynthesis", single)
