"""Seconds and memory of one training step of a preset, teacher (ImPA) and student (LsKD), on random pixels.

Run: python benchmarks/training_step.py --preset demo
     python benchmarks/training_step.py --preset full --batch 1 --steps 3
"""

import argparse
import resource
import time

import torch

from comoto import components
from comoto.config import load_train_config
from comoto.detectors.checkpoint import build_detector
from comoto.detectors.device import autocast, choose_device, resolve_precision
from comoto.distill.impa import PointAlignment
from comoto.training.batch import StudentBatch, TeacherBatch
from comoto.training.steps import StudentStep, TeacherStep, total


def time_step(
    step: torch.nn.Module,
    batch: TeacherBatch | StudentBatch,
    steps: int,
    device: torch.device,
    precision: str,
) -> tuple[float, float]:
    """Return mean wall and CPU seconds of a step, after one warm-up."""
    optimizer = torch.optim.AdamW(step.parameters(), lr=1e-5)
    step.train()
    for number in range(steps + 1):
        if number == 1:
            wall, cpu = time.perf_counter(), time.process_time()
        with autocast(device, precision):
            loss = total(step(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--batch", type=int, default=None, help="images per step; default: the preset's")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    config = load_train_config(
        options.preset, ["distill.kind=lesion_points", "init=scratch", f"precision={options.precision}"]
    )
    device = choose_device("auto")
    precision = resolve_precision(config.precision, device)
    size = options.batch or config.batch.size
    height, width = config.preprocess.rows, config.preprocess.columns
    detector, teacher = build_detector(config).to(device), build_detector(config).to(device)
    distiller = components.resolve("distiller", "lesion_points")(
        config.distill, detector.level_specs, (height, width)
    )
    print(
        f"{options.preset}: {sum(p.numel() for p in detector.parameters()):,} parameters, {size} images of "
        f"{height} x {width}, {device}, {precision}, {options.threads} threads"
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(size, 1, height, width, generator=generator).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    side = height // 10
    boxes = [torch.tensor([[40.0, 40.0, 40.0 + side, 40.0 + side]], device=device)] * size
    for name, step, batch in (
        (
            "teacher",
            TeacherStep(detector, PointAlignment(config.impa, detector.level_specs)),
            TeacherBatch(images, boxes, 0),
        ),
        (
            "student",
            StudentStep(detector, distiller.to(device), teacher),
            StudentBatch(images, boxes, images, boxes),
        ),
    ):
        wall, cpu = time_step(step, batch, options.steps, device, precision)
        print(f"  {name}: {wall / size:.4f} s wall, {cpu / size:.4f} CPU s per image, {options.steps} steps")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  peak memory of the process {peak:.2f} GiB", end="")
    if device.type == "cuda":
        print(f", of the GPU {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB", end="")
    print()


if __name__ == "__main__":
    main()
