"""Time of ``comoto index csv``: complete tables, where no file is opened, and headers that are read.

Run: python benchmarks/index_csv.py [--rows 100000] [--headers 500]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import pandas as pd

from comoto.datasets import index
from one_bad_file import healthy, write

COLUMNS = ["path", "patient_id", "study_id", "view", "laterality", "modality"]


def tables(root: Path, names: list[str], modality: list[str], columns: list[str]) -> None:
    """Write ``images.csv`` with these columns, four views a study, and a box in every tenth image."""
    numbers = range(len(names))
    content = {
        "path": names,
        "patient_id": [f"P{number // 8:06d}" for number in numbers],
        "study_id": [f"S{number // 4:06d}" for number in numbers],
        "view": [("CC", "MLO")[number % 2] for number in numbers],
        "laterality": [("L", "R")[number // 2 % 2] for number in numbers],
        "modality": modality,
        "rows": 96,
        "columns": 64,
    }
    pd.DataFrame(content)[columns].to_csv(root / "images.csv", index=False)
    boxes = {"path": [name for name, kind in zip(names, modality, strict=True) if kind == "mammogram"][::10]}
    corners = {"x1": 4, "y1": 40, "x2": 20, "y2": 60}
    pd.DataFrame({**boxes, **corners}).to_csv(root / "lesions.csv", index=False)


def timed(root: Path, **options: object) -> tuple[int, float, float]:
    """Return images, seconds, and seconds of processor time."""
    started, cpu = time.perf_counter(), time.process_time()
    manifest = index("csv", root, **options)
    return len(manifest.images), time.perf_counter() - started, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--headers", type=int, default=500)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "complete"
        names = [f"{number // 1000}/{number:06d}.dcm" for number in range(given.rows)]
        for part in {Path(name).parent for name in names}:
            (root / part).mkdir(parents=True)
        for name in names:
            (root / name).touch()  # empty: a file that was opened would be refused
        tables(root, names, ["mammogram"] * given.rows, [*COLUMNS, "rows", "columns"])
        count, took, cpu = timed(root)
        print(f"complete tables, one core: {count:,} rows in {took:.1f} s, {cpu:.1f} s of processor time")

        root = Path(folder) / "silent"
        for number in range(given.headers):
            write(root / f"{number}.dcm", healthy(number))
        names = [f"{number}.dcm" for number in range(given.headers)]
        kinds = ["mammogram" if number % 3 else "tomosynthesis" for number in range(given.headers)]
        tables(root, names, kinds, COLUMNS)
        count, took, cpu = timed(root, headers="all")
        print(
            f"every header read, one core: {count} images, {took / count * 1e3:.1f} ms each, "
            f"{cpu / count * 1e3:.1f} ms of processor time"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
