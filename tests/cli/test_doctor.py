"""``comoto doctor``: what it measures, and the sentence that follows from the figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from comoto.cli.main import app
from comoto.config import AugmentConfig, BatchConfig, PreprocessConfig, load_train_config
from comoto.dicom.syntaxes import ACCEPTED, Codec
from comoto.doctor import measure
from comoto.doctor.machine import Machine
from comoto.doctor.measure import Speed
from comoto.doctor.samples import ENCODERS, breast_frame, write_sample, write_store
from comoto.doctor.verdict import judge
from comoto.sources import open_source
from tiny_exams import Exams

GRID = PreprocessConfig(rows=256, columns=128)


@pytest.mark.parametrize("kind", ENCODERS)
def test_samples_decode_to_what_was_encoded(tmp_path: Path, kind: str) -> None:
    expected = breast_frame()
    with open_source(write_sample(tmp_path / "a.dcm", kind)) as image:
        frame = image.frame(0)
    if kind == "JPEG (8 bits)":
        assert np.abs(frame.astype(int) - (expected >> 2)).mean() < 2
    else:
        assert np.array_equal(frame, expected)


def test_every_kind_of_compression_is_measured() -> None:
    assert {ACCEPTED[uid].codec for uid, _ in ENCODERS.values()} == set(Codec)


def speeds(warm: float, cold: float, step: float, forward: float = 10.0, own: float | None = None) -> dict:
    found = [
        Speed("decode JPEG 2000", 9.808344, "megapixels/s", "1024 x 512, 53 ms a frame, one core"),
        Speed("loader, first pass", cold, "images/s", ""),
        Speed("loader", warm, "images/s", ""),
        Speed("network, forward", forward, "images/s", ""),
        Speed("network, training step", step, "images/s", ""),
    ]
    if own is not None:
        found.append(Speed("decode your file", own, "megapixels/s", "1000 x 500, 1 ms a frame, one core"))
    return {speed.part: speed for speed in found}


MACHINE = Machine((), cores=4, load=0.0, memory_gib=8.0, free_memory_gib=4.0, gpus=())
WITH_GPU = Machine((), cores=4, load=0.0, memory_gib=8.0, free_memory_gib=4.0, gpus=("some GPU, 80 GiB",))


@pytest.mark.parametrize(
    ("warm", "cold", "step", "machine", "workers", "what", "advice"),
    [
        (500, 400, 50, MACHINE, 0, "network", "Use a GPU"),
        (500, 400, 50, WITH_GPU, 0, "network", "bfloat16"),
        (500, 40, 100, MACHINE, 0, "disk", "local SSD"),
        (100, 40, 100, MACHINE, 1, "loader", "--set workers=4"),  # as fast is not enough to keep it busy
        (100, 90, 400, MACHINE, 4, "loader", "All 4 cores load already"),
    ],
)
def test_the_slowest_part_is_named(warm, cold, step, machine, workers, what, advice) -> None:
    verdict = judge(speeds(warm, cold, step), machine, workers)
    assert verdict.bottleneck == what
    assert f"held up by the {what}" in verdict.sentence
    assert f"{step} images" in verdict.sentence or f"takes {step}" in verdict.sentence
    assert advice in verdict.advice


def test_prediction_is_judged_by_the_slice_that_takes_longer() -> None:
    # 2457 x 1996 pixels are 4.904172 megapixels: 0.5 s at 9.808344 a second, against 0.1 s of the network
    assert "held up by decoding: one slice takes 0.5 s" in judge(speeds(1, 1, 1), MACHINE, 0).prediction
    # half a megapixel of the user's own at 50 a second: 0.01 s
    own = judge(speeds(1, 1, 1, own=50.0), MACHINE, 0).prediction
    assert own.startswith("Prediction of your file is held up by the network: one slice takes 0.01 s")


def test_parts_are_measured_for_what_they_are(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", GRID, 8)
    batch = BatchConfig(size=4)
    loader = measure.loader(store, batch, AugmentConfig(), 1)
    assert loader.value > 0
    assert loader.how == "256 x 128, workers=1"
    assert measure.loader_from_disk(store, batch, AugmentConfig(), 0).value > 0
    path = tmp_path / "bytes"
    path.write_bytes(bytes(5 * 2**20))
    assert measure.disk([path]).how.startswith("5 MiB")
    decoded = measure.decoder(write_sample(tmp_path / "a.dcm", "uncompressed"), "x", seconds=0.01)
    assert decoded.how.startswith("1024 x 512, ")


def test_a_slow_machine_measures_a_part_of_the_grid_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_train_config("demo", [])  # 256 x 128
    asked = []

    def slow(probe, detector, device, precision, size):
        asked.append((probe.preprocess.rows, probe.preprocess.columns))
        return 1.0, 3.0

    monkeypatch.setattr(measure, "_steps", slow)
    forward, training = measure.network(config, None, torch.device("cpu"), "32-true", 20.0)
    assert asked == [(128, 128)]  # twice the pixels would take 8 s, three times over 24
    assert (forward.value, training.value) == (pytest.approx(1 / 2), pytest.approx(1 / 6))
    assert "128 x 128" in training.how
    assert "scaled to 256 x 128" in training.how


def test_a_store_of_either_kind_alone_can_be_measured(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", GRID, 4)
    for wanted in (True, False):
        chosen = {
            name: store.record(name).lesions
            for name in store.image_ids
            if bool(store.record(name).lesions) is wanted
        }
        assert measure.loader(store.relabelled(chosen), BatchConfig(size=2), AugmentConfig(), 0).value > 0


@pytest.mark.slow
def test_the_command_prints_a_table_or_json(exams: Exams, teacher_run: Path) -> None:
    store = exams.stores / "vindr-mammo"
    dicom = next(exams.vindr_mammo.rglob("*.dicom"))
    arguments = ["doctor", str(store), "--model", str(teacher_run), "--dicom", str(dicom), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    parts = [speed["part"] for speed in found["speeds"]]
    assert parts[0] == "decode your file"
    assert parts[-5:] == [
        "disk",
        "loader, first pass",
        "loader",
        "network, forward",
        "network, training step",
    ]
    assert all(speed["value"] > 0 for speed in found["speeds"])
    assert found["verdict"]["bottleneck"] in ("network", "loader", "disk")
    assert str(store) not in result.stdout
    assert dicom.name not in result.stdout
