"""Means of speed that were tried, each beside what the package does now: what it gives, and what it changes.

Both sides of a trial run in one process, in turns, on the same inputs and threads; random weights, random
pixels. What came out, and what was taken up, stands in docs/performance.md.

Run: python benchmarks/speed_trials.py
     python benchmarks/speed_trials.py --trial compile_step --preset demo --precision 32-true
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from torch import nn

from cases import table
from cases.child_steps import ChildSide, Stepped, steps_in_child
from cases.harness import Side, in_turns
from cases.networks import Network, build, random_batch, random_detector, settings, slices_a_step, train_once
from cases.volumes import REAL, TINY, write_volume
from comoto.detectors.base import Detector
from comoto.detectors.device import channels_last, resolve_precision
from comoto.inference.model import Model
from comoto.preprocessing.plan import plan_image
from comoto.records import Modality
from comoto.sources import open_source, parallel

CPU = torch.device("cpu")


@dataclass
class Trial:
    """What was tried and what came out.

    Attributes:
        now, tried: the two ways in words.
        sides: the two ways, timed.
        started: seconds before the first result of the tried way, such as those of a compiler.
        change: what the tried way changes in the result, given both results.
    """

    name: str
    now: str
    tried: str
    sides: dict[str, Side]
    started: float = 0.0
    change: Callable[[Any, Any], str] = lambda now, tried: f"{abs(now - tried) / abs(now):.0e} of the loss"

    def line(self) -> str:
        """Return a row of the table."""
        now, tried = self.sides["now"], self.sides["tried"]
        cpu = now.times.cpu / max(tried.times.cpu, 1e-9)
        wall = now.times.wall / max(tried.times.wall, 1e-9)
        start = f"{self.started:.0f} s" if self.started >= 1 else ""
        return (
            f"| {self.name} | {self.now} | {self.tried} | {now.times.cpu:.3g} ({now.times.wall:.3g}) | "
            f"{tried.times.cpu:.3g} ({tried.times.wall:.3g}) | {cpu:.2f}x ({wall:.2f}x) | {start} | "
            f"{self.change(now.result, tried.result)} |"
        )


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    options.precision = resolve_precision(options.precision, CPU)
    print(f"{table.described(table.machine(options.threads))}")
    print(f"preset {options.preset}, {options.precision}, medians of {options.rounds} rounds\n")
    print("| trial | now | tried | now, CPU s (wall) | tried, CPU s (wall) | ratio | first call | changes |")
    print("|---|---|---|---:|---:|---:|---:|---|")
    for name in options.trial or TRIALS:
        with TRIALS[name](options) as trial:
            trial.name = name
            warm = {key: clocked(side.work) for key, side in trial.sides.items()}
            for side in trial.sides.values():
                side.work()  # once more: memory is laid out by now
            trial.started = warm["tried"] - warm["now"]
            in_turns(trial.sides, options.minutes)
            print(trial.line(), flush=True)
        torch.compiler.reset()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trial", choices=TRIALS, action="append", help="only this one; may be repeated")
    parser.add_argument("--preset", default="small", choices=("demo", "small", "full", "paper"))
    parser.add_argument("--precision", default="auto", choices=("auto", "32-true", "bf16-mixed"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--minutes", type=float, default=10, help="a trial starts no further round after this"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    return parser.parse_args()


def clocked(work: Callable[[], Any]) -> float:
    """Return the wall seconds of the first call, the warm-up."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def two(options: argparse.Namespace, now: Callable[[], Any], tried: Callable[[], Any]) -> dict[str, Side]:
    return {"now": Side(now, options.rounds), "tried": Side(tried, options.rounds)}


def one_step(network: Network, precision: str) -> Callable[[], float]:
    """Return a training step of a network; the learning rate is 0, so that every step has the same loss."""
    batch = random_batch(network.config, slices_a_step(network.config))
    step = network.step(teacher_head=False)
    return lambda: train_once(step, batch, network, precision)


