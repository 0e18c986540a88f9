"""A file that kills the process that decodes it, among good ones: said and left out, the others are done."""

import json
from pathlib import Path

import numpy as np
import pytest

from comoto import api
from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.preprocessing import Execution, prepare_with
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Manifest
from comoto.sources import isolated
from comoto.sources.isolated import Limits
from dicom_files import breast, write_dicom

WORKER = """
import os
from comoto.sources import isolated_worker
healthy = isolated_worker.open_source
def open_source(path):
    image = healthy(path)
    if "hostile" in str(path):
        image.frame = lambda *_: os.kill(os.getpid(), 11)
    return image
isolated_worker.open_source = open_source
isolated_worker.main()
"""


@pytest.fixture(autouse=True)
def workers_that_die(tmp_path, monkeypatch):
    """Workers whose decoder crashes on files of a certain name."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(isolated, "_PROGRAM", (str(script),))
    isolated._end_workers()  # healthy ones that an earlier test left waiting
    yield
    isolated._end_workers()


def test_predict_goes_on_behind_a_file_that_kills_its_decoder(exams, student_run, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    volumes = sorted(exams.bcs_dbt.rglob("*.dcm"))[:2]
    for name, volume in zip(("a-hostile", "b-good"), volumes, strict=True):
        (folder / f"{name}.dcm").write_bytes(volume.read_bytes())
    files = api.predict(student_run, [folder], tmp_path / "p.csv", isolate=True)
    ((path, reason),) = files.failed
    assert Path(path).name == "a-hostile.dcm"
    assert "the process that read the file crashed (SIGSEGV)" in reason
    (alone,) = json.loads(files.sidecar.read_text())["images"]
    here = api.predict(student_run, [folder / "b-good.dcm"], tmp_path / "q.csv")
    (expected,) = json.loads(here.sidecar.read_text())["images"]
    assert alone["detections"] == expected["detections"]


def manifest(folder, count, hostile):
    rows = []
    for number in range(count):
        name = f"{number}-hostile" if number == hostile else str(number)
        frame = breast(1, 80, 48, "L", level=300 + number % 500)[0]
        path = write_dicom(folder / f"{name}.dcm", frame)
        rows.append(
            [str(number), "mammogram", str(number), "S", "lcc", "L", "CC", "train", "normal", path, 1]
        )
    import pandas as pd

    images = pd.DataFrame(rows, columns=list(IMAGE_COLUMNS))
    return Manifest("made", images, pd.DataFrame([], columns=list(LESION_COLUMNS)))


def test_prepare_goes_on_behind_a_file_that_kills_its_decoder(tmp_path):
    images = manifest(tmp_path / "files", 30, hostile=11)
    grid = PreprocessConfig(rows=64, columns=32)
    work = Execution(workers=1, isolate=Limits())
    with pytest.raises(DatasetError, match=r"1 of 30 images cannot .*11-hostile\.dcm: the process .*SIGSEGV"):
        prepare_with(images, tmp_path / "store", grid, None, work)
    work = Execution(workers=1, isolate=Limits(), skip_broken=True)
    store = prepare_with(images, tmp_path / "store", grid, None, work)
    assert len(store) == 29
    here = prepare_with(images, tmp_path / "here", grid, None, Execution(workers=1))
    for image_id in store.image_ids:
        np.testing.assert_array_equal(store.pixels(image_id), here.pixels(image_id))
