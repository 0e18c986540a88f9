"""What a GPU makes of the preset ``full``: training steps in bfloat16, their input, and volumes.

Three tables. Training: images a second and peak memory by batch size, with the share of the rate that a large
matrix product reaches in bfloat16 in the same process. Input: how long the network waits for batches from a
prepared store. Volumes: seconds from a JPEG 2000 file of 66 slices of 2457 x 1996 to detections, and how much
of it the network alone takes.

Weights and pixels are random; what is measured does not depend on them but for the boxes, and a hundredth of
the anchors passes the threshold. Without a GPU: ``--device cpu --quick`` shows that the script runs.

Run: python benchmarks/on_gpu.py --out gpu.json
     python benchmarks/on_gpu.py --device cpu --quick
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from lightning_fabric.utilities import move_data_to_device
from torch.utils.flop_counter import FlopCounterMode

from cases.networks import build, random_batch, random_detector, settings, train_once
from cases.training_input import batches_of, stores
from cases.volumes import REAL, TINY, write_volume
from comoto.detectors.device import choose_device, resolve_precision
from comoto.errors import ConfigError
from comoto.inference.model import Model
from comoto.inference.volume import detect_volume
from comoto.output_files import write_json
from comoto.training.batch import StudentBatch
from comoto.training.data import stream

PRESET = "full"
BATCHES = (1, 2, 4, 8, 16, 32)
TARGET_SECONDS = 5.0


def main() -> None:
    options = parse()
    try:
        device = choose_device(options.device)
    except ConfigError as error:
        raise SystemExit(f"{error}; it is meant for a GPU, --device cpu --quick only tries it") from error
    torch.backends.cudnn.benchmark = device.type == "cuda"
    ceiling = matmul_rate(device, options.quick)
    print(f"{where(device)}; matrix product in bfloat16: {ceiling / 1e12:.3g} TFLOP/s")
    record: dict[str, Any] = {"machine": where(device), "matmul_tflops": ceiling / 1e12}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record["training"] = training(device, options, ceiling)
        record["input"] = fed(device, options, folder)
        record["volumes"] = volumes(device, options, folder)
    if options.out:
        write_json(options.out, record)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the times say nothing")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, help="a JSON file with the figures")
    return parser.parse_args()


class Training:
    """The student's step of the preset, with the optimizer, as the loop does it."""

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device = device
        self.network = build(PRESET, quick=quick)
        self.config = self.network.config
        self.step = self.network.step(teacher_head=False).to(device)
        self.precision = resolve_precision("auto", device)

    def once(self, batch: StudentBatch[torch.Tensor]) -> None:
        """Do one step."""
        train_once(self.step, batch, self.network, self.precision)


def training(device: torch.device, options: argparse.Namespace, ceiling: float) -> list[dict[str, Any]]:
    """Return a row a batch size, until the memory is full."""
    work, rows = Training(device, options.quick), []
    for size in BATCHES[:2] if options.quick else BATCHES:
        batch = move_data_to_device(random_batch(work.config, size), device)
        forget_peak(device)
        try:
            with FlopCounterMode(display=False) as counter:
                work.once(batch)
            seconds = timed(device, lambda batch=batch: work.once(batch), options.steps)  # type: ignore[misc]
        except torch.OutOfMemoryError:
            print(f"  training, {size} slices a step: more memory than there is")
            rows.append({"slices": size, "fits": False})
            break
        images = size + (0 if batch.joint is None else len(batch.joint))
        rate = counter.get_total_flops() / seconds
        row = {
            "slices": size,
            "images": images,
            "fits": True,
            "seconds": seconds,
            "images_per_second": images / seconds,
            "tflops": rate / 1e12,
            "share_of_matmul": rate / ceiling,
            "peak_gib": peak_gib(device),
        }
        rows.append(row)
        print(
            f"  training, {size} slices and {images - size} mammograms a step: {images / seconds:.1f} "
            f"images/s, {100 * rate / ceiling:.0f} % of the matrix product's rate, {row['peak_gib']:.1f} GiB"
        )
    return rows


def fed(device: torch.device, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return what share of the time the network waits for batches that are loaded from a store."""
    work, rows = Training(device, options.quick), []
    kept = stores(folder / "stores", PRESET, quick=options.quick)
    make = batches_of(work.config, *kept)
    for workers in (0, 2, 8):
        batches = stream(make, range(options.steps + 2), workers, pin=device.type == "cuda")
        waited, everything = waiting(work, batches)
        rows.append({"workers": workers, "seconds": everything, "waited": waited})
        print(
            f"  input, workers={workers}: a step {everything:.4f} s, "
            f"{100 * waited / everything:.1f} % of it waiting for its batch"
        )
    return rows


def waiting(work: Training, batches: Iterator[Any]) -> tuple[float, float]:
    """Return seconds of waiting for a batch and of the whole step, medians, without the first two steps."""
    waits, steps = [], []
    while True:
        begun = time.perf_counter()
        parts = next(batches, None)
        if parts is None:
            return median(waits[2:]), median(steps[2:])
        waits.append(time.perf_counter() - begun)
        work.once(move_data_to_device(parts, work.device).expanded())
        settle(work.device)
        steps.append(time.perf_counter() - begun)


def volumes(device: torch.device, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return seconds of a volume by batch size, and of the network alone."""
    config = settings(PRESET, quick=options.quick)
    detector = random_detector(config).to(device)
    precision = resolve_precision("auto", device)
    model = Model(detector, config, device, precision, "gpu", "")
    slices, shape = (10, TINY) if options.quick else (66, REAL)
    path = write_volume(folder / "volume.dcm", slices, shape)
    rows = []
    for size in BATCHES[:2] if options.quick else BATCHES:
        inference = config.inference.model_copy(update={"batch_size": size})
        pixels = torch.zeros(size, 1, config.preprocess.rows, config.preprocess.columns, dtype=torch.uint8)
        forget_peak(device)
        try:
            whole = timed(device, lambda c=inference: detect_volume(model, path, None, c), 3)  # type: ignore[misc]
            with torch.inference_mode():
                alone = timed(device, lambda p=pixels: model.found(p), 5) * slices / size  # type: ignore[misc]
        except torch.OutOfMemoryError:
            print(f"  volume, {size} slices at once: more memory than there is")
            rows.append({"batch": size, "fits": False})
            break
        row = {"batch": size, "fits": True, "seconds": whole, "network": alone, "peak_gib": peak_gib(device)}
        rows.append(row)
        print(
            f"  volume of {slices} slices, {size} at once: {whole:.2f} s with decoding (target "
            f"{TARGET_SECONDS:.0f} s), the network alone {alone:.2f} s, {row['peak_gib']:.1f} GiB"
        )
    return rows


def matmul_rate(device: torch.device, quick: bool) -> float:
    """Return the best FLOP/s of a large matrix product in bfloat16."""
    side = 256 if quick else 8192
    one = torch.rand(side, side, device=device, dtype=torch.bfloat16)
    return 2 * side**3 / timed(device, lambda: one @ one, 10)


def timed(device: torch.device, work: Callable[[], Any], rounds: int) -> float:
    """Return the median seconds of some work, after a warm-up."""
    work()
    settle(device)
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        settle(device)
        seconds.append(time.perf_counter() - begun)
    return median(seconds)


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def forget_peak(device: torch.device) -> None:
    """Begin to measure memory anew."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gib(device: torch.device) -> float:
    """Return the largest memory that the device needed; 0 for a CPU, which does not tell."""
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0


def where(device: torch.device) -> str:
    """Name the device and torch."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    return f"{name}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
