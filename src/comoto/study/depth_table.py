"""``comoto study depth``: the same runs by every rule of depth, in one table.

The challenge forgives a quarter of the stack in depth, so a detector that names one depth for everything is
nearly always right. Here stand, for every row of a study, the mean sensitivity by the challenge's rule, by x
and y alone, with every depth put at one share of the stack, and with a tolerance in millimetres; what more
patients give by each of them; and what all runs together find, beside what the boxes of other patients do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from comoto.errors import ConfigError
from comoto.evaluation.ceiling import Ceiling, ceiling, on_other_patients
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.depth_variants import (
    TOLERANCE_MM,
    DepthRules,
    check_distance,
    constant_depth_errors,
    depth_errors,
    depth_titles,
    depth_variants,
    share_that_is_free,
)
from comoto.evaluation.paired import mean_sensitivity_positive
from comoto.output_files import output_files
from comoto.progress import track
from comoto.study.results import Place, RunResult, StudyResults
from comoto.study.table import (
    VariantDifference,
    compare,
    difference_text,
    mean_and_sd,
    named,
    percent,
    spread,
)

CHALLENGE = "challenge"
DEPTH_MD, DEPTH_CSV = "depth.md", "depth.csv"


class Level(NamedTuple):
    """Mean and standard deviation over runs; NaN where there are too few."""

    mean: float
    sd: float


@dataclass(frozen=True)
class DepthRow:
    """One variant in one regime at one fraction.

    Attributes:
        runs: complete ones.
        levels: of the mean sensitivity, by rule of depth.
        median_error: in depth of the lesions that are met in the plane, slices.
        constant_error: the same of the constant depth.
        more_patients: by rule, how much more the same variant finds at the study's largest fraction; empty
            there, or where no two runs can be paired.
        against: by rule, how much more than the reference it finds; empty for the reference itself.
    """

    place: Place
    runs: int
    levels: Mapping[str, Level]
    median_error: Level
    constant_error: Level
    more_patients: Mapping[str, VariantDifference]
    against: Mapping[str, VariantDifference]


@dataclass(frozen=True)
class DepthTable:
    """A study by every rule of depth.

    Attributes:
        free_share: lesions whose depth the constant gets right by the challenge's rule.
        chance: mean sensitivity of the runs' boxes on other patients, by rule.
        ceilings: what all runs together find, by rule.
    """

    results: StudyResults
    rules: DepthRules
    rows: tuple[DepthRow, ...]
    free_share: float
    chance: Mapping[str, Level]
    ceilings: Mapping[str, Ceiling]


def depth_rules(
    truth: ChallengeTruth, tolerance_mm: float | None, slice_mm: float | None, constant: float
) -> DepthRules:
    """Return the rules of a study.

    Args:
        truth: its volumes.
        tolerance_mm: in depth; None is ``TOLERANCE_MM`` where ``slice_mm`` is given.
        slice_mm: distance of all slices; None: no tolerance in mm.
        constant: share of the stack.

    Raises:
        ConfigError: a tolerance without a distance of slices, or a number that cannot be.
    """
    if slice_mm is None:
        if tolerance_mm is not None:
            raise ConfigError(
                "--depth-tolerance: a study's tables do not say how far slices lie apart; add --slice-mm"
            )
        return DepthRules(constant)
    check_distance(slice_mm)
    return DepthRules(constant, tolerance_mm or TOLERANCE_MM, np.full(len(truth.volumes), slice_mm))


def summarise_depth(results: StudyResults, rules: DepthRules, seed: int = 0) -> DepthTable:
    """Judge every complete run by every rule of depth.

    Args:
        results: what ``read_results`` returned.
        rules: beside the challenge's.
        seed: of the draws.

    Raises:
        ConfigError: the students learnt single images.
    """
    if any(run.config.data.single_images for run in results.grid.students):
        raise ConfigError("a study of single images (data.single_images) has no depth to compare")
    each = by_rule(results, rules)
    rows = tuple(
        _row(results, each, place, rules, seed)
        for place in track(results.runs, "rules of depth", len(results.runs))
        if results.runs[place]
    )
    truth = results.truth
    laid = [_matched(run, truth, rules) for run in on_other_patients(_distinct(each[CHALLENGE]), truth)]
    elsewhere = {name: [run[name] for run in laid] for name in each}
    return DepthTable(
        results,
        rules,
        rows,
        share_that_is_free(truth, rules.constant),
        {name: _mean_sensitivity(found, truth) for name, found in elsewhere.items()},
        {name: ceiling(_distinct(own), elsewhere[name], truth) for name, own in each.items()},
    )


def by_rule(results: StudyResults, rules: DepthRules) -> dict[str, StudyResults]:
    """Return the results matched by each rule of depth; a run that several rows share stays one run."""
    matched: dict[int, dict[str, RunResult]] = {}
    for runs in results.runs.values():
        for run in runs.values():
            if id(run) not in matched:
                found = _matched(run.found, results.truth, rules)
                matched[id(run)] = {name: replace(run, found=own) for name, own in found.items()}
    names = list(next(iter(matched.values())))
    return {
        name: replace(
            results,
            runs={
                place: {pair: matched[id(run)][name] for pair, run in runs.items()}
                for place, runs in results.runs.items()
            },
        )
        for name in names
    }


def _matched(
    found: ChallengePredictions, truth: ChallengeTruth, rules: DepthRules
) -> dict[str, ChallengePredictions]:
    return {CHALLENGE: found, **depth_variants(found, truth, rules)}


def _distinct(results: StudyResults) -> list[ChallengePredictions]:
    runs = {id(run): run for runs in results.runs.values() for run in runs.values()}
    return [run.found for run in runs.values()]


def _row(
    results: StudyResults, each: Mapping[str, StudyResults], place: Place, rules: DepthRules, seed: int
) -> DepthRow:
    regime, fraction, variant = place
    study, truth = results.study, results.truth
    most = regime, max(study.fractions), variant
    reference = regime, fraction, study.reference
    errors = [depth_errors(run.found, truth) for run in results.runs[place].values()]
    constant = [constant_depth_errors(one, truth, rules.constant) for one in errors]
    return DepthRow(
        place=place,
        runs=len(results.runs[place]),
        levels={
            name: _mean_sensitivity([run.found for run in own.runs[place].values()], truth)
            for name, own in each.items()
        },
        median_error=Level(*mean_and_sd([float(np.nanmedian(one)) for one in errors])),
        constant_error=Level(*mean_and_sd([float(np.nanmedian(one)) for one in constant])),
        more_patients={} if place == most else _differences(each, most, place, seed),
        against={} if variant == study.reference else _differences(each, place, reference, seed),
    )


def _mean_sensitivity(runs: Sequence[ChallengePredictions], truth: ChallengeTruth) -> Level:
    return Level(*mean_and_sd([mean_sensitivity_positive(run, truth) for run in runs]))


def _differences(
    each: Mapping[str, StudyResults], one: Place, other: Place, seed: int
) -> dict[str, VariantDifference]:
    """Return how much more ``one`` finds than ``other``, by rule; nothing where no runs can be paired."""
    found = {}
    for name, results in each.items():
        difference = compare(results, results.runs.get(one, {}), results.runs.get(other, {}), seed)
        if difference is not None:
            found[name] = difference
    return found


def write_depth(folder: Path, table: DepthTable) -> tuple[Path, Path]:
    """Write ``depth.md`` and ``depth.csv`` into the study's folder; former ones are replaced."""
    texts = {DEPTH_MD: depth_markdown(table), DEPTH_CSV: depth_frame(table).to_csv(index=False)}
    contents = {folder / named(table.results, name): text.encode() for name, text in texts.items()}
    output_files(contents, overwrite=True)
    depth_md, depth_csv = contents
    return depth_md, depth_csv


