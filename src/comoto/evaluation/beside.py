"""What stands beside the challenge's metric: other rules of depth, other denominators, parts of the cohort.

L lesions, V volumes, P patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from comoto.evaluation.auc import Units, unit_area
from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth
from comoto.evaluation.columns import Column
from comoto.evaluation.depth_variants import (
    CONSTANT_PREFIX,
    DepthErrorFigures,
    DepthRules,
    constant_depth_errors,
    depth_errors,
    depth_variants,
    share_that_is_free,
)
from comoto.evaluation.figures import Figures, Judged, all_volume_figures, challenge_figures, judged
from comoto.evaluation.groups import is_small, num_patients_with_lesion, parts_by
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.operating_point import OperatingPoint
from comoto.evaluation.parts import Part
from comoto.evaluation.rjafroc import rjafroc_sheets, workbook
from comoto.evaluation.wafroc import wafroc_area

CHALLENGE, DEPTH_ERROR, ALL_VOLUMES, AREAS = "challenge", "depth_error", "all_volumes", "areas"
Kinds = Mapping[str, Mapping[str, Judged]]
"""Figures by name, by their kind."""


@dataclass(frozen=True)
class PartResult:
    """The figures of a part of the cohort.

    Attributes:
        num_lesions: of the part.
        num_volumes: on which its false positives count.
        num_positive, num_patients: volumes, and patients, with one of its lesions.
        is_small: too few lesions or patients to say much.
        kinds: the figures.
    """

    num_lesions: int
    num_volumes: int
    num_positive: int
    num_patients: int
    is_small: bool
    kinds: Kinds

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "num_lesions": self.num_lesions,
            "num_volumes": self.num_volumes,
            "num_volumes_positive": self.num_positive,
            "num_patients_positive": self.num_patients,
            "small": self.is_small,
            **{
                kind: {name: figure.record() for name, figure in figures.items()}
                for kind, figures in self.kinds.items()
            },
        }


@dataclass(frozen=True)
class Beside:
    """What stands beside the challenge's metric.

    Attributes:
        whole: of the cohort.
        groups: of its parts, by column and value.
        rules: of depth.
        free_share: lesions whose depth a constant share of the stack gets right by the challenge's rule.
        point: an operating point, None if not asked for.
        found, truth: of which it is made.
    """

    whole: PartResult
    groups: Mapping[str, Mapping[str, PartResult]]
    rules: DepthRules
    free_share: float
    found: ChallengePredictions = field(repr=False)
    truth: ChallengeTruth = field(repr=False)
    point: OperatingPoint | None = None

    def lines(self) -> list[str]:
        """Return the lines that stand under the summary of the challenge's metric."""
        from comoto.evaluation.beside_text import beside_lines

        return beside_lines(self)

    def rjafroc(self) -> bytes:
        """Return an Excel file that the R package RJafroc reads.

        Raises:
            ConfigError: the package openpyxl is not installed, or there is no hit or no false positive.
        """
        return workbook(rjafroc_sheets(self.found, self.truth))

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "settings": {
                "constant_depth": self.rules.constant,
                "depth_tolerance_mm": self.rules.tolerance_mm,
            },
            "share_of_lesions_at_constant_depth": self.free_share,
            **self.whole.record(),
            "groups": {
                column: {value: part.record() for value, part in parts.items()}
                for column, parts in self.groups.items()
            },
            **({} if self.point is None else {"operating_point": self.point.record()}),
        }


def beside(
    found: ChallengePredictions,
    truth: ChallengeTruth,
    rules: DepthRules,
    units: tuple[Units, ...],
    by: Mapping[str, Column],
    draws: Resampling,
) -> Beside:
    """Compute everything.

    Args:
        found: read from a table against ``truth``.
        truth: the cohort.
        rules: of depth.
        units: what areas are per.
        by: columns to group by.
        draws: how intervals are made; all figures meet the same draws.
    """
    variants = depth_variants(found, truth, rules)
    errors = depth_errors(found, truth)
    of_constant = constant_depth_errors(errors, truth, rules.constant)

    def result(part: Part, own: Mapping[str, ChallengePredictions]) -> PartResult:
        kinds: dict[str, tuple[Figures, ...]] = {
            name: challenge_figures(hits, truth, part) for name, hits in own.items()
        }
        kinds[DEPTH_ERROR] = (
            DepthErrorFigures(errors, truth, part, rules.slice_mm),
            DepthErrorFigures(of_constant, truth, part, rules.slice_mm, CONSTANT_PREFIX),
        )
        kinds[ALL_VOLUMES] = (all_volume_figures(found, truth, part),)
        kinds[AREAS] = (
            *(unit_area(found, truth, part, unit) for unit in units),
            wafroc_area(found, truth, part),
        )
        return _judged(kinds, part, truth, draws)

    groups = {
        name: {
            value: result(part, {CHALLENGE: found, **variants})
            for value, part in parts_by(name, column, truth).items()
        }
        for name, column in by.items()
    }
    free = share_that_is_free(truth, rules.constant)
    return Beside(result(Part.whole(truth), variants), groups, rules, free, found, truth)


def _judged(
    kinds: Mapping[str, tuple[Figures, ...]], part: Part, truth: ChallengeTruth, draws: Resampling
) -> PartResult:
    flat = [figures for own in kinds.values() for figures in own]
    values = iter(judged(flat, len(truth.patients), draws, part.patients(truth)))
    named = {kind: {k: v for _ in own for k, v in next(values).items()} for kind, own in kinds.items()}
    return PartResult(
        num_lesions=int(part.lesions.sum()),
        num_volumes=int(part.volumes.sum()),
        num_positive=len(np.unique(truth.lesion_volume[part.lesions])),
        num_patients=num_patients_with_lesion(part, truth),
        is_small=is_small(part, truth),
        kinds=named,
    )