def compiled_features(detector: Detector) -> None:
    """Let torch.compile make one program of backbone and neck; losses and boxes depend on the data."""
    detector.net.backbone = torch.compile(detector.net.backbone)  # type: ignore[assignment,union-attr]


@contextmanager
def compile_step(options: argparse.Namespace) -> Iterator[Trial]:
    now, tried = build(options.preset, quick=options.quick), build(options.preset, quick=options.quick)
    compiled_features(tried.detector)
    compiled_features(tried.teacher)
    sides = two(options, one_step(now, options.precision), one_step(tried, options.precision))
    yield Trial("", "training step", "`torch.compile` of backbone and neck", sides)


@contextmanager
def compile_prediction(options: argparse.Namespace) -> Iterator[Trial]:
    now = predictor(options)
    tried = replace(now, detector=deepcopy(now.detector))
    compiled_features(tried.detector)
    tried.detector.net.head = torch.compile(tried.detector.net.head)  # type: ignore[assignment,union-attr]
    sides = two(options, *(detecting(model, options) for model in (now, tried)))
    yield Trial(
        "", "prediction, 4 slices", "`torch.compile` of backbone, neck and head", sides, change=moved_boxes
    )


@contextmanager
def bfloat16_step(options: argparse.Namespace) -> Iterator[Trial]:
    network = build(options.preset, quick=options.quick)
    sides = two(options, one_step(network, "32-true"), one_step(network, "bf16-mixed"))
    yield Trial("", "training step, float32", "bfloat16 (`precision: auto` where it is computed)", sides)


@contextmanager
def bfloat16_prediction(options: argparse.Namespace) -> Iterator[Trial]:
    now = replace(predictor(options), precision="32-true")
    tried = replace(now, precision="bf16-mixed")
    sides = two(options, *(detecting(model, options) for model in (now, tried)))
    yield Trial(
        "",
        "prediction, 4 slices, float32",
        "bfloat16 (`precision: auto` where it is computed)",
        sides,
        change=moved_boxes,
    )


@contextmanager
def fused_optimizer(options: argparse.Namespace) -> Iterator[Trial]:
    now, tried = build(options.preset, quick=options.quick), build(options.preset, quick=options.quick)
    kind, groups = type(tried.optimizer), [dict(one) for one in tried.optimizer.param_groups]
    for one in groups:
        one.pop("fused", None)
        one.pop("foreach", None)
    one_step(now, options.precision)()
    one_step(tried, options.precision)()  # for the gradients
    fused = kind(groups, fused=True)
    sides = two(options, stepping(now.optimizer), stepping(fused))
    yield Trial(
        "", "ten updates of the weights", f"`{kind.__name__}(fused=True)`", sides, change=fused_errors
    )


@contextmanager
def ordered_weights(options: argparse.Namespace) -> Iterator[Trial]:
    now, tried = build(options.preset, quick=options.quick), build(options.preset, quick=options.quick)
    sides = two(options, one_step(now, options.precision), one_step(tried, options.precision))
    for network, order in ((now, torch.contiguous_format), (tried, torch.channels_last)):
        for part in (network.detector, network.teacher, network.distiller):
            for weights in part.parameters():  # the step has laid out some of them
                kernel = weights.dim() == 4
                weights.data = weights.data.clone(memory_format=order if kernel else torch.contiguous_format)
    yield Trial("", "training step", "kernels channels-last (taken up, but for the largest)", sides)


@contextmanager
def keep_memory(options: argparse.Namespace) -> Iterator[Trial]:
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        for name, keep in (("now", False), ("tried", True)):
            child = steps_in_child(
                options.preset, options.precision, options.threads, keep=keep, quick=options.quick
            )
            sides[name] = ChildSide(stack.enter_context(child), options.rounds)
        words = "memory kept from step to step (taken up)"
        yield Trial("", "training step, in a process of its own", words, sides, change=more_memory)


