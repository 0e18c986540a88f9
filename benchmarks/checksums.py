"""What knowing content whole and checking checksums cost: preparing, reading a store, saving a run's state.

Volumes and mammograms are simulated at the size of real ones, in the codecs that people have. Both sides are
measured in this run, in turns, and the best of the repetitions counts. Run:
python benchmarks/checksums.py [--rows 1024 --columns 512] [--repeats 5]
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from comoto.checksums import sealed_file, unseal_bytes
from comoto.config import PreprocessConfig, load_train_config
from comoto.detectors.checkpoint import build_blank_detector
from comoto.preprocessing import plan_image
from comoto.preprocessing.fingerprint import fingerprint
from comoto.preprocessing.planes import PlanesInfo, map_planes, planes_files, sound_info, write_planes
from comoto.records import Laterality, Modality
from comoto.sources import open_source
from comoto.training.record import STATE_FORMAT
from dicom_files import write_dicom

FRAMES = {"volume": 8, "mammogram": 1}
SHAPE = (2457, 1890)


def best(work: Callable[[], Any], repeats: int) -> float:
    """Return the least number of seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def breast(frames: int) -> np.ndarray:
    """Return frames of 10 bits, half of them air."""
    rows, columns = SHAPE
    y, x = np.mgrid[:rows, :columns]
    inside = (x / (0.7 * columns)) ** 2 + ((y - rows / 2) / (0.4 * rows)) ** 2 < 1
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 120, SHAPE), (0, 0), 2)
    frame = np.where(inside, np.clip(500 + noise, 1, 1023), 0).astype(np.uint16)
    return np.stack([np.roll(frame, 8 * number, axis=0) for number in range(frames)])


def of_source(path: Path, what: str, config: PreprocessConfig, repeats: int) -> PlanesInfo:
    """Print what the fingerprint takes beside preparing, and return how the image was rendered."""
    modality = Modality.TOMOSYNTHESIS if what == "volume" else Modality.MAMMOGRAM

    def prepared() -> None:
        with open_source(path) as image:
            plan = plan_image(image, Laterality.LEFT, modality, config)
            for frame in image.frames(None, plan.halvings):
                plan.render(frame)

    whole, rendering = best(lambda: fingerprint(path), repeats), best(prepared, repeats)
    size = path.stat().st_size / 2**20
    print(
        f"{path.stem:<24}{size:7.1f} MiB: prepare {rendering * 1e3:6.0f} ms, hash {whole * 1e3:4.0f} ms,"
        f" {whole / rendering:6.1%} more; {size / whole:6.0f} MiB/s",
        flush=True,
    )
    with open_source(path) as image:
        plan = plan_image(image, Laterality.LEFT, modality, config)
        return PlanesInfo(plan, image.num_frames, np.arange(image.num_frames))


def of_planes(store: Path, info: PlanesInfo, repeats: int) -> None:
    """Print what the checksum of planes takes in writing, at first use, and in another run."""
    planes = np.random.default_rng(0).integers(0, 256, info.shape, dtype=np.uint8)
    key = "0" * 40
    writing = best(lambda: write_planes(store, key, info, planes), repeats)
    hashing = best(lambda: [hashlib.sha256(plane.data).hexdigest() for plane in planes], repeats)
    mapped = map_planes(planes_files(store, key)[0], info.shape)
    copying = best(lambda: [plane.copy() for plane in mapped], repeats)
    again = best(lambda: sound_info(store, key), repeats)
    count = len(planes)
    print(
        f"a plane of {info.shape[1]} x {info.shape[2]}: written in {writing / count * 1e3:.2f} ms, of which "
        f"checksum {hashing / count * 1e3:.2f} ms; copied in {copying / count * 1e3:.2f} ms, checked at its "
        f"first use in {hashing / count * 1e3:.2f} ms, by 'comoto prepare' in {again / count * 1e3:.2f} ms"
    )


def of_state(folder: Path, preset: str, repeats: int) -> None:
    """Print what the seal of a run's state takes beside saving it, and in a resumed run."""
    detector = build_blank_detector(load_train_config(preset))
    weights = detector.state_dict()
    content = {"step": weights, "optimizer": {name: [value, value] for name, value in weights.items()}}
    plain, sealed = folder / "plain.pt", folder / "sealed.pt"

    def save() -> None:
        with sealed_file(sealed, STATE_FORMAT) as payload:
            torch.save(content, payload)

    saving, with_seal = (best(work, repeats) for work in (lambda: torch.save(content, plain), save))
    read = sealed.read_bytes()
    checking = best(lambda: unseal_bytes(STATE_FORMAT, read), repeats)
    loading = best(lambda: torch.load(plain, weights_only=True), repeats)
    print(
        f"state of '{preset}', {sealed.stat().st_size / 2**20:.0f} MiB: saved in {saving * 1e3:.0f} ms, with "
        f"its seal {with_seal * 1e3:.0f} ms ({with_seal / saving:.2f}x); read in {loading * 1e3:.0f} ms and "
        f"checked in {checking * 1e3:.0f} ms",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    config = PreprocessConfig(rows=arguments.rows, columns=arguments.columns)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for preset in ("demo", "small", "paper"):
            of_state(folder, preset, arguments.repeats)
        for what, frames in FRAMES.items():
            pixels = breast(frames)
            for codec in ("j2k", "jpegls", "raw"):
                stored = pixels if frames > 1 else pixels[0]
                path = write_dicom(folder / f"{what}, {codec}.dcm", stored, codec, bits_stored=10)
                info = of_source(path, what, config, arguments.repeats)
            if what == "volume":
                of_planes(folder / "store", info, arguments.repeats)


if __name__ == "__main__":
    main()
