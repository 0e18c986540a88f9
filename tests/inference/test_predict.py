"""Prediction through the public calls, on real DICOM files of the simulator."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from comoto import api
from comoto.checksums import write_sealed_json
from comoto.config import InferenceConfig
from comoto.dicom.read import DicomImage
from comoto.errors import CheckpointError, ConfigError, DatasetError, DicomError, OutputExistsError
from comoto.inference import predict as predict_room
from comoto.inference.volume import slice_indices
from comoto.records import PREDICTION_COLUMNS, Manifest, Split
from dicom_files import texture, write_dicom
from tiny_exams import Exams


def test_table_and_twin_say_the_same(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    manifest = exams.manifests / "bcs-dbt"
    files = api.predict(student_run, [manifest], tmp_path / "p.csv", split="test")
    table = pd.read_csv(files.table)
    assert tuple(table.columns) == PREDICTION_COLUMNS
    sidecar = json.loads(files.sidecar.read_text())
    test = Manifest.load(manifest).split(Split.TEST)
    assert {one["image_id"] for one in sidecar["images"]} == set(test.images["image_id"])
    assert sum(len(one["detections"]) for one in sidecar["images"]) == len(table) > 0
    sizes = {record.image_id: record for record in test.records()}
    for image in sidecar["images"]:
        rows = table[(table["StudyUID"] == image["study_id"]) & (table["View"] == image["view_key"])]
        with DicomImage(sizes[image["image_id"]].path) as dicom:
            header = dicom.header
        for (_, row), found in zip(rows.iterrows(), image["detections"], strict=True):
            x1, y1, x2, y2 = found["box_xyxy"]
            assert row["X"] == np.floor(x1)
            assert row["X"] + row["Width"] == np.ceil(x2)
            assert row["Y"] == np.floor(y1)
            assert row["Y"] + row["Height"] == np.ceil(y2)
            assert 0 <= x1 < x2 <= header.columns
            assert 0 <= y1 < y2 <= header.rows
            assert 0 <= row["Z"] < header.num_frames
            assert row["Score"] == pytest.approx(found["score"])


def test_a_file_alone_gives_the_same_boxes_as_its_manifest(exams: Exams, student_run: Path) -> None:
    model = api.load_model(student_run)
    manifest = Manifest.load(exams.manifests / "bcs-dbt").split(Split.TEST)
    compared = 0
    for record in manifest.records():
        job = predict_room.Job(
            record.image_id,
            record.path,
            record.laterality,
            (record.patient_id, record.study_id, record.view_key),
        )
        known = predict_room.predict_volume(model, record.path, job=job)
        alone = api.predict_volume(model, record.path)
        if alone.view_key[0].upper() == record.laterality.value:  # stored upright
            np.testing.assert_array_equal(known.boxes_xyxy, alone.boxes_xyxy)
            compared += 1
        assert alone.patient_id == record.patient_id
    assert compared > 0


def test_a_rotated_volume_comes_out_in_the_corrected_orientation(exams: Exams, student_run: Path) -> None:
    """A volume stored upside down gives, by its manifest, the mirror image of what its file alone gives."""
    model = api.load_model(student_run)
    manifest = Manifest.load(exams.manifests / "bcs-dbt")
    turned = 0
    for record in manifest.records():
        with DicomImage(record.path) as image:
            rows, columns = image.header.rows, image.header.columns
            first = image.frame(0).astype(np.int64)
        pixel_side = "R" if first[:, 0].sum() < first[:, -1].sum() else "L"
        if pixel_side == record.laterality.value:
            continue
        job = predict_room.Job(record.image_id, record.path, record.laterality, ("p", "s", record.view_key))
        known = predict_room.predict_volume(model, record.path, job=job)
        with_table = known.boxes_xyxy[:, [0, 1]]
        assert (with_table[:, 0] <= columns).all()
        assert (with_table[:, 1] <= rows).all()
        # the breast touches the wanted side, so boxes lie near it rather than in the air of the other half
        centre = known.boxes_xyxy[:, [0, 2]].mean(axis=1)
        near = centre > columns / 2 if record.laterality.value == "R" else centre < columns / 2
        assert near.mean() > 0.5
        turned += 1
    assert turned > 0


def test_a_folder_and_its_files_are_the_same_input(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    some = sorted(exams.bcs_dbt.rglob("*.dcm"))[:2]
    folder = tmp_path / "folder"
    folder.mkdir()
    for k, path in enumerate(some):
        (folder / f"{k}.dcm").write_bytes(path.read_bytes())
    api.predict(student_run, some, tmp_path / "files.csv")
    api.predict(student_run, [folder], tmp_path / "folder.csv")
    one, other = pd.read_csv(tmp_path / "files.csv"), pd.read_csv(tmp_path / "folder.csv")
    pd.testing.assert_frame_equal(one, other)


def test_settings_reach_the_prediction(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    path = next(exams.bcs_dbt.rglob("*.dcm"))
    api.predict(
        student_run, [path], tmp_path / "a.csv", overrides=["aggregation.kind=nms_3d", "slice_step=1"]
    )
    made_by = json.loads((tmp_path / "a.json").read_text())["made_by"]
    assert made_by["inference"]["aggregation"]["kind"] == "nms_3d"
    assert (pd.read_csv(tmp_path / "a.csv")["Depth"] >= 1).all()
    with pytest.raises(ConfigError, match="did you mean 'nms_3d'"):
        api.predict(student_run, [path], tmp_path / "b.csv", overrides=["aggregation.kind=nms3d"])
    with pytest.raises(ConfigError, match="unknown aggregator 'nms_3d # x'"):  # taken as it is, not as YAML
        api.predict(student_run, [path], tmp_path / "b.csv", values={"aggregation.kind": "nms_3d # x"})
    assert not (tmp_path / "b.csv").exists()


def test_what_lies_below_an_operating_point_is_left_out(
    exams: Exams, student_run: Path, tmp_path: Path
) -> None:
    model, path = api.load_model(student_run, device="cpu"), next(exams.bcs_dbt.rglob("*.dcm"))
    everything = api.predict(model, path, tmp_path / "all.csv").to_dataframe()
    threshold = float(everything["Score"].sort_values().iloc[len(everything) // 2])
    made_by = json.loads((tmp_path / "all.json").read_text())["made_by"]
    content = {"format": "comoto-operating-point-1", "wanted": "1fp", "threshold": {"value": threshold}}
    point = tmp_path / "point.json"
    write_sealed_json(point, {**content, "made_by": made_by})
    shown = api.predict(model, path, tmp_path / "shown.csv", operating_point=point)
    kept = everything[everything["Score"] >= threshold].reset_index(drop=True)
    assert 0 < len(kept) < len(everything)
    pd.testing.assert_frame_equal(shown.to_dataframe(), kept)
    sidecar = json.loads(shown.sidecar.read_text())
    assert sidecar["made_by"]["operating_point"]["threshold"] == {"value": threshold}
    assert len(sidecar["images"][0]["detections"]) == len(kept)
    write_sealed_json(point, {**content, "made_by": made_by | {"model_sha256": "0" * 64}})
    with pytest.raises(ConfigError, match="predictions of another model"):
        api.predict(model, path, tmp_path / "other.csv", operating_point=point)
    with pytest.raises(ConfigError, match="operating points are chosen on volumes"):
        api.predict(
            model, path, tmp_path / "m.csv", mammograms=True, operating_point=point, other_modality=True
        )
    assert not (tmp_path / "other.csv").exists()


def test_mammograms_give_a_table_of_their_own(exams: Exams, teacher_run: Path, tmp_path: Path) -> None:
    manifest = exams.manifests / "vindr-mammo"
    api.predict(teacher_run, [manifest], tmp_path / "m.csv", split="test", mammograms=True)
    table = pd.read_csv(tmp_path / "m.csv")
    assert list(table.columns) == ["image_id", "x1", "y1", "x2", "y2", "score"]
    assert set(table["image_id"]) <= set(Manifest.load(manifest).split(Split.TEST).images["image_id"])
    assert len(table) > 0


def test_an_interruption_loses_nothing(
    exams: Exams, student_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(exams.bcs_dbt.rglob("*.dcm"))[:3]
    whole = api.predict(student_run, files, tmp_path / "whole.csv")
    real, calls = predict_room.predict_volume, []

    def interrupted(model, path, config=None, job=None):  # type: ignore[no-untyped-def]
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(model, path, config, job)

    monkeypatch.setattr(predict_room, "predict_volume", interrupted)
    with pytest.raises(KeyboardInterrupt):
        api.predict(student_run, files, tmp_path / "cut.csv")
    sidecar = json.loads((tmp_path / "cut.json").read_text())
    assert [one["path"] for one in sidecar["images"]] == [str(path) for path in files[:2]]
    monkeypatch.setattr(predict_room, "predict_volume", real)
    with pytest.raises(OutputExistsError, match="another model or other settings"):
        api.predict(student_run, files, tmp_path / "cut.csv", overrides=["slice_step=3"])
    api.predict(student_run, files, tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_text() == whole.table.read_text()
    assert not (tmp_path / "cut.csv.journal").exists()


def test_a_killed_process_can_be_continued(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle: the journal holds the finished volumes, and a rerun gives the whole table."""
    out = tmp_path / "killed.csv"
    code = (
        "import time\nfrom comoto import api\nfrom comoto.inference import predict as p\n"
        "real = p.predict_volume\n"
        "def slow(*a, **k):\n    time.sleep(0.2)\n    return real(*a, **k)\np.predict_volume = slow\n"
        f"api.predict({str(student_run)!r}, [{str(exams.bcs_dbt)!r}], {str(out)!r})\n"
    )
    journal = out.with_name(out.name + ".journal")
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    for _ in range(600):
        if journal.exists() and journal.read_text().count("\n") >= 3:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = journal.read_text().count("\n") - 1
    assert finished >= 2
    files = api.predict(student_run, [exams.bcs_dbt], out)
    assert files.num_images == len(list(exams.bcs_dbt.rglob("*.dcm"))) > finished
    api.predict(student_run, [exams.bcs_dbt], tmp_path / "whole.csv")
    assert out.read_text() == (tmp_path / "whole.csv").read_text()


