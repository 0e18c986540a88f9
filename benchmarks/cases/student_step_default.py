"""One student step of the other presets against one of ``paper``, per slice, its mammograms included."""

from __future__ import annotations

from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from cases.harness import Options, Row, Side, Times, in_turns, judged
from cases.networks import DEFAULT, PAPER, build, random_batch, slices_a_step, train_once
from comoto.training.memory import kept_memory

ABOUT = "student step per slice with its mammograms, against `paper` (batch 1, without the discarded head)"
LEAST_RATIO = 10
PRESETS = (DEFAULT, "demo", "full")


def run(options: Options) -> list[Row]:
    sides, flop, sizes = {}, {}, {}
    for preset in (PAPER, *PRESETS):
        sides[preset], flop[preset], sizes[preset] = prepared(preset, options)
    with kept_memory():  # as in training
        for side in sides.values():
            side.work()  # the warm-up
        in_turns(sides, options.minutes)
    rows = []
    for preset in PRESETS:
        row = Row(
            f"`{preset}`, {sizes[preset]} slice{'s' * (sizes[preset] > 1)} a step"
            + (", the default" if preset == DEFAULT else ""),
            f"{LEAST_RATIO}x cheaper; accuracy: see below" if preset == DEFAULT else "",
            None,
            "",
            per_slice(sides[PAPER], sizes[PAPER]),
            per_slice(sides[preset], sizes[preset]),
            f"{flop[preset] / 1e9:,.1f} of {flop[PAPER] / 1e9:,.0f} GFLOP",
        )
        rows.append(judged(row, (row.ratio or 0) >= LEAST_RATIO) if preset == DEFAULT else row)
    return rows


def prepared(preset: str, options: Options) -> tuple[Side, float, int]:
    """Return a side, its FLOP a slice and the slices of a batch."""
    network = build(preset, quick=options.quick)
    size = slices_a_step(network.config)
    batch, step = random_batch(network.config, size), network.step(teacher_head=False)

    def work() -> Any:
        return train_once(step, batch, network)

    with FlopCounterMode(display=False) as counter:
        work()
    return Side(work, most=3 if preset in (PAPER, "full") else 7), counter.get_total_flops() / size, size


def per_slice(side: Side, size: int) -> Times:
    """Return the times of a side for one slice."""
    times = side.times
    return Times(times.cpu / size, times.wall / size, times.rounds)
