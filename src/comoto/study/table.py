"""``comoto study table``: what each variant reaches, and how much more than the reference.

Means and standard deviations are over runs; intervals of differences are over draws of seeds, repetitions
and test patients, on the runs that both variants have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from comoto.evaluation.bootstrap import LEVEL, Interval
from comoto.evaluation.challenge import MEAN_NAME
from comoto.evaluation.depth import CAUTION
from comoto.evaluation.hierarchical import hierarchical_difference, hierarchical_interval
from comoto.output_files import output_files
from comoto.progress import track
from comoto.study.grid import rule_texts
from comoto.study.results import Pair, Place, RunResult, StudyResults, common_pairs, nested

MEAN = MEAN_NAME
METRICS = (MEAN, *(f"sensitivity_at_{fps}_fps_positive" for fps in (1, 2, 3, 4)), "sensitivity_at_2_fps_all")
TABLE_MD, TABLE_CSV = "table.md", "table.csv"
_FEW_SEEDS = 5
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class VariantDifference:
    """A variant minus the reference in one regime at one fraction.

    Attributes:
        runs: pairs of runs that both have.
        value: mean over the pairs of the difference in mean sensitivity.
        interval: of the hierarchical bootstrap.
        run_values: difference of each pair, [seed][repetition].
    """

    runs: int
    value: float
    interval: Interval
    run_values: tuple[tuple[float, ...], ...]

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval does not hold 0; an interval of NaN does not exclude anything."""
        return self.interval.low > 0.0 or self.interval.high < 0.0

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes 0 and knows how teachers differ; what is printed in bold."""
        return self.excludes_zero and len(self.run_values) > 1


@dataclass(frozen=True)
class VariantRow:
    """One variant in one regime at one fraction.

    Attributes:
        runs, planned: complete runs, and all.
        mean, sd: over the complete runs, by the challenge's name of the metric; NaN where there are too few.
        interval: of the mean sensitivity, over runs and patients; NaN without a run.
        comparison: with the reference; None for the reference itself, or where no two runs can be paired.
        between: with the same variant in the study's first regime; None there, or where both are the same
            runs.
    """

    regime: str
    fraction: float
    variant: str
    runs: int
    planned: int
    mean: dict[str, float]
    sd: dict[str, float]
    interval: Interval
    comparison: VariantDifference | None
    between: VariantDifference | None = None


def summarise(results: StudyResults, seed: int = 0) -> tuple[VariantRow, ...]:
    """Work out every row of the table.

    Args:
        results: what ``read_results`` returned.
        seed: of the draws.
    """
    planned = results.planned
    return tuple(
        _row(results, place, planned[place], seed)
        for place in track(results.runs, "compare the variants", len(results.runs))
    )


def comparisons(rows: Sequence[VariantRow]) -> list[VariantDifference]:
    """Return the comparisons that were made."""
    made = (one for row in rows for one in (row.comparison, row.between))
    return [one for one in made if one is not None]


def write_tables(folder: Path, results: StudyResults, rows: Sequence[VariantRow]) -> tuple[Path, Path]:
    """Write ``table.md`` and ``table.csv`` into the study's folder; former ones are replaced."""
    texts = {TABLE_MD: markdown(results, rows), TABLE_CSV: frame(rows).to_csv(index=False)}
    contents = {folder / named(results, name): text.encode() for name, text in texts.items()}
    output_files(contents, overwrite=True)
    table_md, table_csv = contents
    return table_md, table_csv


def named(results: StudyResults, name: str) -> str:
    """Return the name of a file with the results' rule in it: "table.md", "table-published.md"."""
    return f"{Path(name).stem}{results.suffix}{Path(name).suffix}"


def frame(rows: Sequence[VariantRow]) -> pd.DataFrame:
    """Return the table with one column a number, unrounded."""
    lines = []
    for row in rows:
        line: dict[str, object] = {
            "regime": row.regime,
            "fraction": row.fraction,
            "variant": row.variant,
            "runs": row.runs,
            "planned": row.planned,
        }
        for name in METRICS:
            line[name], line[f"{name}_sd"] = row.mean[name], row.sd[name]
        line[f"{MEAN}_low"], line[f"{MEAN}_high"] = row.interval.low, row.interval.high
        line |= _numbers(row.comparison, "")
        line |= _numbers(row.between, "regime_")
        lines.append(line)
    return pd.DataFrame(lines)


def _numbers(found: VariantDifference | None, prefix: str) -> dict[str, object]:
    values: tuple[object, ...] = (0, math.nan, math.nan, math.nan, False)
    if found is not None:
        values = (found.runs, found.value, found.interval.low, found.interval.high, found.excludes_zero)
    names = ("paired_runs", "difference", "difference_low", "difference_high", "excludes_zero")
    return {prefix + name: value for name, value in zip(names, values, strict=True)}


