"""Prediction from a prepared store equals prediction on the files."""

from pathlib import Path

import pandas as pd
import pytest

from comoto import api
from comoto.config import override
from comoto.detections import prediction_table
from comoto.errors import ConfigError
from comoto.inference.prepared import predict_store
from comoto.preprocessing import PreparedStore, PrepareOptions
from comoto.records import PREDICTION_COLUMNS, Manifest, Split
from tiny_exams import TINY, Exams


@pytest.mark.parametrize(
    ("split", "settings"),
    [("test", ["slice_step=2"]), ("validation", ["slice_step=3", "aggregation.kind=local_maximum"])],
)
def test_the_table_is_the_one_of_the_files(
    exams: Exams, student_run: Path, tmp_path: Path, split: str, settings: list[str]
) -> None:
    model = api.load_model(student_run)
    manifest = exams.manifests / "bcs-dbt"
    files = api.predict(model, [manifest], tmp_path / "files.csv", split=split, overrides=settings)
    chosen = Manifest.load(manifest).split(Split(split))
    store = PreparedStore(exams.stores / "bcs-dbt")
    volumes = predict_store(model, store, chosen, override(model.config.inference, settings))
    prediction_table(volumes).to_csv(tmp_path / "store.csv", index=False)
    assert len(pd.read_csv(files.table)) > 0
    assert (tmp_path / "store.csv").read_text() == files.table.read_text()
    assert [volume.image_id for volume in volumes] == list(chosen.images["image_id"])


def test_every_nth_of_the_prepared_slices_is_looked_at(
    exams: Exams, student_run: Path, tmp_path: Path
) -> None:
    manifest = Manifest.load(exams.manifests / "bcs-dbt").split(Split.TEST)
    options = PrepareOptions(slices="sampled", step=3, reach=0)
    store = api.prepare(
        manifest, tmp_path / "store", preset="demo", overrides=TINY, workers=1, options=options
    )
    model = api.load_model(student_run)
    config = override(model.config.inference, ["slice_step=1"])
    volumes = predict_store(model, store, manifest, config)
    assert sum(len(volume) for volume in volumes) > 0
    for volume in volumes:
        prepared = set(store.slice_indices(volume.image_id).tolist())
        assert len(prepared) < store.num_slices(volume.image_id)
        assert volume.depths is not None or not len(volume)
        assert volume.depths is None or set(volume.depths.looked_at.tolist()) <= prepared


def test_where_the_lesions_are_decides_nothing_about_what_is_looked_at(
    exams: Exams, student_run: Path, tmp_path: Path
) -> None:
    """Sampled stores hold more slices near lesions; predictions are those of a store without annotations."""
    told = Manifest.load(exams.manifests / "bcs-dbt").split(Split.TEST)
    hidden = Manifest(told.name, told.images, told.lesions.iloc[:0])
    options = PrepareOptions(slices="sampled", step=4, reach=0.15)
    model = api.load_model(student_run)
    tables, planes = [], []
    for name, manifest in (("told", told), ("hidden", hidden)):
        store = api.prepare(
            manifest, tmp_path / name, preset="demo", overrides=TINY, workers=1, options=options
        )
        config = override(model.config.inference, ["slice_step=1"])
        tables.append(prediction_table(predict_store(model, store, manifest, config)))
        planes.append(sum(len(store.slice_indices(image_id)) for image_id in store.image_ids))
    assert planes[0] > planes[1]
    assert len(tables[1]) > 0
    pd.testing.assert_frame_equal(*tables)


def test_a_store_prepared_otherwise_is_refused(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(exams.manifests / "bcs-dbt").split(Split.TEST)
    overrides = [*TINY, "preprocess.fit=stretch"]
    store = api.prepare(manifest, tmp_path / "store", preset="demo", overrides=overrides, workers=1)
    model = api.load_model(student_run)
    with pytest.raises(ConfigError, match="other preprocess settings"):
        predict_store(model, store, manifest, model.config.inference)


def test_no_volume_gives_an_empty_table() -> None:
    assert tuple(prediction_table([]).columns) == PREDICTION_COLUMNS
    assert len(prediction_table([])) == 0
