"""``comoto prepare`` as a user calls it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from comoto.cli.prepare import prepare as command
from comoto.errors import ConfigError
from comoto.preprocessing import PreparedStore
from comoto.preprocessing.prepare import summary

PROGRAM = """
import sys
from pathlib import Path
from comoto.config import PreprocessConfig
from comoto.preprocessing import prepare
from comoto.records import Manifest
grid = PreprocessConfig(rows=128, columns=64)
prepare(Manifest.load(Path(sys.argv[1])), Path(sys.argv[2]), grid, workers=int(sys.argv[3]))
"""
GRID = ("--set", "preprocess.rows=128", "--set", "preprocess.columns=64")


@pytest.fixture
def manifest(tmp_path, write_dicom, breast, make_manifest):
    rows = []
    for seed, name in enumerate(("a", "b")):
        path = write_dicom(tmp_path / f"{name}.dcm", np.stack([breast(seed=seed)] * 10))
        rows.append({"image_id": name, "path": str(path)})
    make_manifest(rows, [("a", 20, 60, 40, 90, 5)]).save(tmp_path / "manifest")
    return tmp_path / "manifest"


def call(*arguments):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(part) for part in arguments])


def test_it_prepares_with_a_preset_and_overrides(tmp_path, manifest):
    result = call(
        "--manifest", manifest, "--out", tmp_path / "out", "--preset", "small", *GRID, "--workers", 1
    )
    assert result.exit_code == 0, result.exception
    store = PreparedStore(tmp_path / "out")
    assert (store.config.rows, store.config.columns) == (128, 64)
    assert store.pixels("a").shape[0] == 10


def test_sampled_slices_can_be_asked_for(tmp_path, manifest):
    options = ("--slices", "sampled", "--step", 5, "--reach", 0)
    result = call("--manifest", manifest, "--out", tmp_path / "out", *GRID, *options, "--workers", 1)
    assert result.exit_code == 0, result.exception
    assert PreparedStore(tmp_path / "out").slice_indices("a").tolist() == [2, 5, 7]


def test_overrides_of_other_sections_are_refused(tmp_path, manifest):
    result = call("--manifest", manifest, "--out", tmp_path / "out", "--set", "batch.size=4")
    assert isinstance(result.exception, ConfigError)
    assert "only preprocess" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path, workers, write_dicom, breast, make_manifest):
    """Interrupt after the first finished image, then call again."""
    rows = []
    for number in range(8):
        path = write_dicom(tmp_path / f"{number}.dcm", np.stack([breast((640, 400))] * 20))
        rows.append({"image_id": str(number), "path": str(path)})
    make_manifest(rows).save(tmp_path / "manifest")
    line = [sys.executable, "-c", PROGRAM, str(tmp_path / "manifest"), str(tmp_path / "out"), str(workers)]
    run = subprocess.Popen(line, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out" / "images").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    run.communicate(timeout=60)
    assert run.returncode != 0
    finished = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out" / "images").glob("*.json")}
    assert 1 <= len(finished) < 8
    assert subprocess.run(line, check=True, capture_output=True).returncode == 0
    store = PreparedStore(tmp_path / "out")
    assert len(store) == 8
    assert all((store.folder / "images" / name).stat().st_mtime_ns == time for name, time in finished.items())
    assert not list(store.folder.rglob("*.part"))


def test_the_rarer_choices_reach_the_store(tmp_path, manifest):
    assert call("--manifest", manifest, "--out", tmp_path / "a", *GRID, "--workers", 1).exit_code == 0
    more = ("--reuse", tmp_path / "a", "--forget-paths", "--backend", "loky")
    result = call("--manifest", manifest, "--out", tmp_path / "b", *GRID, *more)
    assert result.exit_code == 0, result.exception
    one, two = PreparedStore(tmp_path / "a"), PreparedStore(tmp_path / "b")
    assert two.planes_path("a").samefile(one.planes_path("a"))
    assert set(two.manifest.images["path"]) == {"path-not-kept"}


def test_what_many_images_share_is_said_in_one_line(exams):
    store = PreparedStore(exams.stores / "bcs-dbt")
    turned = [
        image_id for image_id in store.image_ids if "turned by 180" in " ".join(store.plan(image_id).notes)
    ]
    assert len(turned) > 1
    lines = [line for line in summary(store).splitlines() if "turned by 180" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"note: {len(turned)} images: turned by 180 degrees")
    assert turned[0] in lines[0]
