"""Time of preparing images and of drawing training batches, in parts.

Without a manifest it first simulates two volumes of realistic size, which takes some minutes.
Run: python benchmarks/prepare.py [--manifest manifests/bcs-dbt] [--rows 512 --columns 256] [--workers 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from comoto.config import AugmentConfig, BatchConfig, PreprocessConfig
from comoto.dicom.read import DicomImage
from comoto.preprocessing import PreparedStore, plan_image, prepare
from comoto.preprocessing.sampling import SliceBatches
from comoto.records import ImageRecord, Manifest


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def simulated_manifest(folder: Path, size: str) -> Manifest:
    from comoto.datasets import index
    from comoto.simulation import simulate, sized
    from comoto.simulation.config import MammographyConfig, TomosynthesisConfig

    config = sized(
        size,
        mammography=MammographyConfig(training_patients=0, test_patients=0),
        tomosynthesis=TomosynthesisConfig(
            train_patients=2, validation_patients=0, test_patients=0, lesion_share=1.0, views_per_study=1
        ),
    )
    return index("bcs-dbt", simulate(folder, config).bcs_dbt)


def one_image(record: ImageRecord, config: PreprocessConfig) -> None:
    with DicomImage(record.path) as image:
        planning, plan = seconds(lambda: plan_image(image, record.laterality, record.modality, config))
        count = image.header.num_frames
        decoding, frames = seconds(lambda: [image.frame(index) for index in range(0, count, 8)])
    rendering, _ = seconds(lambda: [plan.render(frame) for frame in frames])
    print(f"one image: {count} frames, stored {plan.stored_shape}, grid {plan.grid_shape}")
    print(f"  plan    {planning * 1e3:8.1f} ms (decodes up to 4 frames)")
    print(f"  decode  {decoding / len(frames) * 1e3:8.1f} ms a frame")
    print(f"  render  {rendering / len(frames) * 1e3:8.1f} ms a frame")


def batches(store: PreparedStore, steps: int) -> None:
    sampler = SliceBatches(store, store.image_ids, BatchConfig(size=8), AugmentConfig(), seed=0)
    sampler.batch(0)
    took, _ = seconds(lambda: [sampler.batch(step) for step in range(steps)])
    print(f"batch of 8 on {store.config.rows} x {store.config.columns}: {took / steps * 1e3:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path)
    parser.add_argument("--size", default="full", help="of the simulated volumes")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--columns", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    config = PreprocessConfig(rows=arguments.rows, columns=arguments.columns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = arguments.manifest
        manifest = Manifest.load(given) if given else simulated_manifest(folder / "simulated", arguments.size)
        one_image(next(manifest.records()), config)
        took, store = seconds(lambda: prepare(manifest, folder / "store", config, workers=arguments.workers))
        planes = sum(len(store.slice_indices(image_id)) for image_id in store.image_ids)
        print(f"prepare: {len(store)} images, {planes} planes, {arguments.workers} workers: {took:.1f} s")
        batches(store, 50)


if __name__ == "__main__":
    main()
