"""What a study can tell apart: how many pairs of runs and test volumes a difference needs.

The variances are estimated from the study's own runs (``comoto.evaluation.power``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comoto.evaluation.power import DIFFERENCE, POWER, DifferenceVariance, difference_variance, needed
from comoto.progress import track
from comoto.study.results import Pair, StudyResults, common_pairs
from comoto.study.table import percent

_RUNS = (3, 5, 9)
_MOST_RUNS = 100
_DRAWS = 500


@dataclass(frozen=True)
class PowerLine:
    """One variant against the reference.

    Attributes:
        variance: of the difference, and the runs and volumes that it was estimated from.
        runs_needed: pairs of runs on the study's own volumes; None if not even 100 are enough.
        volumes_needed: test volumes with a lesion for 3, 5 and 9 pairs; None if none is enough.
    """

    regime: str
    fraction: float
    variant: str
    variance: DifferenceVariance
    runs_needed: int | None
    volumes_needed: tuple[int | None, ...]

    @property
    def half_width(self) -> float:
        """Half of the width that an interval of this comparison is expected to have."""
        return self.variance.half_width(self.variance.num_runs, self.variance.num_volumes)

    @property
    def power(self) -> float:
        """Chance that this comparison shows a true difference of 7 points."""
        return self.variance.power(self.variance.num_runs, self.variance.num_volumes)

    def cells(self) -> tuple[str, ...]:
        """Return the line in words, as ``POWER_COLUMNS`` names them."""
        own = (
            self.regime,
            percent(self.fraction),
            self.variant,
            str(self.variance.num_runs),
            f"{self.variance.run**0.5:.3f}",
            f"± {self.half_width:.3f}",
            f"{100 * self.power:.0f} %",
            _number(self.runs_needed),
        )
        return (*own, *(_number(volumes) for volumes in self.volumes_needed))


POWER_COLUMNS = (
    "Regime",
    "Patients",
    "Variant",
    "Pairs",
    "SD between pairs",
    "Half width",
    f"Power for {100 * DIFFERENCE:.0f} points",
    "Pairs needed on these volumes",
    *(f"Volumes needed with {runs} pairs" for runs in _RUNS),
)


def power_lines(results: StudyResults) -> list[PowerLine]:
    """Work out every comparison that has at least two independent pairs of runs."""
    lines = []
    rows = track(results.runs.items(), "what can be told apart", len(results.runs))
    for (regime, fraction, variant), runs in rows:
        reference = results.runs.get((regime, fraction, results.study.reference), {})
        pairs = independent_pairs(common_pairs(runs, reference))
        if variant == results.study.reference or len(pairs) < 2 or len(results.truth.patients) < 2:
            continue
        ours, theirs = ([row[pair].found for pair in pairs] for row in (runs, reference))
        variance = difference_variance(ours, theirs, results.truth, _DRAWS)
        volumes = {each.num_runs: each.num_volumes for each in needed(variance, num_runs=_RUNS)}
        enough = (
            each.num_runs
            for each in needed(variance, num_runs=range(1, _MOST_RUNS + 1))
            if each.num_volumes is not None and each.num_volumes <= variance.num_volumes
        )
        wanted = tuple(volumes[runs] for runs in _RUNS)
        lines.append(PowerLine(regime, fraction, variant, variance, next(enough, None), wanted))
    return lines


def independent_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return one pair a seed, for those of one seed share a teacher; of a single seed, all.

    Of a single seed the variance between teachers is not in the answer.
    """
    first: dict[int, Pair] = {}
    for seed, repetition in pairs:
        first.setdefault(seed, (seed, repetition))
    return list(pairs) if len(first) == 1 else list(first.values())


def power_sentences(results: StudyResults, lines: Sequence[PowerLine]) -> list[str]:
    """Say what the lines mean, in general."""
    points, chance = f"{100 * DIFFERENCE:.0f} points", f"{100 * POWER:.0f} %"
    if not lines:
        return [
            f"How many runs a difference of {points} needs is known once two seeds of two variants are "
            "complete."
        ]
    ready = sum(line.power >= POWER for line in lines)
    sentences = [
        f"By the variances that this study found, a true difference of {points} would be seen (its 95 % "
        f"interval excludes 0) with a chance of {chance} or more in {ready} of {len(lines)} comparisons.",
        f"One pair of runs a seed is counted. From {lines[0].variance.num_runs} pairs these variances are "
        "rough, and so are the numbers that follow from them.",
    ]
    if len(results.study.seeds) == 1:
        sentences.append("With one seed, how much teachers differ is not in these numbers.")
    return sentences


def _number(value: int | None) -> str:
    return "none is enough" if value is None else str(value)
