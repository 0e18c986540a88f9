"""Two variants of different studies on the same test volumes: a detector or recipe with its own study.

Runs are paired by seed and repetition; the interval draws seeds, repetitions and patients, as that of
`comoto study table` does. Where both studies draw their training patients from one manifest, a pair was
trained on the same patients.

Run: python benchmarks/compare_studies.py FOLDER REGIME VARIANT [RULE] --with FOLDER REGIME VARIANT [RULE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from comoto.evaluation.hierarchical import hierarchical_difference, run_sensitivities
from comoto.study.results import Pair, RunResult, StudyResults, nested, read_results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "first", nargs="+", help="folder, regime, variant, and a rule that is not the students' own"
    )
    parser.add_argument("--with", dest="second", nargs="+", required=True, help="likewise")
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--bootstrap", type=int, default=2000)
    options = parser.parse_args()
    sides = [variant(words, options.fraction) for words in (options.first, options.second)]
    (first, one), (second, other) = sides
    if not np.array_equal(first.truth.lesion_volume, second.truth.lesion_volume):
        raise SystemExit("the studies have different test volumes")
    pairs = sorted(set(one) & set(other))
    if not pairs:
        raise SystemExit(f"no run in common: {sorted(one)} and {sorted(other)}")
    found = hierarchical_difference(
        nested(one, pairs), nested(other, pairs), first.truth, options.bootstrap, seed=0
    )
    for words, (results, runs) in zip((options.first, options.second), sides, strict=True):
        values = run_sensitivities(nested(runs, pairs), results.truth)
        print(f"{' '.join(words)}: {values.mean():.3f} ({', '.join(f'{value:.3f}' for value in values)})")
    low, high = found.interval.low, found.interval.high
    print(f"difference over {len(pairs)} pairs of runs: {found.value:+.3f} [{low:+.3f}, {high:+.3f}]")


def variant(words: list[str], fraction: float) -> tuple[StudyResults, dict[Pair, RunResult]]:
    """Return a study and the runs of one of its variants."""
    if len(words) not in (3, 4):
        raise SystemExit(f"needed are folder, regime, variant and perhaps a rule, got: {' '.join(words)}")
    folder, regime, name, *rule = words
    results = read_results(Path(folder), rule="".join(rule))
    runs = results.runs.get((regime, fraction, name))
    if not runs:
        raise SystemExit(
            f"{folder}: no complete run of {regime}, {fraction}, {name}; it has {list(results.runs)}"
        )
    return results, runs


if __name__ == "__main__":
    main()
