"""``comoto study rules``: the same runs under every slice-to-volume aggregation rule, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comoto.errors import ConfigError
from comoto.evaluation.depth import CAUTION
from comoto.output_files import output_files
from comoto.progress import track
from comoto.study.config import OWN_RULE as OWN
from comoto.study.config import StudyConfig, saved_study
from comoto.study.grid import build_grid, rule_texts
from comoto.study.results import Place, StudyResults, read_results
from comoto.study.table import MEAN, VariantDifference, compare, difference_text, metric_over, percent, spread

RULES_MD = "rules.md"


@dataclass(frozen=True)
class RuleRow:
    """One variant in one regime at one fraction, under every rule.

    Attributes:
        means, sds: of the mean sensitivity over the runs, by rule; NaN where there are too few runs.
    """

    place: Place
    means: dict[str, float]
    sds: dict[str, float]


def compare_rules(
    folder: Path, bootstrap: int | None = None, seed: int = 0
) -> tuple[list[RuleRow], dict[str, VariantDifference]]:
    """Evaluate every complete run under every rule of the study.

    Args:
        folder: of a study.
        bootstrap: replicates of the intervals; None takes the study's.
        seed: of the draws.

    Returns:
        The rows in the order of the study, and for each further rule how much higher it scores than the
        students' own on the reference variant, in the last regime at the smallest fraction.

    Raises:
        ConfigError: the study names no further rules.
        DatasetError: no run is complete.
    """
    study = saved_study(folder)
    if not study.rules:
        raise ConfigError(f"{folder}: the study names no further rules; add 'rules' to its file and run it")
    each = {OWN: read_results(folder, bootstrap)}
    for rule in track(study.rules, "rules", len(study.rules)):
        each[rule] = read_results(folder, bootstrap, rule=rule)
    rows = [_row(each, place) for place, runs in each[OWN].runs.items() if runs]
    place = _reference_place(study)
    against = {
        rule: compare(each[OWN], each[rule].runs.get(place, {}), each[OWN].runs.get(place, {}), seed)
        for rule in track(study.rules, "compare the rules", len(study.rules))
    }
    return rows, {rule: found for rule, found in against.items() if found is not None}


def write_rules(folder: Path, rows: list[RuleRow], against: dict[str, VariantDifference]) -> Path:
    """Write ``rules.md`` into the study's folder."""
    path = folder / RULES_MD
    output_files({path: rules_markdown(saved_study(folder), rows, against).encode()}, overwrite=True)
    return path


def rules_markdown(study: StudyConfig, rows: list[RuleRow], against: dict[str, VariantDifference]) -> str:
    """Return the table, with the reference variant's differences below."""
    names = list(rows[0].means)
    lines = [
        "Mean sensitivity at 1 to 4 false positives per volume with a lesion, mean ± SD over runs.",
        "",
        f"| regime | patients | variant | {' | '.join(names)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for row in rows:
        regime, fraction, variant = row.place
        own = [spread(row.means[name], row.sds[name]) for name in names]
        cells = [regime, percent(fraction), variant, *own]
        lines.append(f"| {' | '.join(cells)} |")
    texts = rule_texts(study, build_grid(study, Path()))
    lines += ["", CAUTION]
    lines += ["", f"{OWN}: {texts.pop('')}. Further rules: {', '.join(texts.values())}."]
    regime, fraction, reference = _reference_place(study)
    where = f"variant {reference}, regime {regime}, {percent(fraction)} of the patients"
    for rule, found in against.items():
        runs = "1 run" if found.runs == 1 else f"{found.runs} runs"
        lines += ["", f"{rule} minus {OWN}, {where}, {runs}: {difference_text(found)}."]
    return "\n".join([*lines, ""])


def _reference_place(study: StudyConfig) -> Place:
    """Return where rules are compared: the reference in the last regime at the smallest fraction."""
    return list(study.regimes)[-1], min(study.fractions), study.reference


def _row(each: dict[str, StudyResults], place: Place) -> RuleRow:
    numbers = {rule: metric_over(results.runs[place], MEAN) for rule, results in each.items()}
    means = {rule: mean for rule, (mean, _) in numbers.items()}
    return RuleRow(place, means, {rule: sd for rule, (_, sd) in numbers.items()})
