"""Stacks, raw volumes and mixed folders through prepare, predict and draw."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from stack_files import write_stack

from comoto import api
from comoto.dicom.read import DicomImage
from comoto.errors import DatasetError, DicomError
from comoto.inference.inputs import PredictionRequest, collect_jobs
from comoto.preprocessing.store import PreparedStore
from comoto.records import Manifest
from comoto.report.draw import draw_file
from dicom_files import texture, write_dicom
from tiny_exams import TINY, Exams

PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
PROJECTION = "1.2.840.10008.5.1.4.1.1.13.1.4"


def explode(volume: Path, folder: Path) -> Path:
    """Write a multi-frame volume as one file per slice, with the same window, patient and study."""
    with DicomImage(volume) as image:
        header, frames = image.header, np.stack(list(image.frames()))
    assert header.window is not None
    return write_stack(
        folder,
        frames,
        "j2k",
        names="IM{number}",
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PatientID=header.patient_id,
        StudyInstanceUID=header.study_instance_uid,
        SeriesInstanceUID=header.series_instance_uid,
        ViewPosition=header.view_position,
        ImageLaterality=header.laterality_tag,
        WindowCenter=header.window[0],
        WindowWidth=header.window[1],
    )


@pytest.fixture(scope="module")
def twins(exams: Exams, tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Manifest]:
    """Three volumes of the tiny BCS-DBT release, one of them stored turned; the second time as stacks."""
    root = tmp_path_factory.mktemp("stacks")
    whole = Manifest.load(exams.manifests / "bcs-dbt")
    store = PreparedStore(exams.stores / "bcs-dbt")
    turned = [name for name in store.image_ids if store.plan(name).orient.steps]
    upright = [name for name in store.image_ids if not store.plan(name).orient.steps]
    some = whole.select(whole.images["image_id"].isin([turned[0], *upright[:2]]))
    images = some.images.copy()
    images["path"] = [
        str(explode(Path(path), root / name))
        for path, name in zip(images["path"], images["image_id"], strict=True)
    ]
    return some, Manifest(some.name, images, some.lesions)


def test_prepare_and_predict_give_the_same_as_on_the_twin(
    twins: tuple[Manifest, Manifest], student_run: Path, tmp_path: Path
) -> None:
    tables, stores = [], []
    for name, manifest in zip(("files", "stacks"), twins, strict=True):
        manifest.save(tmp_path / name)
        stores.append(
            api.prepare(manifest, tmp_path / f"{name}-store", preset="demo", overrides=TINY, workers=2)
        )
        files = api.predict(student_run, [tmp_path / name], tmp_path / f"{name}.csv")
        tables.append(pd.read_csv(files.table))
    pd.testing.assert_frame_equal(*tables)
    assert len(tables[0]) > 0
    for image_id in stores[0].image_ids:
        np.testing.assert_array_equal(stores[0].pixels(image_id), stores[1].pixels(image_id))
        assert stores[0].plan(image_id).orient == stores[1].plan(image_id).orient
        for one, other in zip(*(store.lesions_on_grid(image_id) for store in stores), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_changed_slice_is_prepared_again(twins: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    """A store notices that one file of a stack is another one now."""
    images = twins[1].images.iloc[:1].copy()
    folder = tmp_path / "stack"
    folder.mkdir()
    for path in Path(images["path"].iloc[0]).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    images["path"] = str(folder)
    manifest = Manifest(twins[1].name, images, twins[1].lesions.iloc[:0])

    def planes() -> Any:
        store = api.prepare(manifest, tmp_path / "store", preset="demo", overrides=TINY, workers=1)
        return np.array(store.pixels(store.image_ids[0]))

    before = planes()
    np.testing.assert_array_equal(planes(), before)
    numbers = sorted(folder.iterdir(), key=lambda path: int(path.name[2:]))
    content = numbers[1].read_bytes()
    marked = content.replace(b"\x20\x00\x13\x00IS\x02\x002 ", b"\x20\x00\x13\x00IS\x02\x003 ")
    numbers[2].write_bytes(marked)  # slice 3 shows what slice 2 shows
    after = planes()
    np.testing.assert_array_equal(after[2], after[1])
    assert not np.array_equal(after[2], before[2])


def test_a_hospital_folder_is_predicted_on(
    exams: Exams, student_run: Path, tmp_path: Path, told: pytest.CaptureFixture[str]
) -> None:
    """Volumes and stacks are predicted on, the rest is named and left out, and nothing of it is fatal."""
    volume = next(exams.bcs_dbt.rglob("*.dcm"))
    root = tmp_path / "study"
    explode(volume, root / "series-2")
    (root / "series-1").mkdir()
    (root / "series-1" / "00000001").write_bytes(volume.read_bytes())
    for k, frame in enumerate(texture(frames=2)):
        write_dicom(root / "ffdm" / f"{k}.dcm", frame, "raw", tags={"SOPClassUID": PRESENTATION})
    write_dicom(root / "proj" / "p.dcm", texture(frames=3), "raw", tags={"SOPClassUID": PROJECTION})
    files = api.predict(student_run, [root], tmp_path / "p.csv")
    assert (files.num_images, files.failed) == (2, ())
    twin = json.loads(files.sidecar.read_text())
    assert twin["failed"] == []
    listed = [(Path(one["path"]).name, one["reason"].partition(": ")[2][:30]) for one in twin["left_out"]]
    assert listed == [
        ("0.dcm", "not a tomosynthesis volume but"),
        ("1.dcm", "not a tomosynthesis volume but"),
        ("p.dcm", "holds projections (the raw vie"),
    ]
    assert files.left_out == tuple((one["path"], one["reason"]) for one in twin["left_out"])
    one, two = twin["images"]
    assert [Path(image["image_id"]).name for image in (one, two)] == ["00000001", "series-2"]
    assert one["detections"] == two["detections"]
    assert (one["view_key"] + "1", one["study_id"]) == (two["view_key"], two["study_id"])
    said = told.readouterr().err
    assert f"not a tomosynthesis volume but mammogram: {root / 'ffdm' / '0.dcm'} and 1 more" in said
    assert f"not a tomosynthesis volume but tomosynthesis projection: {root / 'proj' / 'p.dcm'}" in said


def test_named_stacks_and_files(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    """A named folder is one job, also by one of its slices; what is named and no volume is an error."""
    folder = explode(next(exams.bcs_dbt.rglob("*.dcm")), tmp_path / "s")
    (job,) = collect_jobs(PredictionRequest([folder])).jobs.values()
    assert (job.image_id, job.path) == (str(folder), folder)
    assert collect_jobs(PredictionRequest([folder / "IM1", folder, folder / "IM2"])).jobs == {
        str(folder): job
    }
    assert len(api.predict_volume(student_run, folder)) == len(
        api.predict_volume(student_run, next(exams.bcs_dbt.rglob("*.dcm")))
    )
    projections = write_dicom(tmp_path / "p.dcm", texture(), "raw", tags={"SOPClassUID": PROJECTION})
    (tmp_path / "one").mkdir()
    lone = tmp_path / "one" / "IM1"
    lone.write_bytes((folder / "IM1").read_bytes())
    for path, match in (
        (projections, "holds projections"),
        (lone, "single image where a tomosynthesis volume"),
    ):
        with pytest.raises(DicomError, match=match):
            api.predict(student_run, [path], tmp_path / "x.csv")
    (job,) = collect_jobs(PredictionRequest([folder / "IM1"])).jobs.values()
    assert job.path == folder
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "p.dcm").write_bytes(projections.read_bytes())
    with pytest.raises(DatasetError, match="nothing to predict on here"):
        api.predict(student_run, [tmp_path / "only"], tmp_path / "x.csv")


def test_an_incomplete_stack_among_others_is_listed(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    volume = next(exams.bcs_dbt.rglob("*.dcm"))
    explode(volume, tmp_path / "in" / "whole")
    (explode(volume, tmp_path / "in" / "cut") / "IM3").unlink()
    files = api.predict(student_run, [tmp_path / "in"], tmp_path / "p.csv")
    assert files.num_images == 1
    ((path, reason),) = files.failed
    assert Path(path).name == "cut"
    assert "slices are missing" in reason


def test_a_stack_is_drawn_like_its_twin(exams: Exams, tmp_path: Path) -> None:
    volume = next(exams.bcs_dbt.rglob("*.dcm"))
    folder = explode(volume, tmp_path / volume.name)  # the name stands in the caption
    mine, theirs = draw_file(folder, slice_index=2), draw_file(volume, slice_index=2)
    np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))
