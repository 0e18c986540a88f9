"""How fast the parts are: disk, decoder, loader, network. Each takes a few seconds at most.

Every number is the best of its repetitions: other work on the machine only ever slows a repetition down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from comoto.config import AugmentConfig, BatchConfig, PreprocessConfig, TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import build_blank_detector
from comoto.detectors.device import autocast
from comoto.distill.impa import PointAlignment
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.store import PreparedStore
from comoto.sources import open_source
from comoto.training.batch import TeacherBatch
from comoto.training.data import stream
from comoto.training.steps import TeacherStep, total

_CHUNK = 4 * 2**20
_MOST_READ = 512 * 2**20
LEAST_READ = 64 * 2**20
"""Bytes below which a disk cannot be judged."""
_BATCHES = 24
_GRID_STEP = 32
_LEAST_SIDE = 128
"""Below it batch normalisation has a single value to look at on the coarsest maps."""


@dataclass(frozen=True)
class Speed:
    """One measurement.

    Attributes:
        part: what was measured.
        value: how much of it a second.
        unit: of ``value``.
        how: on what, in a few words.
    """

    part: str
    value: float
    unit: str
    how: str


def disk(files: Iterable[Path], seconds: float = 4.0) -> Speed:
    """Read files from the disk, after asking the system to forget what it holds of them."""
    read, taken = 0, 0.0
    for path in files:
        with path.open("rb", buffering=0) as file:
            dropped = _forget(file.fileno())
            started = time.perf_counter()
            while chunk := file.read(_CHUNK):
                read += len(chunk)
            taken += time.perf_counter() - started
        if taken > seconds or read > _MOST_READ:
            break
    how = f"{read / 2**20:.0f} MiB" + ("" if dropped else "; partly from memory")
    return Speed("disk", read / max(taken, 1e-9) / 2**20, "MiB/s", how)


def decoder(path: Path, name: str, seconds: float = 0.6) -> Speed:
    """Decode frames of an image on one core, at most ``seconds`` long but one frame at least."""
    best, number, started = float("inf"), 0, time.perf_counter()
    with open_source(path) as image:
        rows, columns = image.shape
        while not number or time.perf_counter() - started < seconds:
            begun = time.perf_counter()
            image.frame(number % image.num_frames)
            best = min(best, time.perf_counter() - begun)
            number += 1
    how = f"{rows} x {columns}, {best * 1e3:.1f} ms a frame, one core"
    return Speed(f"decode {name}", rows * columns / best / 1e6, "megapixels/s", how)


def loader(store: PreparedStore, batch: BatchConfig, augment: AugmentConfig, workers: int) -> Speed:
    """Draw training batches from a store; the files are in memory by then, where they fit."""
    sampler = _sampler(store, batch, augment)
    best = float("inf")
    for _ in range(3):
        batches = stream(sampler.uint8_batch, range(_BATCHES + 1), workers, pin=False)
        next(batches)
        started = time.perf_counter()
        for _ in batches:
            pass
        best = min(best, time.perf_counter() - started)
        if best > 4:
            break
    grid = f"{store.config.rows} x {store.config.columns}"
    return Speed("loader", _BATCHES * batch.size / best, "images/s", f"{grid}, workers={workers}")


def loader_from_disk(store: PreparedStore, batch: BatchConfig, augment: AugmentConfig, workers: int) -> Speed:
    """Draw training batches once, after asking the system to forget the store's files."""
    for path in {store.planes_path(name) for name in store.image_ids}:
        with path.open("rb") as file:
            _forget(file.fileno())
    sampler = _sampler(store, batch, augment)
    wanted = max(2, min(_BATCHES, len(store) // batch.size))
    started = time.perf_counter()
    for _ in islice(stream(sampler.uint8_batch, range(wanted), workers, pin=False), wanted):
        pass
    rate = wanted * batch.size / (time.perf_counter() - started)
    return Speed("loader, first pass", rate, "images/s", "from the disk, a store larger than the memory")


def network(
    config: TrainConfig, detector: Detector | None, device: torch.device, precision: str, seconds: float
) -> tuple[Speed, Speed]:
    """Time the forward of a prediction and a training step of the teacher.

    A slow machine would take minutes for one large image. Then a part of the grid is measured and scaled by
    its number of pixels, which the text says.

    Args:
        config: preset or run.
        detector: of a run; None builds the preset's with random weights.
        device: where.
        precision: ``32-true`` or ``bf16-mixed``.
        seconds: for all of it, about.

    Returns:
        Images a second: forward, training step.
    """
    grid = config.preprocess
    whole = grid.rows * grid.columns
    for divisor in (4, 2, 1):
        part = _part(grid, divisor)
        probe = config.model_copy(update={"preprocess": part})
        own = build_blank_detector(probe) if detector is None or divisor > 1 else detector
        share = part.rows * part.columns / whole
        size = config.batch.size if device.type == "cuda" else 1
        forward, training = _steps(probe, own.to(device), device, precision, size)
        next_share = min(1.0, 4 * share)
        if divisor == 1 or (forward + training) * next_share / share * size * 3 > seconds:
            break
    measured = f"{part.rows} x {part.columns}, batch {size}, {device.type}, {precision}"
    how = measured if share == 1 else f"{measured}, scaled to {grid.rows} x {grid.columns}"
    return (
        Speed("network, forward", share / forward, "images/s", how),
        Speed("network, training step", share / training, "images/s", how),
    )


def _steps(
    config: TrainConfig, detector: Detector, device: torch.device, precision: str, size: int
) -> tuple[float, float]:
    """Return seconds an image of a forward and of a training step, each the best of two after a warm-up."""
    rows, columns = config.preprocess.rows, config.preprocess.columns
    images = torch.rand((size, 1, rows, columns), generator=torch.Generator().manual_seed(0)).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    side = rows / 10
    boxes = [torch.tensor([[side, side, 2 * side, 2 * side]], device=device)] * size
    step = TeacherStep(detector, PointAlignment(config.impa, detector.level_specs)).to(device)
    optimizer = torch.optim.AdamW(step.parameters(), lr=0.0)

    def predict() -> None:
        detector.eval()
        with torch.inference_mode(), autocast(device, precision):
            detector.predict(detector.features(images))

    def train() -> None:
        step.train()
        with autocast(device, precision):
            loss: Tensor = total(step(TeacherBatch(images, boxes, 0)))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return _best(predict, device) / size, _best(train, device) / size


def _best(work: Callable[[], Any], device: torch.device) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _sampler(store: PreparedStore, batch: BatchConfig, augment: AugmentConfig) -> SliceBatches:
    """Return a sampler over the whole store, with the kinds of images that it has."""
    with_lesion = sum(bool(store.record(name).lesions) for name in store.image_ids)
    share = 0.0 if with_lesion == len(store) else 1.0 if not with_lesion else batch.negative_share
    wanted = batch.model_copy(update={"negative_share": share, "negatives": "both"})
    return SliceBatches(store, store.image_ids, wanted, augment, seed=0)


def _part(grid: PreprocessConfig, divisor: int) -> PreprocessConfig:
    rows, columns = (
        min(side, max(_LEAST_SIDE, side // divisor // _GRID_STEP * _GRID_STEP))
        for side in (grid.rows, grid.columns)
    )
    return grid.model_copy(update={"rows": rows, "columns": columns})


def _forget(file: int) -> bool:
    """Ask the system to forget what it holds of a file; say whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    os.fsync(file)  # what is not written yet cannot be forgotten
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    return True
