"""Where the time goes: one training step and one volume, in groups, with the floor of the machine beside it.

The networks run under torch's profiler, which knows the own time of every operation; the other parts of a
volume's prediction are timed one after the other. The floor is what the machine could do at best: the FLOP of
the task over the best rate of a matrix product or a convolution, and the bytes that its operations read and
write over the best rate of a copy; both rates are measured here, in the same process and in the precision of
the tasks. The picture is docs/pictures/profile.png.

(The name is not profile.py because scripts beside it would then import it in place of Python's own.)

Run: make profile
     python benchmarks/time_spent.py --preset demo --quick --out trial
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from cases import table
from cases.networks import build, random_batch, random_detector, settings, slices_a_step, train_once
from cases.volumes import REAL, TINY, write_volume
from comoto.detectors.device import channels_last, resolve_precision
from comoto.dicom.read import DicomImage
from comoto.inference.aggregate import aggregate
from comoto.inference.model import Model
from comoto.inference.volume import detect_volume, slice_indices
from comoto.output_files import write_json
from comoto.preprocessing.plan import plan_image
from comoto.records import Modality
from comoto.training.memory import kept_memory

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("convolution", ("convolution", "mkldnn", "slow_conv", "thnn_conv", "addmm", "bmm", "aten::mm")),
    ("batch norm", ("batch_norm", "norm_backward")),
    (
        "activation, pooling",
        ("relu", "threshold", "pool", "sigmoid", "upsample", "interpolate", "silu", "gelu"),
    ),
    ("optimiser", ("optimizer", "_fused", "_foreach", "zero_grad")),
    ("layout, copies", ("copy_", "contiguous", "clone", "aten::to", "cat", "fill_", "zero_", "reorder")),
    ("suppression", ("nms", "topk", "sort")),
)
REST = "other: loss, boxes, bookkeeping"
REPEATS = 3


@dataclass(frozen=True)
class Spent:
    """Wall seconds of a task by group, and what bounds it.

    Attributes:
        groups: name -> seconds, the largest first.
        flop: of the network.
        moved: bytes that its operations read and write, each operation by itself.
    """

    task: str
    groups: dict[str, float]
    flop: float
    moved: float

    @property
    def seconds(self) -> float:
        """All groups together."""
        return sum(self.groups.values())


@dataclass(frozen=True)
class Ceiling:
    """What the machine reaches, on as many threads as the tasks."""

    matmul: float
    convolution: float
    copy: float

    def floor(self, spent: Spent) -> tuple[float, float]:
        """Return the seconds that the FLOP take at best, and the bytes."""
        return spent.flop / max(self.matmul, self.convolution), spent.moved / self.copy


class Moved(TorchDispatchMode):
    """Counts the bytes of the tensors that operations take and return; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count."""
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            for tensor in _tensors((args, kwargs, result)):
                self.bytes += tensor.numel() * tensor.element_size()
        return result


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    precision = resolve_precision(arguments.precision, torch.device("cpu"))
    ceiling = measure_ceiling(precision, quick=arguments.quick)
    tasks = [TASKS[name] for name in arguments.task or TASKS]
    spent = [task(arguments.preset, precision, quick=arguments.quick) for task in tasks]
    docs = arguments.out or Path(__file__).resolve().parent.parent / "docs"
    (docs / "pictures").mkdir(parents=True, exist_ok=True)
    draw(spent, ceiling, precision, docs / "pictures" / "profile.png")
    record = {
        "preset": arguments.preset,
        "precision": precision,
        "machine": table.machine(arguments.threads),
        "ceiling": vars(ceiling),
        "tasks": [vars(one) | {"floor": ceiling.floor(one)} for one in spent],
    }
    write_json(docs / "profile.json", record)
    print(f"{table.described(record['machine'])} {precision}")
    print(
        f"ceiling: matmul {ceiling.matmul / 1e9:.1f}, convolution {ceiling.convolution / 1e9:.1f} GFLOP/s, "
        f"copy {ceiling.copy / 1e9:.1f} GB/s"
    )
    for one in spent:
        compute, memory = ceiling.floor(one)
        print(f"{one.task}: {one.seconds:.3f} s; floor {compute:.3f} s of FLOP, {memory:.3f} s of bytes")
        for name, seconds in one.groups.items():
            print(f"  {name:<24}{seconds:9.3f} s{100 * seconds / one.seconds:7.1f} %")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="small", choices=("demo", "small", "full", "paper"))
    parser.add_argument("--task", choices=TASKS, action="append", help="only this one")
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--precision", default="auto", choices=("auto", "32-true", "bf16-mixed"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder in place of docs")
    return parser.parse_args()


def training_step(preset: str, precision: str, *, quick: bool) -> Spent:
    """Profile one step of the student, after a warm-up."""
    network = build(preset, quick=quick)
    size = slices_a_step(network.config)
    batch, step = random_batch(network.config, size), network.step(teacher_head=False)
    with kept_memory():  # as in training
        train_once(step, batch, network, precision)
        groups = profiled(lambda: train_once(step, batch, network, precision))
    flop, moved = counted(lambda: train_once(step, batch, network, precision))
    return Spent(f"training step, {preset}, batch {size}", groups, flop, moved)


def volume(preset: str, precision: str, *, quick: bool) -> Spent:
    """Time the parts of a volume's prediction one after the other, and the network by its operations."""
    config = settings(preset, quick=quick)
    detector = random_detector(config)
    channels_last(detector)
    model = Model(detector, config, torch.device("cpu"), precision, "profile", "")
    slices, shape = (10, TINY) if quick else (20, REAL)
    with tempfile.TemporaryDirectory() as name:
        path = write_volume(Path(name) / "volume.dcm", slices, shape)
        detect_volume(model, path, None, config.inference)  # warm-up
        groups: Counter[str] = Counter()
        with DicomImage(path) as image:
            plan = clocked(
                groups,
                "plan",
                lambda: plan_image(image, None, Modality.TOMOSYNTHESIS, config.preprocess),
            )
            indices = slice_indices(image.num_frames, config.inference.slice_step)
            frames = clocked(groups, "decode", lambda: [image.frame(k, plan.halvings) for k in indices])
        rendered = clocked(groups, "render", lambda: [plan.render(frame) for frame in frames])
    size, found = config.inference.batch_size, {}
    batches = [(indices[k : k + size], rendered[k : k + size]) for k in range(0, len(indices), size)]

    def network() -> None:
        for batch, pictures in batches:
            found.update(zip(batch, model.detect(pictures), strict=True))

    operations = profiled(network)
    flop, moved = counted(network)
    clocked(groups, "slices to volume", lambda: aggregate(found, slices, config.inference.aggregation))
    parts = Counter(operations) + groups
    task = f"volume, {preset}, {len(indices)} slices of {shape[0]} x {shape[1]}"
    return Spent(task, dict(parts.most_common()), flop, moved)


