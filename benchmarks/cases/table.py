"""``docs/performance.json`` and the table in ``docs/performance.md``: each case replaces its own rows."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from cases.harness import Row, Times, times_of
from comoto.output_files import write_json, write_text

FORMAT = "comoto-performance-1"
BEGIN = "<!-- table of benchmarks/run_all.py: begin -->"
END = "<!-- table of benchmarks/run_all.py: end -->"
HEADER = (
    "| case | common way, CPU s (wall) | comoto, CPU s (wall) | ratio | results | target | met |\n"
    "|---|---:|---:|---:|---|---|---|"
)
_MET = {True: "yes", False: "**no**", None: ""}


def machine(threads: int) -> dict[str, Any]:
    """Return what ran it: processor, cores, memory, versions; no names of hosts, no paths."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": _processor(),
        "cores": cores,
        "threads": threads,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def store(path: Path, case: str, about: str, rows: Iterable[Row], ran: Mapping[str, Any]) -> dict[str, Any]:
    """Put the rows of a case into the JSON file and return all of it."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if content.get("format") != FORMAT:
        content = {"format": FORMAT, "cases": {}}
    content["cases"][case] = {"about": about, **ran, "rows": [row.record() for row in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    return dict(content)


def write_page(page: Path, content: Mapping[str, Any], order: Iterable[str]) -> None:
    """Replace what stands between the two marks of a page.

    Raises:
        ValueError: the page has not both marks.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page}: no line '{BEGIN}' with '{END}' below it")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_text(page, f"{before}{BEGIN}\n{markdown(content, order)}{END}{after}")


def markdown(content: Mapping[str, Any], order: Iterable[str]) -> str:
    """Return the table, a block a case, with the machines below."""
    machines: list[dict[str, Any]] = []
    lines = ["", HEADER]
    for name in (name for name in order if name in content["cases"]):
        case = content["cases"][name]
        if case["machine"] not in machines:
            machines.append(case["machine"])
        mark = machines.index(case["machine"]) + 1
        lines.append(f"| **{case['about']}** [{mark}] | | | | | | |")
        lines += [_line(row) for row in case["rows"]]
    lines.append("")
    lines += [f"[{number}] {described(each)}\n" for number, each in enumerate(machines, start=1)]
    return "\n".join(lines)


def described(ran_on: Mapping[str, Any]) -> str:
    """Return a machine as a sentence."""
    return (
        f"{ran_on['processor']}, {ran_on['cores']} cores, {ran_on['memory_gib']} GiB; "
        f"{ran_on['threads']} thread{'s' * (ran_on['threads'] != 1)}, Python {ran_on['python']}, "
        f"torch {ran_on['torch']}, NumPy {ran_on['numpy']}."
    )


def _line(row: Mapping[str, Any]) -> str:
    ratio = "" if row["ratio"] is None else f"{significant(row['ratio'])}x"
    results = "; ".join(text for text in (row["figure"], row["equal"]) if text)
    cells = (
        row["what"],
        _times(times_of(row["common"])),
        _times(times_of(row["ours"])),
        ratio,
        results,
        row["target"],
        _MET[row["met"]],
    )
    return f"| {' | '.join(cells)} |"


def _times(times: Times | None) -> str:
    if times is None:
        return ""
    return f"{significant(times.cpu)} ({significant(times.wall)})"


def significant(value: float) -> str:
    """Return three digits that count, with no exponent: 0.00552, 1.24, 1,240."""
    if value >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - int(np.floor(np.log10(value)))) if value > 0 else 0
    return f"{value:.{digits}f}"


def _processor() -> str:
    """Return what the processor calls itself."""
    about = Path("/proc/cpuinfo")
    if about.is_file():
        for line in about.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
