"""The network of a prediction on different back ends, side by side: torch, torch folded, ONNX Runtime.

All take the same uint8 pictures and end with the detections, in one process, in turn, with the same number of
threads. Weights are random; what is compared are seconds and how far the detections are from plain torch.
CPU seconds are of the whole process: on a busy machine they say more than the clock.

Run: python benchmarks/inference_backends.py --preset small [--rounds 9] [--batch 4] [--threads 1]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.fx.experimental.optimization import fuse

from comoto import api
from comoto.config import load_train_config
from comoto.detections import Detections
from comoto.detectors.checkpoint import About, build_blank_detector, load_checkpoint, save_checkpoint
from comoto.detectors.device import resolve_precision
from comoto.inference.model import Model

CPU = torch.device("cpu")


class Case(NamedTuple):
    """One back end, and what it took: CPU seconds and wall seconds of each round."""

    name: str
    model: Model
    spent: list[tuple[float, float]]


def random_run(folder: Path, preset: str, settings: list[str]) -> None:
    """Write an untrained run whose batch norms have seen pictures, so that folding them changes something."""
    config = load_train_config(preset, ["precision=32-true", *settings])
    torch.manual_seed(0)
    detector = build_blank_detector(config).train()
    with torch.no_grad():
        for _ in range(3):
            detector.features(torch.rand(2, 1, config.preprocess.rows // 2, config.preprocess.columns // 2))
        detector.net.head.classification_head.cls_logits.weight.mul_(20)  # scores that differ
    save_checkpoint(folder, detector.eval(), config, About("student", 1, {}))


def torch_model(run: Path, *, folded: bool, last: bool, precision: str) -> Model:
    """Load a run as plain torch, without what ``load_model`` does to it, and change it as named."""
    checkpoint = load_checkpoint(run)
    detector = checkpoint.detector
    if folded:
        detector.net.backbone.backbone.body = fuse(detector.net.backbone.backbone.body)
    if last:
        detector = detector.to(memory_format=torch.channels_last)
    return Model(detector, checkpoint.config, CPU, precision, run.name, checkpoint.sha256)


def cases(run: Path) -> dict[str, Callable[[], Model]]:
    """Name every back end, plain torch first."""
    precisions = ["32-true"]
    if resolve_precision("auto", CPU) == "bf16-mixed":
        precisions.append("bf16-mixed")
    named: dict[str, Callable[[], Model]] = {}
    for precision in precisions:
        for folded in (False, True):
            for last in (False, True):
                name = f"torch {precision}{' folded' * folded}{' channels-last' * last}"
                named[name] = lambda p=precision, f=folded, c=last: torch_model(
                    run, folded=f, last=c, precision=p
                )
    named["comoto.load_model"] = lambda: api.load_model(run, "cpu")
    file = run.with_suffix(".onnx")
    named["onnxruntime"] = lambda: api.load_model(api.export_onnx(run, file).path, "cpu")
    return named


def distance(found: list[Detections], plain: list[Detections]) -> str:
    """Say how far detections are from those of plain torch.

    Scores of random weights lie so close that detections change places, so each is compared with the nearest.
    """
    boxes, scores, lost = [0.0], [0.0], 0
    for one, other in zip(found, plain, strict=True):
        apart = np.abs(other.boxes_xyxy[:, None] - one.boxes_xyxy[None]).max(axis=2)
        nearest = apart.argmin(axis=1)
        near = apart.min(axis=1) <= 1
        lost += int((~near).sum())
        boxes.extend(apart.min(axis=1)[near])
        scores.extend(np.abs(other.scores - one.scores[nearest])[near])
    return f"{max(boxes):.0e} px, {max(scores):.0e}, {lost} of {sum(len(one.scores) for one in plain)} lost"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="small")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--only", nargs="+", default=[], help="names of back ends besides plain torch")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        run.mkdir()
        random_run(run, options.preset, options.settings)
        known = cases(run)
        plain = next(iter(known))
        wanted = [name for name in known if name == plain or not options.only or name in options.only]
        todo = [Case(name, known[name](), []) for name in wanted]
        grid = todo[0].model.config.preprocess
        generator = np.random.default_rng(0)
        shape = (options.batch, grid.rows, grid.columns)
        pictures = list(generator.integers(0, 256, shape, dtype=np.uint8))
        found = [case.model.detect(pictures) for case in todo]  # warm-up
        for _ in range(options.rounds):
            for case in todo:
                cpu, wall = time.process_time(), time.perf_counter()
                case.model.detect(pictures)
                case.spent.append((time.process_time() - cpu, time.perf_counter() - wall))
    print(f"{options.preset} {options.settings}, batch {options.batch}, {options.threads} threads")
    print("| back end | CPU s | wall s | plain torch / it (CPU) | from plain torch |\n|---|---|---|---|---|")
    medians = [[statistics.median(part) for part in zip(*case.spent, strict=True)] for case in todo]
    for case, (cpu, wall), one in zip(todo, medians, found, strict=True):
        ratio = statistics.median(a[0] / b[0] for a, b in zip(todo[0].spent, case.spent, strict=True))
        print(f"| {case.name} | {cpu:.3f} | {wall:.3f} | {ratio:.2f} | {distance(one, found[0])} |")


if __name__ == "__main__":
    main()
