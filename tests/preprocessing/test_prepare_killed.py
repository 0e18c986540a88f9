"""Preparation that is killed with signal 9, or whose workers are, and preparation on other backends."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import comoto.preprocessing.prepare  # noqa: F401 the package exports the function of that name
from comoto.config import PreprocessConfig
from comoto.errors import DatasetError
from comoto.preprocessing import Execution, PreparedStore, prepare, prepare_with
from comoto.preprocessing.render import render

GRID = PreprocessConfig(rows=128, columns=64)
IMAGES = 24
PROGRAM = """
import sys
from pathlib import Path
from comoto.config import PreprocessConfig
from comoto.preprocessing import prepare
from comoto.records import Manifest
print("ready", flush=True)
grid = PreprocessConfig(rows=128, columns=64)
prepare(Manifest.load(Path(sys.argv[1])), Path(sys.argv[2]), grid, workers=2)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def manifest(tmp_path, write_dicom, breast, make_manifest):
    rows = []
    for seed in range(IMAGES):
        path = write_dicom(tmp_path / "files" / f"{seed}.dcm", np.stack([breast((480, 300), seed=seed)] * 10))
        rows.append({"image_id": str(seed), "path": str(path)})
    lesions = [(str(seed), 60, 180, 120, 270, 5) for seed in range(0, IMAGES, 2)]
    return make_manifest(rows, lesions)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_ends_in_the_same_bytes(tmp_path, manifest, kills):
    """Half of the kills hit the whole group, the others leave the workers alive without their parent."""
    manifest.save(tmp_path / "manifest")
    whole = prepare(manifest, tmp_path / "whole", GRID, workers=1)
    out, dice = tmp_path / "out", random.Random(20)
    line = [sys.executable, "-c", PROGRAM, str(tmp_path / "manifest"), str(out)]
    seen, killed = [], 0
    for number in range(kills):
        with subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True) as run:
            assert run.stdout.readline() == b"ready\n"
            time.sleep(dice.uniform(0, 1.2) if number else 0.02)
            os.killpg(run.pid, signal.SIGKILL) if number % 2 else run.kill()
            killed += run.wait() == -signal.SIGKILL
        ready = {str(path.relative_to(out)) for path in (out / "planes").rglob("*.json")}
        for name in ready:  # whatever is there under its name is whole
            assert (out / name).read_bytes() == (whole.folder / name).read_bytes()
            pixels = Path(name).with_suffix(".npy")
            assert (out / pixels).read_bytes() == (whole.folder / pixels).read_bytes()
        seen.append(len(ready))
    assert killed >= 2  # a fast machine may finish before the last of them
    assert seen == sorted(seen)  # nothing that was finished is lost
    assert subprocess.run(line, check=True, capture_output=True).returncode == 0
    deadline = time.monotonic() + 20
    while list(out.rglob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.1)  # a worker without a parent may still be at its last image
    assert contents(out) == contents(whole.folder)
    assert len(PreparedStore(out)) == IMAGES


@pytest.mark.slow
def test_an_image_that_kills_its_worker_is_reported_and_the_rest_goes_on(tmp_path, manifest, monkeypatch):
    def deadly(task, **settings):
        if task.records[0].image_id == "7":
            (settings["how"].out / "working" / task.name).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return render(task, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["comoto.preprocessing.prepare"], "render", deadly)
        with pytest.raises(DatasetError, match="1 of 24 images cannot be prepared") as caught:
            prepare(manifest, tmp_path / "store", GRID, workers=2)
    assert "7.dcm: the process that read this file was killed" in str(caught.value)
    assert len(list((tmp_path / "store" / "planes").rglob("*.npy"))) == IMAGES - 1
    prepare(manifest, tmp_path / "store", GRID, workers=1)
    assert contents(tmp_path / "store") == contents(prepare(manifest, tmp_path / "b", GRID, workers=1).folder)


@pytest.mark.parametrize("backend", ["threading", "dask", "ray"])
def test_other_backends_make_the_same_store(tmp_path, manifest, backend):
    pytest.importorskip({"dask": "distributed", "ray": "ray"}.get(backend, "joblib"))
    few = manifest.select(manifest.images["image_id"].isin(["0", "1", "2", "3", "4"]))
    one = prepare(few, tmp_path / "one", GRID, workers=1)
    other = prepare_with(few, tmp_path / "other", GRID, work=Execution(workers=2, backend=backend))
    assert contents(other.folder) == contents(one.folder)


@pytest.mark.slow
def test_a_bad_file_among_many_does_not_stop_a_cluster(tmp_path, manifest):
    pytest.importorskip("distributed")
    path = next(manifest.records()).path
    path.write_bytes(path.read_bytes()[:-4000])
    few = manifest.select(manifest.images["image_id"].isin(["0", "1", "2"]))
    work = Execution(workers=2, backend="dask", skip_broken=True)
    assert prepare_with(few, tmp_path / "store", GRID, work=work).image_ids == ("1", "2")


def test_workers_that_were_started_elsewhere_find_a_relative_folder(tmp_path, manifest, monkeypatch):
    few = manifest.select(manifest.images["image_id"].isin(["0", "1", "2"]))
    prepare(few, tmp_path / "first", GRID, workers=2)  # its workers stay, in the folder of the tests
    monkeypatch.chdir(tmp_path)
    prepare(few, Path("second"), GRID, workers=2)
    assert contents(tmp_path / "second") == contents(tmp_path / "first")