def depth_frame(table: DepthTable) -> pd.DataFrame:
    """Return one line a row and rule of depth, numbers unrounded."""
    lines = []
    for row in table.rows:
        regime, fraction, variant = row.place
        for rule, level in row.levels.items():
            line: dict[str, object] = {
                "regime": regime,
                "fraction": fraction,
                "variant": variant,
                "rule": rule,
            }
            line |= {"runs": row.runs, "mean": level.mean, "sd": level.sd}
            for name, differences in (("more_patients", row.more_patients), ("difference", row.against)):
                one = differences.get(rule)
                numbers = (math.nan,) * 3 if one is None else (one.value, one.interval.low, one.interval.high)
                line |= dict(zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True))
            lines.append(line)
    return pd.DataFrame(lines)


def depth_markdown(table: DepthTable) -> str:
    """Return the tables of levels, of more patients, of variants and of the ceiling."""
    results = table.results
    study, names = results.study, list(table.ceilings)
    titles = {CHALLENGE: CHALLENGE, **depth_titles(table.rules)}
    heads = [titles[name] for name in names]
    lines = [
        f"# Study {study.name}: depth",
        "",
        "Mean sensitivity at 1 to 4 false positives per volume with a lesion, mean ± SD over runs, by what "
        f"counts as a hit. {len(results.truth.lesion_volume)} lesions; {100 * table.free_share:.0f} % of "
        f"them lie within a quarter of the stack of the constant depth, {table.rules.constant:g} of the "
        "slices.",
        "",
        *_table(
            ["runs", *heads, "median depth error, slices", "of the constant"],
            [
                (
                    row.place,
                    [
                        str(row.runs),
                        *_spreads(row, names),
                        spread(*row.median_error),
                        spread(*row.constant_error),
                    ],
                )
                for row in table.rows
            ],
        ),
        "| | | boxes of other patients | | "
        f"{' | '.join(spread(*table.chance[name]) for name in names)} | | |",
    ]
    for title, chosen in (
        (f"## {percent(max(study.fractions))} of the patients minus fewer", "more_patients"),
        (f"## Minus {study.reference}", "against"),
    ):
        rows = [(row.place, getattr(row, chosen)) for row in table.rows if getattr(row, chosen)]
        if rows:
            cells = [
                (place, [str(own[names[0]].runs), *(difference_text(own.get(name)) for name in names)])
                for place, own in rows
            ]
            lines += ["", title, "", *_table(["pairs", *heads], cells)]
    lines += ["", "## What all runs together find", "", *_ceiling_lines(table, heads)]
    return "\n".join([*lines, ""])


