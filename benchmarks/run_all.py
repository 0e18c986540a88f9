"""The benchmark suite: each task done the common way and by this package, in turns, in one process.

Every case runs in a child process of its own, so that the memory of one does not count for another. Its rows
go into docs/performance.json, and all rows into the table of docs/performance.md; the rows of other cases
stay. The common way of each task is written here, from the task's description.

Run: make bench
     python benchmarks/run_all.py --case challenge_metric --case volume_suppression
     python benchmarks/run_all.py --quick --out trial     # seconds; only to see that both sides agree
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import CASES
from cases.harness import Options

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    arguments = parse()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)  # children read it when they import
    options = Options(arguments.quick, arguments.threads, arguments.minutes)
    if arguments.quick and arguments.out is None:
        print("--quick needs --out FOLDER: its times must not get into docs/performance.md")
        return 2
    out = arguments.out or DOCS
    good = True
    for name in arguments.case or CASES:
        print(f"\n{name}", flush=True)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            good &= pool.submit(one, name, options, out).result()
    return 0 if good else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, action="append", help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; needs --out")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument(
        "--minutes", type=float, default=20, help="a case starts no further round after this; each has one"
    )
    parser.add_argument("--out", type=Path, help="folder of performance.json and .md; default: docs")
    return parser.parse_args()


def one(name: str, options: Options, out: Path) -> bool:
    """Run one case, write and print its rows; say whether results that should be equal are."""
    import torch

    from cases import table

    torch.set_num_threads(options.threads)
    case: Any = importlib.import_module(f"cases.{name}")
    started = time.monotonic()
    rows = case.run(options)
    ran = {
        "machine": table.machine(options.threads),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "quick": options.quick,
    }
    content = table.store(out / "performance.json", name, case.ABOUT, rows, ran)
    page = out / "performance.md"
    if not page.is_file():
        page.write_text(f"# Performance\n\n{table.BEGIN}\n{table.END}\n", encoding="utf-8")
    table.write_page(page, content, CASES)
    print(table.markdown({"cases": {name: content["cases"][name]}}, (name,)))
    print(json.dumps({"case": name, "same": all(row.same for row in rows), "minutes": ran["minutes"]}))
    return all(row.same for row in rows)


if __name__ == "__main__":
    sys.exit(main())
