"""Images a second from a prepared store to a batch in memory, in parts, beside memcpy of the same run.

A store of 2048 x 1024 planes is written first (about 1 MB an image a slice). Each figure is the best of
several repetitions, for other work on the machine only ever slows it down. "cold" means that the store's
pages were dropped from the page cache by posix_fadvise before each repetition; a disk's own cache remains.
"of memcpy" compares a byte a pixel of the grid with copying as many bytes that no cache holds.

Run: python benchmarks/store.py [--images 48] [--rows 2048 --columns 1024] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from comoto.config import AugmentConfig, BatchConfig, PreprocessConfig
from comoto.geometry import Chain
from comoto.preprocessing import Plan, PreparedStore
from comoto.preprocessing.planes import PlanesInfo, write_planes
from comoto.preprocessing.sampling import SliceBatches
from comoto.preprocessing.slices import PrepareOptions
from comoto.preprocessing.store_folder import finish, open_folder
from comoto.records import IMAGE_COLUMNS, LESION_COLUMNS, Laterality, Manifest
from comoto.training.data import stream

PLANES = 2
BATCH = 8


def make_store(folder: Path, config: PreprocessConfig, images: int) -> PreparedStore:
    """Write a store of half a breast, noise inside and air outside, as wide as BCS-DBT's are on average."""
    shape = (config.rows, config.columns * 7 // 8)
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = (x / (0.9 * shape[1])) ** 2 + ((y - shape[0] / 2) / (0.45 * shape[0])) ** 2 < 1
    generator = np.random.default_rng(0)
    info = PlanesInfo(
        Plan(Chain(shape), Chain(shape), (0.0, 255.0), "file", Laterality.LEFT), PLANES, np.arange(PLANES)
    )
    open_folder(folder, "benchmark", config, PrepareOptions())
    rows, lesions, keys = [], [], {}
    for number in range(images):
        name, key = f"image{number}", f"{number:040x}"
        texture = generator.integers(40, 250, (PLANES, *shape), dtype=np.uint8)
        write_planes(folder, key, info, list(texture * inside))
        keys[name] = key
        rows.append(
            {
                "image_id": name, "modality": "tomosynthesis", "patient_id": name, "study_id": "s",
                "view_key": "lcc", "laterality": "L", "view": "CC", "split": "train", "label": "cancer",
                "path": "none", "num_slices": PLANES,
            }
        )  # fmt: skip
        if number % 2 == 0:
            lesions.append((name, 100.0, 400.0, 200.0, 500.0, 0, "cancer"))
    manifest = Manifest(
        "benchmark",
        pd.DataFrame(rows, columns=list(IMAGE_COLUMNS)),
        pd.DataFrame(lesions, columns=list(LESION_COLUMNS)),
    )
    finish(folder, manifest, keys)
    os.sync()
    return PreparedStore(folder)


def best(
    work: Callable[[], Any], images: int, repeats: int, before: Callable[[], Any] | None = None
) -> tuple[float, float]:
    """Return images a second, and images a second of processor time, each of its best repetition."""
    wall = cpu = float("inf")
    for _ in range(repeats):
        if before is not None:
            before()
        started, used = time.perf_counter(), time.process_time()
        work()
        wall = min(wall, time.perf_counter() - started)
        cpu = min(cpu, time.process_time() - used)
    return images / wall, images / cpu


def drop_from_cache(store: PreparedStore) -> None:
    for path in {store.planes_path(name) for name in store.image_ids}:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def memcpy(repeats: int) -> float:
    """Return bytes a second of copying 256 MiB that no cache holds."""
    source = np.ones(256 * 2**20, dtype=np.uint8)
    target = np.empty_like(source)
    np.copyto(target, source)
    return best(lambda: np.copyto(target, source), 256 * 2**20, repeats)[0]


def consume(make: Callable[[int], Any], steps: int, workers: int) -> None:
    for _ in stream(make, range(steps), workers, pin=False):
        pass


def measure(store: PreparedStore, repeats: int, workers: int) -> dict[str, tuple[float, float]]:
    """Return images a second by wall clock and by processor time, by name."""
    images = len(store)
    steps = images // BATCH
    found: dict[str, tuple[float, float]] = {}
    for name, augment in (("as stored", None), ("augmented", AugmentConfig())):
        sampler = SliceBatches(store, store.image_ids, BatchConfig(size=BATCH), augment, seed=0)
        for kind, make in (("bytes", sampler.uint8_batch), ("float32", sampler.batch)):
            once = partial(consume, make, steps, 0)
            once()
            found[f"{kind}, {name}, warm"] = best(once, images, repeats)
            found[f"{kind}, {name}, cold"] = best(once, images, repeats, partial(drop_from_cache, store))
            if workers:
                ahead = partial(consume, make, 4 * steps, workers)
                found[f"{kind}, {name}, warm, {workers} threads"] = best(ahead, 4 * images, repeats)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--folder", type=Path, help="where the store is written; a temporary folder if not given"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = PreprocessConfig(rows=arguments.rows, columns=arguments.columns)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        store = make_store(Path(name) / "store", config, arguments.images)
        speed = memcpy(arguments.repeats)
        found = measure(store, arguments.repeats, arguments.workers)
    size = arguments.rows * arguments.columns
    print(f"memcpy {speed / 1e9:.2f} GB/s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'':<40}{'images/s':>10}{'per CPU s':>12}{'of memcpy':>12}")
    for kind, (wall, cpu) in found.items():
        print(f"{kind:<40}{wall:>10.0f}{cpu:>12.0f}{wall * size / speed:>12.3f}")
    print(json.dumps({"memcpy_bytes_per_s": speed, **found}))


if __name__ == "__main__":
    main()
