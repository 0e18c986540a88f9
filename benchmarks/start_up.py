"""How long a command takes to tell what is wrong with its arguments, and to get to its first step.

Tiny exams, a teacher and a student of one step are made in a temporary folder first. Each command then runs
in a process of its own, the trees in turn; the least CPU time (user and system) and the least wall time of
several rounds count, for other work on the machine only ever slows it down. A first run of each warms up.

Run: python benchmarks/start_up.py [--before ../earlier/src] [--rounds 3] [--only predict]

``--before`` is the ``src`` of another checkout (``git worktree add ../earlier COMMIT``); its times then stand
in front, and how many times less this tree takes behind.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import comoto

HERE = Path(comoto.__file__).parents[1]
ONE_STEP = ["schedule.epochs=1", "schedule.steps_per_epoch=1", "threads=1"]
TINY = [
    "mammography.training_patients=8",
    "mammography.test_patients=2",
    "tomosynthesis.train_patients=4",
    "tomosynthesis.validation_patients=2",
    "tomosynthesis.test_patients=2",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="src folder of another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="commands whose name holds this")
    options = parser.parse_args()
    trees = [HERE] if options.before is None else [options.before.resolve(), HERE]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        commands = prepared_commands(work)
        print("command".ljust(34) + "".join(f"{name:>12}" for name in ("CPU s", "wall s", "exit code")))
        for name, command in commands.items():
            if options.only not in name:
                continue
            times = measured(trees, command, work, options.rounds)
            for tree, (cpu, wall, code) in times.items():
                which = "" if len(trees) == 1 else ("after " if tree == HERE else "before")
                print(f"{name:<27}{which:>7}{cpu:12.2f}{wall:12.2f}{code:12}", flush=True)
            if len(trees) == 2:
                (before, waited, _), (after, waits, _) = times.values()
                print(f"{'':<27}{'ratio':>7}{before / after:12.1f}{waited / waits:12.1f}", flush=True)


def prepared_commands(work: Path) -> dict[str, list[str]]:
    """Make what the commands need, and return them; ``OUT`` in one is a new path each time."""
    exams = comoto.simulate(work / "exams", size="tiny", overrides=TINY)
    for name, data_set, root in (
        ("mammograms", "vindr-mammo", exams.vindr_mammo),
        ("volumes", "bcs-dbt", exams.bcs_dbt),
    ):
        manifest = comoto.index(data_set, root)
        manifest.save(work / "manifests" / name)
        comoto.prepare(manifest, work / name, preset="demo")
    volume = str(manifest.images["path"].iloc[0])
    mammograms = ["--preset", "demo", "--mammograms", str(work / "mammograms")]
    volumes = [*mammograms, "--tomosynthesis", str(work / "volumes")]
    short = [word for setting in ONE_STEP for word in ("--set", setting)]
    stores = {"mammograms": work / "mammograms", "preset": "demo", "overrides": ONE_STEP}
    teacher = comoto.train_teacher(work / "teacher", **stores).run
    student = comoto.train_student(
        work / "student", tomosynthesis=work / "volumes", teacher=teacher, **stores
    ).run
    from_teacher = ["--teacher", str(teacher), "--out", "OUT"]
    predict = ["predict", "--model", str(student), "--out", "OUT.csv"]
    prepare = ["prepare", "--preset", "demo", "--manifest", str(work / "manifests" / "volumes")]
    typo = ["--set", "typo=1"]
    return {
        "train teacher, typo": ["train", "teacher", *mammograms, "--out", "OUT", *typo],
        "train student, typo": ["train", "student", *volumes, *from_teacher, *typo],
        "train student, wrong path": ["train", "student", *volumes, "--teacher", "OUT", "--out", "OUT"],
        "predict, typo": [*predict, *typo, volume],
        "predict, wrong path": [*predict, "OUT.dcm"],
        "prepare, typo": [*prepare, "--out", "OUT", "--set", "preprocess.typo=1"],
        "study table, wrong path": ["study", "table", "OUT"],
        "evaluate, wrong path": ["evaluate", "--predictions", "OUT", "--labels", "OUT", "--boxes", "OUT"],
        "config show": ["config", "show", "small"],
        "train teacher, one step": ["train", "teacher", *mammograms, "--out", "OUT", *short],
        "train student, one step": ["train", "student", *volumes, *from_teacher, *short],
        "predict, one volume": [*predict, volume],
        "prepare, eight patients": [*prepare, "--out", "OUT", "--workers", "1"],
    }


def measured(
    trees: Sequence[Path], command: Sequence[str], work: Path, rounds: int
) -> dict[Path, tuple[float, float, int]]:
    """Return CPU seconds, wall seconds and exit code of a command under each tree."""
    best = dict.fromkeys(trees, (float("inf"), float("inf"), 0))
    for number in range(rounds + 1):
        for tree in trees:
            out = work / "outputs" / f"{number}-{tree.parent.name}-{time.monotonic_ns()}"
            out.parent.mkdir(exist_ok=True)
            words = [word.replace("OUT", str(out)) for word in command]
            cpu, wall, code = timed([sys.executable, "-m", "comoto", *words], tree, work)
            if number:
                best[tree] = (min(cpu, best[tree][0]), min(wall, best[tree][1]), code)
    return best


def timed(command: Sequence[str], tree: Path, work: Path) -> tuple[float, float, int]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    code = subprocess.run(command, env=environment, cwd=work, capture_output=True).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started, code


if __name__ == "__main__":
    main()