def _spreads(row: DepthRow, names: Sequence[str]) -> list[str]:
    return [spread(*row.levels[name]) for name in names]


def _table(heads: Sequence[str], rows: Sequence[tuple[Place, Sequence[str]]]) -> list[str]:
    lines = [f"| regime | patients | variant | {' | '.join(heads)} |", f"|---|---|---|{'---|' * len(heads)}"]
    for (regime, fraction, variant), cells in rows:
        lines.append(f"| {regime} | {percent(fraction)} | {variant} | {' | '.join(cells)} |")
    return lines


def _ceiling_lines(table: DepthTable, heads: Sequence[str]) -> list[str]:
    own = list(table.ceilings.values())
    texts = {
        "a run, on average": [each.one for each in own],
        "at least one run": [each.any_run for each in own],
        "at least half of the runs": [each.half for each in own],
        "all runs": [each.all_runs for each in own],
        "boxes of another patient: a run, on average": [each.one_by_chance for each in own],
        "boxes of another patient: at least one run": [each.any_by_chance for each in own],
    }
    lines = [
        f"Share of the lesions that {own[0].num_runs} runs hit at 4 false positives per volume with a "
        "lesion. The last lines lay the boxes of another patient onto every volume: what so many boxes hit "
        "by chance.",
        "",
        f"| found by | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    return lines + [f"| {name} | {' | '.join(f'{v:.3f}' for v in each)} |" for name, each in texts.items()]
