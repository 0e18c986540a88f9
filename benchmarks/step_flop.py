"""FLOP of a student's training step for each variant of a study, per slice, its mammograms included.

Run: python benchmarks/step_flop.py benchmarks/published_recipe.yaml benchmarks/enlarged_detector.yaml
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from torch.utils.flop_counter import FlopCounterMode

from cases.networks import build_from, random_batch, train_once
from comoto.study.config import load_study
from comoto.study.grid import build_grid


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="+", type=Path)
    for path in parser.parse_args().studies:
        grid = build_grid(load_study(path), Path("/unused"))
        for variant, config in {run.label: run.config for run in grid.students}.items():
            network, size = build_from(config), config.batch.size
            with FlopCounterMode(display=False) as counter:
                train_once(network.step(teacher_head=False), random_batch(config, size), network)
            flop = counter.get_total_flops() / size
            print(f"{path.name}, {variant}: {flop / 1e9:.1f} GFLOP a slice", flush=True)


if __name__ == "__main__":
    main()
