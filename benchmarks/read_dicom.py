"""Time and memory of reading single slices from a volume of realistic size.

Compares ``comoto.dicom`` with pydicom's whole-file decoding on a simulated 60 x 2457 x 1890 volume.
Run: python benchmarks/read_dicom.py [--frames 60]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

ROWS, COLUMNS = 2457, 1890


def volume(frames: int) -> np.ndarray:
    """Smooth tissue with noise inside a half disc, 10 bits, about half air."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
    inside = (x / 1250) ** 2 + ((y - ROWS / 2) / 1150) ** 2 < 1
    generator = np.random.default_rng(0)
    slices = []
    for k in range(frames):
        tissue = 450 + 120 * np.sin(x / 90 + k / 7) * np.cos(y / 130) + generator.normal(0, 12, x.shape)
        slices.append(np.where(inside, np.clip(tissue, 0, 1023), 0).astype(np.uint16))
    return np.stack(slices)


def one_lazy(path: Path) -> None:
    from comoto.dicom.read import DicomImage

    with DicomImage(path) as image:
        image.frame(image.num_frames // 2)


def all_lazy(path: Path) -> None:
    from comoto.dicom.read import DicomImage

    with DicomImage(path) as image:
        for _ in image.frames():
            pass


def header(path: Path) -> None:
    from comoto.dicom.read import read_header

    read_header(path)


def whole(path: Path) -> None:
    import warnings

    from pydicom import dcmread

    warnings.simplefilter("ignore")
    _ = dcmread(path).pixel_array


def in_new_process(task: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process: peak memory then is that of the task, and this process stays small."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, arguments)


def write(folder: Path, codec: str, frames: int) -> Path:
    from dicom_files import write_dicom

    return write_dicom(folder / f"{codec}.dcm", volume(frames), codec)


def measure(task: Callable[[Path], None], path: Path) -> tuple[float, float]:
    """Seconds and peak MiB of a task; a short one is timed on its second run."""
    logging.disable(logging.WARNING)
    if task is not whole:
        task(path)
    started = time.perf_counter()
    task(path)
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    arguments = parser.parse_args()
    tasks = {
        "header": header,
        "one slice": one_lazy,
        "all slices": all_lazy,
        "pydicom, whole file": whole,
    }
    print(f"{arguments.frames} frames of {ROWS} x {COLUMNS}")
    print(f"{'syntax':<8}{'task':<22}{'seconds':>9}{'peak MiB':>10}{'file MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for codec in ("j2k", "ljpeg", "jpegls", "htj2k", "raw"):
            path = in_new_process(write, Path(folder), codec, arguments.frames)
            for name, task in tasks.items():
                if task is whole and codec not in ("j2k", "raw"):
                    continue
                seconds, peak = in_new_process(measure, task, path)
                size = path.stat().st_size / 1e6
                print(f"{codec:<8}{name:<22}{seconds:>9.3f}{peak:>10.0f}{size:>9.1f}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
