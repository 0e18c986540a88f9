"""``comoto study verdict``: the comparisons that a study was made for, judged together.

They stand in the study file (``main``), so they are named before the test volumes are looked at. Each is
judged by every main figure: the challenge's mean sensitivity and, where the distance of slices is given, the
same with a tolerance in depth. The p-values of one figure are corrected together (S. Holm, "A simple
sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from comoto.errors import ConfigError
from comoto.evaluation.bootstrap import LEVEL
from comoto.evaluation.depth_variants import MILLIMETRES, DepthRules, depth_titles
from comoto.evaluation.hierarchical import HierarchicalEstimate, hierarchical_difference
from comoto.output_files import output_files
from comoto.progress import track
from comoto.study.config import MainComparison
from comoto.study.depth_table import CHALLENGE, by_rule
from comoto.study.grid import rule_texts
from comoto.study.results import Place, StudyResults, common_pairs, nested
from comoto.study.table import named, percent, signed

VERDICT_MD, VERDICT_CSV = "verdict.md", "verdict.csv"
Word = Literal["better", "worse", "equivalent", "not worse", "not decided"]


@dataclass(frozen=True)
class Judgement:
    """One comparison by one figure.

    Attributes:
        adjusted: its p-value by Holm's correction over the comparisons of the study.
        word: ``better`` or ``worse`` where the corrected p-value is below 5 %; else ``equivalent`` where the
            interval lies within the margin on both sides, ``not worse`` where it does on the lower side.
    """

    estimate: HierarchicalEstimate
    adjusted: float
    word: Word


@dataclass(frozen=True)
class Verdict:
    """The main comparisons of a study.

    Attributes:
        figures: main figure -> the judgement of each comparison, in the order of ``study.main``.
    """

    results: StudyResults
    rules: DepthRules | None
    figures: Mapping[str, tuple[Judgement, ...]]


def judge(results: StudyResults, rules: DepthRules | None, seed: int = 0) -> Verdict:
    """Judge the main comparisons of a study.

    Args:
        results: what ``read_results`` returned.
        rules: of depth; only a tolerance in millimetres is taken from it. None: by the challenge alone.
        seed: of the draws.

    Raises:
        ConfigError: the study names no main comparison, or runs of one are missing.
    """
    comparisons = results.study.main
    if not comparisons:
        raise ConfigError(
            "the study names no comparison under 'main'; name those that it is made for, such as "
            f"main: [{{variant: {_some_variant(results)}, fraction: {results.study.fractions[0]:g}}}]"
        )
    for one in comparisons:
        _refuse_unfinished(results, one)
    each = {CHALLENGE: results}
    if rules is not None and rules.tolerance_mm is not None:
        each[MILLIMETRES] = by_rule(results, rules)[MILLIMETRES]
    figures = {}
    for name, matched in each.items():
        found = [_difference(matched, one, seed) for one in track(comparisons, name, len(comparisons))]
        adjusted = holm([one.p_value for one in found])
        figures[name] = tuple(
            Judgement(one, p_value, _word(one, p_value, results.study.margin))
            for one, p_value in zip(found, adjusted, strict=True)
        )
    return Verdict(results, rules, figures)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Args:
        p_values: of hypotheses that are tested together; NaN counts as 1.
    """
    values = np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=1.0)
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return [float(one) for one in corrected]


def write_verdict(folder: Path, verdict: Verdict) -> tuple[Path, Path]:
    """Write ``verdict.md`` and ``verdict.csv`` into the study's folder; former ones are replaced."""
    texts = {VERDICT_MD: verdict_markdown(verdict), VERDICT_CSV: frame(verdict).to_csv(index=False)}
    contents = {folder / named(verdict.results, name): text.encode() for name, text in texts.items()}
    output_files(contents, overwrite=True)
    verdict_md, verdict_csv = contents
    return verdict_md, verdict_csv


def frame(verdict: Verdict) -> pd.DataFrame:
    """Return one line a comparison and figure, numbers unrounded."""
    lines = []
    for figure, judgements in verdict.figures.items():
        for one, own in zip(verdict.results.study.main, judgements, strict=True):
            regime, fraction, variant = _places(verdict.results, one)[0]
            lines.append(
                {
                    "figure": figure,
                    "regime": regime,
                    "fraction": fraction,
                    "variant": variant,
                    "against": _places(verdict.results, one)[1][2],
                    "pairs": own.estimate.num_runs,
                    "difference": own.estimate.value,
                    "difference_low": own.estimate.interval.low,
                    "difference_high": own.estimate.interval.high,
                    "p_value": own.estimate.p_value,
                    "p_value_holm": own.adjusted,
                    "verdict": own.word,
                }
            )
    return pd.DataFrame(lines)