def markdown(results: StudyResults, rows: Sequence[VariantRow]) -> str:
    """Return the table for a README, with what it rests on."""
    study, truth = results.study, results.truth
    level = f"{100 * LEVEL:.0f} %"
    several, first = len(study.regimes) > 1, next(iter(study.regimes))
    lines = [
        f"# Study {study.name}",
        "",
        f"Mean sensitivity at 1 to 4 false positives (FP) per volume with a lesion, mean ± SD over runs. "
        f"{len(truth.lesion_volume)} lesions, {len(truth.volumes)} test volumes of "
        f"{len(truth.patients)} patients.",
        "",
        f"| regime | patients | variant | runs | mean sensitivity | at 2 FP, all volumes | "
        f"minus {study.reference} ({level} interval) |" + (f" minus {first} |" if several else ""),
        "|---|---|---|---|---|---|---|" + ("---|" if several else ""),
    ]
    for row in rows:
        both = [spread(row.mean[name], row.sd[name]) for name in (MEAN, "sensitivity_at_2_fps_all")]
        cells = [row.regime, percent(row.fraction), row.variant, runs_text(row), *both]
        cells += [difference_text(row.comparison), *([difference_text(row.between)] if several else [])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", CAUTION, "", *notes(results, rows), ""])


def notes(results: StudyResults, rows: Sequence[VariantRow]) -> list[str]:
    """Return what has to be known to read the table, a sentence each."""
    found = comparisons(rows)
    outside, sure = sum(each.excludes_zero for each in found), sum(each.is_sure for each in found)
    bold = "bold" if sure == outside else f"{sure} of them bold, the others rest on one seed"
    chance = len(found) * (1 - LEVEL)
    missing = sum(row.planned - row.runs for row in rows)
    sentences = [
        f"Slice-to-volume aggregation: {rule_texts(results.study, results.grid)[results.rule]}.",
        f"Differences are over the runs that both variants have; the interval draws seeds, then repetitions, "
        f"then patients, {results.study.bootstrap} times.",
        f"{len(found)} comparisons were made, and {outside} of their intervals exclude 0 ({bold}). If "
        f"nothing truly differed, chance alone would be expected to give about {chance:.1f}.",
    ]
    if missing:
        sentences.append(f"The study is not complete: {missing} runs are missing.")
    seeds = len(results.study.seeds)
    if seeds < _FEW_SEEDS:
        if seeds == 1:
            sentences.append("With one seed the intervals say nothing about how teachers differ.")
        else:
            sentences.append(
                f"With {seeds} seeds the intervals can be too narrow: draws of them show "
                f"{seeds - 1}/{seeds} of the variance between teachers."
            )
    if results.is_changed:
        sentences.append("study.yaml was changed since the study was last run; this table follows it.")
    if results.unchecked:
        sentences.append(
            f"Not checked, because a former version kept no checksums: {len(results.unchecked)} tables, "
            f"first {results.unchecked[0]}."
        )
    return sentences


def percent(fraction: float) -> str:
    """Return "10 %"."""
    return f"{100 * fraction:g} %"


def spread(mean: float, sd: float) -> str:
    """Return "0.612 ± 0.021"; the part that is not known is left out."""
    if math.isnan(mean):
        return ""
    return f"{mean:.3f}" if math.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"


def runs_text(row: VariantRow) -> str:
    """Return "9", or "7 of 9" of an unfinished row."""
    return str(row.runs) if row.runs == row.planned else f"{row.runs} of {row.planned}"


def difference_text(found: VariantDifference | None) -> str:
    """Return "+0.031 [−0.004, +0.066]", bold if that is sure, empty without a comparison."""
    if found is None:
        return ""
    text = f"{signed(found.value)} [{signed(found.interval.low)}, {signed(found.interval.high)}]"
    return f"**{text}**" if found.is_sure else text


def signed(value: float) -> str:
    """Return a difference with three digits and its sign."""
    if math.isnan(value):
        return "not known"
    text = f"{abs(value):.3f}"
    return text if float(text) == 0.0 else f"{'+' if value > 0 else MINUS}{text}"


def _row(results: StudyResults, place: Place, planned: int, seed: int) -> VariantRow:
    regime, fraction, variant = place
    runs = results.runs[place]
    numbers = {name: metric_over(runs, name) for name in METRICS}
    reference = results.runs.get((regime, fraction, results.study.reference), {})
    own = variant == results.study.reference
    first = next(iter(results.study.regimes))
    same_variant = results.runs.get((first, fraction, variant), {})
    return VariantRow(
        regime=regime,
        fraction=fraction,
        variant=variant,
        runs=len(runs),
        planned=planned,
        mean={name: mean for name, (mean, _) in numbers.items()},
        sd={name: sd for name, (_, sd) in numbers.items()},
        interval=_interval(results, runs, seed),
        comparison=None if own else compare(results, runs, reference, seed),
        between=None if regime == first else compare(results, runs, same_variant, seed),
    )


def metric_over(runs: dict[Pair, RunResult], name: str) -> tuple[float, float]:
    """Return mean and standard deviation of a metric over runs; NaN where there are too few."""
    return mean_and_sd([run.result.metric[name] for run in runs.values()])


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation; NaN where there are too few."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return float(np.mean(values)) if len(values) else math.nan, sd


def compare(
    results: StudyResults, runs: dict[Pair, RunResult], reference: dict[Pair, RunResult], seed: int
) -> VariantDifference | None:
    """Return how much more runs find than others, over the pairs that both have; None without any."""
    pairs = common_pairs(runs, reference)
    if not pairs:
        return None
    found = hierarchical_difference(
        nested(runs, pairs), nested(reference, pairs), results.truth, results.study.bootstrap, seed
    )
    return VariantDifference(len(pairs), found.value, found.interval, found.run_values)


def _interval(results: StudyResults, runs: dict[Pair, RunResult], seed: int) -> Interval:
    if not runs:
        return Interval(math.nan, math.nan)
    return hierarchical_interval(
        nested(runs, sorted(runs)), results.truth, results.study.bootstrap, seed
    ).interval
