"""``comoto demo``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import WorkersOption
from comoto.defaults import WORKERS


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the demo makes.")] = Path(
        "demo-output"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed makes other patients.")] = 0,
    workers: WorkersOption = WORKERS,
) -> None:
    """Run the main job on simulated exams, up to a report.

    Simulates, indexes, prepares, trains, predicts, evaluates and writes report.html, which compares students
    that were trained in several ways. Took 5 to 9 minutes on two cores; 350 MB. An interrupted demo
    continues with the same command.

    Example: comoto demo --out demo-output
    """
    from comoto.demo import DemoConfig, run_demo
    from comoto.report.demo_summary import demo_summary

    config = DemoConfig(seed=seed, workers=workers)
    command = shlex.join(
        ["comoto", "demo", "--out", str(out), "--seed", str(seed), "--workers", str(workers)]
    )
    report = run_demo(out, config, command)
    typer.echo(demo_summary(out, report))
