"""``report.html`` of a study: one page that needs nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from comoto.config import dump_yaml
from comoto.evaluation.depth import CAUTION
from comoto.evaluation.runs import LesionSizes, RunsFroc, SizeGroup, froc_over_runs, sensitivity_by_size
from comoto.output_files import output_files
from comoto.progress import track
from comoto.report.page import fill
from comoto.report.pictures import figure_image
from comoto.report.study_figures import (
    differences_figure,
    fractions_figure,
    froc_curves_figure,
    size_name,
    sizes_figure,
)
from comoto.report.wording import count
from comoto.study.grid import rule_texts
from comoto.study.power_note import POWER_COLUMNS, power_lines, power_sentences
from comoto.study.results import Place, StudyResults, nested
from comoto.study.table import (
    MEAN,
    METRICS,
    VariantDifference,
    VariantRow,
    difference_text,
    named,
    notes,
    percent,
    runs_text,
    spread,
)
from comoto.tables import Float64Array

REPORT = "report.html"
CURVE_FPS: Float64Array = np.linspace(0.0, 5.0, 51)
"""FP rates at which the curves of the runs are averaged."""
SIZE_GROUPS = 3
SIZES_FPS = 2.0


def write_study_report(folder: Path, results: StudyResults, rows: tuple[VariantRow, ...]) -> Path:
    """Write ``report.html`` into the study's folder; a former one is replaced.

    Args:
        folder: of the study.
        results: what ``read_results`` returned.
        rows: what ``summarise`` made of them.
    """
    path = folder / named(results, REPORT)
    output_files({path: fill("study.html.j2", _page(results, rows)).encode()}, overwrite=True)
    return path


def _page(results: StudyResults, rows: tuple[VariantRow, ...]) -> dict[str, Any]:
    study, truth = results.study, results.truth
    positive = count(int(truth.is_positive.sum()), "volume")
    groups, power = _size_groups(results), power_lines(results)
    return {
        "study": study,
        "depth_sentence": CAUTION,
        "denominators": (
            f"{count(len(truth.lesion_volume), 'lesion')} in {positive}; "
            f"{count(len(truth.volumes), 'test volume')} of {count(len(truth.patients), 'patient')} in all"
        ),
        "notes": [note.replace("(bold)", "(bold in the table)") for note in notes(results, rows)],
        "power": power_sentences(results, power),
        "power_columns": POWER_COLUMNS,
        "power_lines": [line.cells() for line in power],
        "fractions": figure_image(
            fractions_figure(study, rows), "Mean sensitivity against the share of the training patients"
        ),
        "differences": figure_image(
            differences_figure(study, rows), f"Mean sensitivity of each variant minus {study.reference}"
        ),
        "froc": figure_image(froc_curves_figure(study, _curves(results)), "Mean FROC curves of the variants"),
        "sizes": figure_image(sizes_figure(study, groups), "Share of lesions found by size of the lesion"),
        "size_counts": _size_counts(groups),
        "lines": [_line(row) for row in rows],
        "first_regime": next(iter(study.regimes)) if len(study.regimes) > 1 else "",
        "has_comparisons": any(row.comparison is not None for row in rows),
        "variants": [_variant(name, results) for name in study.variants],
        "rules": rule_texts(study, results.grid) if study.rules else {},
        "regimes": {
            name: ", ".join(settings) or "no further settings" for name, settings in study.regimes.items()
        },
        "yaml": dump_yaml(study.model_dump(mode="json")),
    }


def _line(row: VariantRow) -> dict[str, Any]:
    """Return a row of the table in words."""
    return {
        "regime": row.regime,
        "patients": percent(row.fraction),
        "variant": row.variant,
        "runs": runs_text(row),
        "mean": spread(row.mean[MEAN], row.sd[MEAN]),
        "metrics": [spread(row.mean[name], math.nan) for name in METRICS if name != MEAN],
        "difference": _two_lines(row.comparison),
        "is_sure": row.comparison is not None and row.comparison.is_sure,
        "between": _two_lines(row.between),
        "regime_matters": row.between is not None and row.between.is_sure,
    }


def _two_lines(found: VariantDifference | None) -> str:
    """Return a difference with its interval on a line of its own."""
    return difference_text(found).strip("*").replace(" [", "\n[")


def _variant(name: str, results: StudyResults) -> dict[str, str]:
    """Say what distinguishes a variant."""
    variant = results.study.variants[name]
    teacher = {None: "none", True: "with ImPA", False: "without ImPA"}[variant.impa]
    return {"name": name, "teacher": teacher, "settings": ", ".join(variant.settings) or "none of its own"}


def _curves(results: StudyResults) -> dict[Place, RunsFroc]:
    replicates = results.study.bootstrap
    return {
        place: froc_over_runs(nested(runs, sorted(runs)), results.truth, CURVE_FPS, replicates)
        for place, runs in track(results.runs.items(), "average the curves", len(results.runs))
        if runs
    }


def _size_groups(results: StudyResults) -> dict[Place, list[SizeGroup]]:
    sizes = LesionSizes.in_equal_groups(results.lesion_size, SIZE_GROUPS)
    replicates = results.study.bootstrap
    return {
        place: sensitivity_by_size(nested(runs, sorted(runs)), results.truth, sizes, SIZES_FPS, replicates)
        for place, runs in track(results.runs.items(), "sizes of lesions", len(results.runs))
        if runs
    }


def _size_counts(groups: dict[Place, list[SizeGroup]]) -> str:
    one = next(iter(groups.values()), [])
    return "; ".join(f"{size_name(group)} px: {count(group.num_lesions, 'lesion')}" for group in one)