@contextmanager
def plan_in_parallel(options: argparse.Namespace) -> Iterator[Trial]:
    config = settings(options.preset, quick=options.quick).preprocess
    with tempfile.TemporaryDirectory() as folder:
        path = write_volume(Path(folder) / "volume.dcm", 20, TINY if options.quick else REAL)
        with open_source(path) as image:

            def planned(cores: int) -> dict[str, Any]:
                before, parallel.MOST_THREADS = parallel.MOST_THREADS, cores
                try:
                    return plan_image(image, None, Modality.TOMOSYNTHESIS, config).to_json()
                finally:
                    parallel.MOST_THREADS = before

            sides = two(options, lambda: planned(1), lambda: planned(8))
            yield Trial(
                "",
                "plan of a volume, its frames one after the other",
                "on all cores (taken up)",
                sides,
                change=lambda now, tried: "nothing" if now == tried else "**the plan**",
            )


def predictor(options: argparse.Namespace) -> Model:
    config = settings(options.preset, quick=options.quick)
    detector = random_detector(config)
    channels_last(detector)
    return Model(detector, config, CPU, options.precision, "trial", "")


def detecting(model: Model, options: argparse.Namespace) -> Callable[[], Any]:
    grid = model.config.preprocess
    pixels = np.random.default_rng(0).integers(0, 256, (4, grid.rows, grid.columns), dtype=np.uint8)
    return lambda: model.detect(list(pixels))


def stepping(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    def ten() -> None:
        for _ in range(10):
            optimizer.step()

    return ten


def moved_boxes(now: list[Any], tried: list[Any]) -> str:
    """Say how many detections have none of the tried way within a pixel, and how far scores of others are."""
    lost, scores = 0, [0.0]
    for one, other in zip(now, tried, strict=True):
        apart = np.abs(one.boxes_xyxy[:, None] - other.boxes_xyxy[None]).max(axis=2)
        near = apart.min(axis=1) <= 1
        lost += int((~near).sum())
        scores.extend(np.abs(one.scores - other.scores[apart.argmin(axis=1)])[near])
    return f"scores by at most {max(scores):.0e}, {lost} of {sum(len(one.scores) for one in now)} boxes lost"


def more_memory(now: Stepped, tried: Stepped) -> str:
    """Say what the loss changes by, and how much memory either process had at most."""
    apart = abs(now.loss - tried.loss) / abs(now.loss)
    return f"{apart:.0e} of the loss; at most {tried.peak_mib:,.0f} in place of {now.peak_mib:,.0f} MiB"


def fused_errors(now: Any, tried: Any) -> str:
    """Say how far fused updates are from plain ones where a gradient lies otherwise than its weight."""
    kernel, gradient = torch.rand(2, 8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    said = []
    for kind, more in ((torch.optim.AdamW, {}), (torch.optim.SGD, {"momentum": 0.9})):
        ends = []
        for fused in (False, True):
            weight = nn.Parameter(kernel.to(memory_format=torch.channels_last))
            optimizer = kind([weight], lr=0.1, fused=fused, **more)
            for _ in range(3):
                weight.grad = gradient.clone()
                optimizer.step()
            ends.append(weight.detach().contiguous())
        said.append(f"{kind.__name__} {(ends[0] - ends[1]).abs().max():.0e}")
    return "weights, where a gradient lies otherwise than its weight, of about 1: " + ", ".join(said)


TRIALS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "compile_step": compile_step,
    "compile_prediction": compile_prediction,
    "bfloat16_step": bfloat16_step,
    "bfloat16_prediction": bfloat16_prediction,
    "fused_optimizer": fused_optimizer,
    "ordered_weights": ordered_weights,
    "keep_memory": keep_memory,
    "plan_in_parallel": plan_in_parallel,
}


if __name__ == "__main__":
    main()
