"""Prediction in a process of its own, so that its memory is that of the prediction."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cases.harness import peak_mib
from cases.volumes import TINY, write_volume

_LEAST_SLICES = 9
"""The published rule leaves out eight."""


@dataclass(frozen=True)
class Prediction:
    """What one call of ``predict`` took; imports, the model's loading and its first picture left out.

    Attributes:
        peak_mib: of the whole process, Python, torch and the model included.
    """

    cpu: float
    wall: float
    peak_mib: float
    rows: int


def predict_in_child(run: Path, inputs: list[Path], out: Path, threads: int) -> Prediction:
    """Predict on files with a run folder, from decoding to the CSV file, in a fresh process.

    A tiny volume goes before, for what is loaded and chosen when the first picture comes.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_predict, run, inputs, out, threads).result()


def _predict(run: Path, inputs: list[Path], out: Path, threads: int) -> Prediction:
    import torch

    from comoto import api
    from comoto.inference.predict import predict

    torch.set_num_threads(threads)
    model: Any = api.load_model(run, device="cpu")
    with tempfile.TemporaryDirectory() as name:
        first = write_volume(Path(name) / "first.dcm", _LEAST_SLICES, TINY)
        predict(model, [first], Path(name) / "first.csv")
    out.unlink(missing_ok=True)
    out.with_suffix(".json").unlink(missing_ok=True)
    wall, cpu = time.perf_counter(), time.process_time()
    predict(model, inputs, out)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Prediction(cpu, wall, peak_mib(), len(out.read_text(encoding="utf-8").splitlines()) - 1)
