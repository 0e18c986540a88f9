"""What the complete runs of a study found on the test volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comoto.components import suggest
from comoto.errors import ConfigError, DatasetError
from comoto.evaluation.challenge import ChallengeResult, evaluate
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    read_predictions,
    read_truth,
)
from comoto.progress import track
from comoto.study.config import StudyConfig, saved_study
from comoto.study.grid import Grid, build_grid
from comoto.study.kept import (
    BOXES,
    DONE,
    LABELS,
    check_predictions,
    check_test_tables,
    is_changed,
    lacking,
    predictions_name,
    read_done,
)
from comoto.study.settings_check import refuse_changed_settings
from comoto.tables import Float64Array, read_table

Place = tuple[str, float, str]
"""Regime, fraction and variant: one row of the table."""
Pair = tuple[int, int]
"""Seed and repetition: what makes two runs of different variants comparable."""


@dataclass(frozen=True)
class RunResult:
    """One complete run.

    Attributes:
        found: its detections, matched to the lesions.
        result: the challenge's metrics and curves.
    """

    found: ChallengePredictions
    result: ChallengeResult


@dataclass(frozen=True)
class StudyResults:
    """Everything that is complete.

    Attributes:
        grid: everything that was planned.
        truth: the test volumes and lesions.
        lesion_size: (L,) longer side of each lesion's box in source pixels, in the order of the boxes.
        runs: the complete runs of each row; rows in the order of the study, empty ones included.
        rule: name of the further slice-to-volume aggregation rule; "" is the students' own.
        unchecked: files without a checksum, by which damage would be noticed.
        is_changed: whether the kept settings are others than those of the last run.
    """

    study: StudyConfig
    grid: Grid
    truth: ChallengeTruth
    lesion_size: Float64Array
    runs: dict[Place, dict[Pair, RunResult]]
    rule: str = ""
    unchecked: tuple[str, ...] = ()
    is_changed: bool = False

    @property
    def suffix(self) -> str:
        """What distinguishes the names of files made with this rule."""
        return f"-{self.rule}" if self.rule else ""

    @property
    def planned(self) -> dict[Place, int]:
        """Number of runs that each row will have."""
        counts = dict.fromkeys(self.runs, 0)
        for cell in self.grid.cells:
            counts[cell.regime, cell.fraction, cell.variant] += 1
        return counts


def read_results(
    folder: Path, bootstrap: int | None = None, *, rule: str = "", reference: str | None = None
) -> StudyResults:
    """Read the predictions of every complete run; each is evaluated once, however many rows share it.

    Args:
        folder: of a study, moved or not.
        bootstrap: replicates of every interval; None takes the study's.
        rule: one of the study's further slice-to-volume aggregation rules; "" is the students' own.
        reference: variant that the others are compared with; None takes the study's.

    Raises:
        ConfigError: the folder holds no study, the study has no such rule or variant, or a run was trained
            with other settings.
        DatasetError: no run is complete, a table is damaged, or a run predicted other volumes.
    """
    folder = folder.absolute()
    study = saved_study(folder)
    if bootstrap is not None:
        study = study.model_copy(update={"bootstrap": bootstrap})
    if reference is not None:
        _known("--reference", reference, study.variants)
        study = study.model_copy(update={"reference": reference})
    if rule:
        _known("--rule", rule, study.rules)
    grid = build_grid(study, folder)
    labels, boxes = folder / LABELS, folder / BOXES
    test_sha256 = check_test_tables(folder)
    truth = read_truth(labels, boxes, study.min_hit_radius)
    done = [run for run in grid.students if (folder / run.name / DONE).is_file()]
    if not done:
        raise DatasetError(f"{folder}: no student is complete yet; 'comoto study run' goes on")
    refuse_changed_settings(done, folder)
    complete = [run.name for run in done]
    _check_rule(folder, complete, rule)
    unchecked = [] if test_sha256 else [LABELS, BOXES]
    unchecked += [name for name in complete if not _is_checked(folder / name, rule, test_sha256)]
    results = {}
    for name in track(complete, "evaluate the runs", len(complete)):
        path = folder / name / predictions_name(rule)
        result = evaluate(path, labels, boxes, min_radius=study.min_hit_radius)
        results[name] = RunResult(read_predictions(path, truth), result)
    runs: dict[Place, dict[Pair, RunResult]] = {}
    for cell in sorted(
        grid.cells, key=lambda cell: _row_order(study, cell.regime, cell.fraction, cell.variant)
    ):
        row = runs.setdefault((cell.regime, cell.fraction, cell.variant), {})
        if cell.run in results:
            row[cell.seed, cell.repetition] = results[cell.run]
    return StudyResults(study, grid, truth, _sizes(boxes), runs, rule, tuple(unchecked), is_changed(folder))


def common_pairs(one: dict[Pair, RunResult], other: dict[Pair, RunResult]) -> list[Pair]:
    """Return the seeds and repetitions that both rows have, sorted; a run is not compared with itself."""
    return [pair for pair in sorted(set(one) & set(other)) if one[pair] is not other[pair]]


def nested(row: dict[Pair, RunResult], pairs: list[Pair]) -> list[list[ChallengePredictions]]:
    """Return the detections as [seed][repetition], for the hierarchical bootstrap."""
    seeds = list(dict.fromkeys(seed for seed, _ in pairs))
    return [[row[pair].found for pair in pairs if pair[0] == seed] for seed in seeds]


def _known(option: str, name: str, names: Mapping[str, object]) -> None:
    if name not in names:
        raise ConfigError(f"{option} {name}: the study has none of that name; {suggest(name, names)}")


def _check_rule(folder: Path, complete: list[str], rule: str) -> None:
    without = [name for name in complete if lacking(folder / name, [rule])]
    if without:
        under = f"under the rule {rule}" if rule else "of the test volumes"
        raise DatasetError(
            f"{folder / without[0]}: no predictions {under}, nor in {len(without) - 1} other complete runs; "
            "'comoto study run' with the study's file makes them"
        )


def _is_checked(run: Path, rule: str, test_sha256: str | None) -> bool:
    """Check a run's predictions, and that they are of the study's test volumes.

    Returns:
        Whether there is a checksum.
    """
    predicted = (read_done(run) or {}).get("test_sha256")
    if predicted and test_sha256 and predicted != test_sha256:
        raise DatasetError(
            f"{run}: predicted other volumes or lesions than {LABELS} and {BOXES} now hold; remove that "
            "folder and run the study again"
        )
    return check_predictions(run, rule)


def _row_order(study: StudyConfig, regime: str, fraction: float, variant: str) -> tuple[int, float, int]:
    return list(study.regimes).index(regime), fraction, list(study.variants).index(variant)


def _sizes(boxes: Path) -> Float64Array:
    table = read_table(boxes, "boxes", (), ("Width", "Height"))
    return np.maximum(table.numbers["Width"], table.numbers["Height"])
