"""One student step of the published method: with the teacher's head computed and discarded, and without."""

from __future__ import annotations

from torch.utils.flop_counter import FlopCounterMode

from cases.harness import Options, Row, Side, in_turns, judged
from cases.networks import PAPER, build, random_batch, train_once
from comoto.training.memory import kept_memory

ABOUT = "student step, `paper`, batch 1"
MOST_SHARE, TOLERANCE = 0.82, 1e-5


def run(options: Options) -> list[Row]:
    network = build(PAPER, quick=options.quick)
    batch = random_batch(network.config, 1)
    flop, sides = {}, {}
    for name, head in (("common", True), ("ours", False)):
        step = network.step(teacher_head=head)
        sides[name] = Side(lambda step=step: train_once(step, batch, network), most=5)
        with FlopCounterMode(display=False) as counter:
            train_once(step, batch, network)
        flop[name] = counter.get_total_flops()
    with kept_memory():  # as in training
        for side in sides.values():
            side.work()  # the warm-up
        in_turns(sides, options.minutes)
    theirs, ours = sides["common"], sides["ours"]
    share = ours.times.cpu / theirs.times.cpu
    difference = abs(theirs.result - ours.result) / abs(theirs.result)
    row = Row(
        "against the teacher's head computed and discarded",
        f"at most {MOST_SHARE} of the CPU time, same loss to 1e-5",
        None,
        f"loss {ours.result:.6f}, relative difference {difference:.0e}",
        theirs.times,
        ours.times,
        f"{share:.3f} of the CPU time; {flop['ours'] / flop['common']:.3f} of the FLOP "
        f"({flop['ours'] / 1e9:,.0f} of {flop['common'] / 1e9:,.0f} G)",
        same=difference <= TOLERANCE,
    )
    return [judged(row, share <= MOST_SHARE)]