def verdict_markdown(verdict: Verdict) -> str:
    """Return the table, and how it was made."""
    results, study = verdict.results, verdict.results.study
    titles = {CHALLENGE: CHALLENGE, **({} if verdict.rules is None else depth_titles(verdict.rules))}
    heads = " | ".join(f"{titles[name]} | p, Holm | verdict" for name in verdict.figures)
    lines = [
        f"# Study {study.name}: verdict",
        "",
        f"Differences of the mean sensitivity at 1 to 4 false positives per volume with a lesion, with "
        f"{100 * LEVEL:.0f} % intervals over seeds, repetitions and patients.",
        "",
        f"| patients | comparison | pairs | {heads} |",
        f"|---|---|---|{'---|' * 3 * len(verdict.figures)}",
    ]
    for number, one in enumerate(study.main):
        own, other = _places(results, one)
        cells = [percent(one.fraction), f"{_named(results, own)} minus {other[2]}"]
        for position, judgements in enumerate(verdict.figures.values()):
            judged = judgements[number]
            cells += [str(judged.estimate.num_runs)] if position == 0 else []
            interval = judged.estimate.interval
            cells += [
                f"{signed(judged.estimate.value)} [{signed(interval.low)}, {signed(interval.high)}]",
                f"{judged.adjusted:.3f}",
                judged.word,
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_notes(verdict), ""])


def _notes(verdict: Verdict) -> list[str]:
    results, study = verdict.results, verdict.results.study
    margin = f"{100 * study.margin:g} points"
    notes = [
        f"Slice-to-volume aggregation: {rule_texts(study, results.grid)[results.rule]}.",
        f"{len(study.main)} comparisons were named beforehand; p-values are corrected for their number by "
        "Holm's procedure, for each figure by itself. A p-value is twice the share of "
        f"{study.bootstrap} draws on the other side of 0.",
        "better, worse: the corrected p-value is below 0.05. equivalent: the interval lies within "
        f"{margin} of 0 on both sides. not worse: it lies above {margin} below 0. not decided: none of "
        "these, which is no proof of equality.",
    ]
    if results.is_changed:
        notes.append("study.yaml was changed since the study was last run; this table follows it.")
    return notes


def _difference(results: StudyResults, one: MainComparison, seed: int) -> HierarchicalEstimate:
    ours, theirs = (results.runs[place] for place in _places(results, one))
    pairs = common_pairs(ours, theirs)
    return hierarchical_difference(
        nested(ours, pairs), nested(theirs, pairs), results.truth, results.study.bootstrap, seed
    )


def _word(found: HierarchicalEstimate, adjusted: float, margin: float) -> Word:
    low, high = found.interval.low, found.interval.high
    if adjusted < 1 - LEVEL and len(found.run_values) > 1:  # one seed knows nothing of teachers
        return "better" if found.value > 0 else "worse"
    if low > -margin:
        return "equivalent" if high < margin else "not worse"
    return "not decided"


def _places(results: StudyResults, one: MainComparison) -> tuple[Place, Place]:
    """Return the place of a comparison's variant, and of what it is compared with."""
    study = results.study
    regime = one.regime or next(iter(study.regimes))
    return (regime, one.fraction, one.variant), (regime, one.fraction, one.against or study.reference)


def _named(results: StudyResults, place: Place) -> str:
    regime, _, variant = place
    return variant if len(results.study.regimes) == 1 else f"{variant} ({regime})"


def _refuse_unfinished(results: StudyResults, one: MainComparison) -> None:
    """Check that all runs of a comparison are complete: a verdict is given once."""
    ours, theirs = _places(results, one)
    for place in (ours, theirs):
        done, planned = len(results.runs.get(place, {})), results.planned[place]
        if done < planned:
            raise ConfigError(
                f"no verdict yet: {done} of {planned} runs of '{place[2]}' at {percent(place[1])} of the "
                "patients are complete; finish them with 'comoto study run' (comoto study table shows what "
                "is there)"
            )
    if not common_pairs(results.runs[ours], results.runs[theirs]):
        raise ConfigError(f"'{ours[2]}' and '{theirs[2]}' share no seed and repetition")


def _some_variant(results: StudyResults) -> str:
    return next(name for name in (*results.study.variants, "") if name != results.study.reference)