class TestMistakes:
    """One clear error, and no file is left behind."""

    def refuse(self, run: Path, inputs: list[Path], out: Path, error: type[Exception], message: str) -> None:
        before = set(out.parent.iterdir())
        with pytest.raises(error, match=message):
            api.predict(run, inputs, out)
        assert set(out.parent.iterdir()) == before

    def test_no_such_file(self, student_run: Path, tmp_path: Path) -> None:
        self.refuse(student_run, [tmp_path / "x.dcm"], tmp_path / "p.csv", DatasetError, "no such file")

    def test_not_dicom(self, student_run: Path, tmp_path: Path) -> None:
        (tmp_path / "x.dcm").write_text("no")
        self.refuse(student_run, [tmp_path / "x.dcm"], tmp_path / "p.csv", DicomError, "not a DICOM file")

    def test_empty_folder(self, student_run: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        self.refuse(
            student_run, [tmp_path / "empty"], tmp_path / "p.csv", DatasetError, "nothing to predict on"
        )

    def test_a_mammogram_is_no_volume(self, exams: Exams, student_run: Path, tmp_path: Path) -> None:
        mammogram = next(exams.vindr_mammo.rglob("*.dicom"))
        self.refuse(
            student_run, [mammogram], tmp_path / "p.csv", DicomError, "single image where a tomosynthesis"
        )

    def test_a_truncated_file(self, exams: Exams, student_run: Path, tmp_path: Path) -> None:
        content = next(exams.bcs_dbt.rglob("*.dcm")).read_bytes()
        (tmp_path / "cut.dcm").write_bytes(content[: len(content) // 2])
        self.refuse(student_run, [tmp_path / "cut.dcm"], tmp_path / "p.csv", DicomError, r"cut\.dcm")

    def test_no_model(self, tmp_path: Path) -> None:
        self.refuse(tmp_path / "run", [tmp_path], tmp_path / "p.csv", CheckpointError, "run: no such folder")

    def test_output_exists(self, exams: Exams, student_run: Path, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("mine")
        file = next(exams.bcs_dbt.rglob("*.dcm"))
        self.refuse(student_run, [file], tmp_path / "p.csv", OutputExistsError, r"p\.csv exists")
        assert (tmp_path / "p.csv").read_text() == "mine"


def test_one_bad_file_does_not_stop_the_others(exams: Exams, student_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    good = next(exams.bcs_dbt.rglob("*.dcm")).read_bytes()
    (folder / "good.dcm").write_bytes(good)
    (folder / "bad.dcm").write_bytes(good[: len(good) // 2])
    files = api.predict(student_run, [folder], tmp_path / "p.csv")
    assert files.num_images == 1
    assert [Path(path).name for path, _ in files.failed] == ["bad.dcm"]
    ((path, reason),) = files.failed
    sidecar = json.loads(files.sidecar.read_text())
    assert (sidecar["failed"], sidecar["left_out"]) == ([{"path": path, "reason": reason}], [])


def test_what_failed_is_in_the_twin_of_an_interrupted_run(
    exams: Exams, student_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file with one frame is no volume, the next one is done, then somebody presses Ctrl-C."""
    single = write_dicom(tmp_path / "single.dcm", texture(1)[0], "raw")
    first, second = sorted(exams.bcs_dbt.rglob("*.dcm"))[:2]
    healthy = predict_room.predict_volume

    def interrupted(model, path, config=None, job=None):  # type: ignore[no-untyped-def]
        if path == second:
            raise KeyboardInterrupt
        return healthy(model, path, config, job)

    with monkeypatch.context() as patch:
        patch.setattr(predict_room, "predict_volume", interrupted)
        with pytest.raises(KeyboardInterrupt):
            api.predict(student_run, [single, first, second], tmp_path / "p.csv")
    cut = json.loads((tmp_path / "p.json").read_text())
    assert [one["path"] for one in cut["images"]] == [str(first)]
    (failed,) = cut["failed"]
    assert failed["path"] == str(single)
    assert "a single image where a tomosynthesis volume is expected" in failed["reason"]
    files = api.predict(student_run, [single, first, second], tmp_path / "p.csv")
    assert (files.num_images, [path for path, _ in files.failed]) == (2, [str(single)])


@pytest.mark.parametrize(
    ("num_slices", "step", "expected"),
    [(5, 1, [0, 1, 2, 3, 4]), (6, 2, [0, 2, 4]), (7, 3, [0, 3, 6]), (1, 4, [0])],
)
def test_every_nth_slice_is_centred(num_slices: int, step: int, expected: list[int]) -> None:
    assert slice_indices(num_slices, step) == expected
    assert InferenceConfig().slice_step == 1
