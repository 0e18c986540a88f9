"""Kill commands at random moments, run them again, and compare with a run that was never disturbed.

Each trial starts a command afresh, kills it with signal 9 once or twice at moments that are decided by
``--seed`` and the trial's number (half of the kills hit the whole process group, the others leave workers
without their parent), and then lets the same command end. It must end with code 0 and the result of the
undisturbed run, byte for byte, without unfinished files, and the workers of a killed process must be gone
within ``--seconds``. Everything else is a finding; the exit code is then 1.

A command is a row of ``COMMANDS``: what it reads, how it is called, and what of its output must be equal.

Run: python fuzz/kill.py --count 20 [--command prepare --command ...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from exams import write_exams
from other_commands import (
    evaluate_words,
    export_words,
    index_words,
    nothing,
    report_words,
    simulate_words,
    small_study,
    small_tables,
    split_words,
    study_result,
    study_words,
)
from predicting import predict_words, untrained_student
from run_folders import small_stores, student_words, teacher_words, trained

MOST_KILLS = 2
STARTED = 0.2
"""Share of a run in which it only loads its libraries; nothing is to be learnt from a kill then."""
UNFINISHED = ("*.part", "*.partial", "working")
LOCKS = ("*.lock", ".lock", "lock")
"""A killed command leaves its lock file, which holds nobody; the next one on the same output removes it."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        make: writes what the command reads into a folder.
        words: of the command line, for that folder and the folder for the output.
        result: what must be equal in the end, of the folder for the output; all files if not given.
        again: words that are added when the command continues, such as ``--resume``.
    """

    make: Callable[[Path], Any]
    words: Callable[[Path, Path], list[str]]
    result: Callable[[Path], Any] | None = None
    again: tuple[str, ...] = ()


def small_exams(folder: Path) -> None:
    """Write six simulated volumes and their manifest."""
    write_exams(folder, "demo", patients=6, lesion_share=0.5)


def prepare_words(folder: Path, out: Path) -> list[str]:
    """Return the words of ``comoto prepare`` with two workers."""
    manifest = ["--manifest", str(folder / "manifest")]
    return ["prepare", *manifest, "--preset", "demo", "--workers", "2", "--out", str(out / "store")]


def small_exams_and_student(folder: Path) -> None:
    """Write the same exams, and a student."""
    small_exams(folder)
    untrained_student(folder / "run")


COMMANDS = {
    "prepare": Command(small_exams, prepare_words),
    "predict": Command(small_exams_and_student, predict_words),
    "train teacher": Command(small_stores, teacher_words, trained, ("--resume",)),
    "train student": Command(small_stores, student_words, trained, ("--resume",)),
    "study run": Command(small_study, study_words, study_result),
    "simulate": Command(nothing, simulate_words),
    "index": Command(small_tables, index_words),
    "split": Command(small_tables, split_words),
    "evaluate": Command(small_tables, evaluate_words),
    "report": Command(small_tables, report_words),
    "export onnx": Command(small_exams_and_student, export_words),
}


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder but locks."""
    files = [path for path in folder.rglob("*") if path.is_file() and not any(map(path.match, LOCKS))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    line = [sys.executable, "-m", "comoto", *words]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def running(group: int) -> list[int]:
    """Return the processes of a group that still run; Linux only."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, in_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(in_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def left_after(group: int, seconds: float) -> list[int]:
    """Return the processes of a killed group that did not end in time; they are ended then."""
    deadline = time.monotonic() + seconds
    while running(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = running(group)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return left


def finish(command: Command, folder: Path, out: Path, again: bool) -> list[str]:
    """Let a command end, and return what is wrong with that."""
    process = start([*command.words(folder, out), *(command.again if again else ())])
    _, errors = process.communicate()
    if process.returncode == 0:
        return []
    return [f"ended with {process.returncode}: {errors.decode(errors='replace').strip()[-300:]}"]


def disturb(
    command: Command, folder: Path, out: Path, moments: list[float], whole_groups: list[bool], seconds: float
) -> tuple[int, list[str]]:
    """Start a command and kill it, as often as there are moments; one that ends before is left alone.

    Returns:
        How often it was killed, and what is wrong with its processes.
    """
    killed, wrong = 0, list[str]()
    for moment, whole_group in zip(moments, whole_groups, strict=True):
        process = start([*command.words(folder, out), *(command.again if killed else ())])
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
            killed += 1
            if left := left_after(process.pid, seconds):
                wrong.append(f"{len(left)} processes were left after {seconds:g} s")
            process.communicate()
    return killed, wrong


def trials(
    command: Command, folder: Path, place: Path, arguments: argparse.Namespace
) -> tuple[int, list[str]]:
    """Do all trials of a command.

    Returns:
        How often it was killed, and a sentence for each trial with a finding.
    """
    result = command.result or contents
    whole, out = place / "whole", place / "out"
    started = time.monotonic()
    if wrong := finish(command, folder, whole, again=False):
        return 0, [f"fails undisturbed: {wrong[0]}"]
    usual, expected = time.monotonic() - started, result(whole)
    kills, findings = 0, list[str]()
    for number in range(arguments.count):
        generator = np.random.default_rng([arguments.seed, number])
        times = int(generator.integers(1, MOST_KILLS + 1))
        moments = generator.uniform(STARTED * usual, usual, times).tolist()
        groups = (generator.random(times) < 0.5).tolist()
        killed, wrong = disturb(command, folder, out, moments, groups, arguments.seconds)
        left_over = UNFINISHED
        if result(out) != expected:  # killed on its way out it is complete, and refuses to overwrite itself
            wrong += finish(command, folder, out, again=killed > 0)
            left_over += LOCKS
        wrong += compared(result(out), expected, out, left_over)
        kills += killed
        if wrong:
            findings.append(f"trial {number}: {'; '.join(wrong)}")
        shutil.rmtree(out)
    shutil.rmtree(whole)
    return kills, findings


def compared(found: Any, expected: Any, out: Path, left_over: tuple[str, ...]) -> list[str]:
    """Return what is wrong with the output."""
    wrong = [f"left: {path.relative_to(out)}" for name in left_over for path in out.rglob(name)]
    if found != expected:
        names = "the result"
        if isinstance(found, dict) and isinstance(expected, dict):
            names = str(sorted(key for key in found.keys() | expected if found.get(key) != expected.get(key)))
        wrong.append(f"differs: {names[:300]}")
    return wrong


def main() -> int:
    """Kill, run again, compare and print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20, help="trials of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", action="append", choices=list(COMMANDS), help="all if not given")
    parser.add_argument("--seconds", type=float, default=10.0, help="after which workers must be gone")
    arguments = parser.parse_args()
    findings = 0
    with tempfile.TemporaryDirectory() as name:

        @cache
        def made(make: Callable[[Path], Any]) -> Path:
            folder = Path(name) / make.__name__
            make(folder)
            return folder

        print("| command | trials | kills | findings |\n|---|---:|---:|---:|")
        for title in arguments.command or COMMANDS:
            kills, found = trials(COMMANDS[title], made(COMMANDS[title].make), Path(name), arguments)
            findings += len(found)
            for sentence in found:
                print(f"  '{title}': {sentence}", flush=True)
            print(f"| {title} | {arguments.count} | {kills} | {len(found)} |", flush=True)
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