def clocked(groups: Counter[str], name: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = work()
    groups[name] += time.perf_counter() - started
    return result


def profiled(work: Callable[[], Any]) -> dict[str, float]:
    """Return seconds by group: the own time of each operation, without that of the operations inside it."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(REPEATS):
            work()
    groups: Counter[str] = Counter()
    for event in profiler.key_averages():
        groups[group_of(event.key)] += event.self_cpu_time_total / 1e6 / REPEATS
    return dict(groups.most_common())


def group_of(operation: str) -> str:
    name = operation.lower()
    return next((group for group, words in GROUPS if any(word in name for word in words)), REST)


def counted(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the FLOP and the bytes of some work."""
    with FlopCounterMode(display=False) as flop:
        work()
    with Moved() as moved:
        work()
    return float(flop.get_total_flops()), float(moved.bytes)


def measure_ceiling(precision: str, *, quick: bool) -> Ceiling:
    """Measure the best of several products, convolutions and copies."""
    side = 512 if quick else 2048
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    one, other = torch.rand(2, side, side).to(dtype)
    pictures = (
        torch.rand(1, 128, side // 8, side // 8).to(dtype).contiguous(memory_format=torch.channels_last)
    )
    layer = nn.Conv2d(128, 128, 3, padding=1).to(dtype=dtype, memory_format=torch.channels_last)
    long = torch.rand(2**20 if quick else 2**26)
    target = torch.empty_like(long)
    with torch.inference_mode():
        product = 2 * side**3 / best(lambda: one @ other)
        convolution = 2 * 9 * 128 * 128 * (side // 8) ** 2 / best(lambda: layer(pictures))
        copied = 2 * 4 * long.numel() / best(lambda: target.copy_(long))
    return Ceiling(product, convolution, copied)


def best(work: Callable[[], Any]) -> float:
    """Return the least wall seconds of a few: other work on the machine only ever slows one down."""
    work()
    times = []
    for _ in range(7):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def draw(spent: list[Spent], ceiling: Ceiling, precision: str, path: Path) -> None:
    """Draw a bar a task, its groups beside each other, and its two floors below it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(spent), 1, figsize=(10, 2.9 * len(spent)), squeeze=False, layout="constrained"
    )
    names = sorted({name for one in spent for name in one.groups})
    colours = dict(zip(names, plt.get_cmap("tab20").colors, strict=False))
    for axis, one in zip(axes[:, 0], spent, strict=True):
        left = 0.0
        for name, seconds in one.groups.items():
            share = seconds / one.seconds
            label = f"{name} {100 * share:.0f} %" if share >= 0.005 else None
            axis.barh("now", seconds, left=left, color=colours[name], label=label)
            left += seconds
        for name, seconds in zip(("floor: FLOP", "floor: bytes"), ceiling.floor(one), strict=True):
            axis.barh(name, seconds, color="0.55")
            axis.text(seconds, name, f" {seconds:.3g} s", va="center", fontsize=9)
        axis.text(left, "now", f" {one.seconds:.3g} s", va="center", fontsize=9)
        axis.invert_yaxis()
        axis.set_xlim(0, 1.12 * max(left, *ceiling.floor(one)))
        axis.set_xlabel("seconds")
        axis.set_title(f"{one.task}, {precision}", loc="left", fontsize=10)
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in nested arguments."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for part in value.values() for tensor in _tensors(part)]
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    return []


TASKS = {"training_step": training_step, "volume": volume}


if __name__ == "__main__":
    main()
