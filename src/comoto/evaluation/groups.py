"""Parts of a cohort by the values of a column."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np

from comoto.errors import ConfigError
from comoto.evaluation.challenge_tables import ChallengeTruth
from comoto.evaluation.columns import NOT_SAID, Column, binned
from comoto.evaluation.parts import Part

FEW_LESIONS = 10
FEW_PATIENTS = 5
_MOST_GROUPS = 20
_MOST_NUMBERS = 8
"""A column with more numbers than this is cut into thirds."""


def parts_by(name: str, column: Column, truth: ChallengeTruth) -> dict[str, Part]:
    """Return a part for each value of a column, in the order of the values; numbers by what they are worth.

    Lesions are grouped by a column of lesions: false positives count on all volumes, as they do for the
    whole. By a column of volumes both are: lesions and false positives on the volumes of the group.

    Args:
        name: of the column, for messages.
        column: what it says.
        truth: the cohort.

    Raises:
        ConfigError: the column has more values than a table can show.
    """
    column = _in_thirds(column)
    values = np.array([value or NOT_SAID for value in column.values], dtype=object)
    present = set(values.tolist())
    if len(present) > _MOST_GROUPS:
        raise ConfigError(
            f"--by {name}: {len(present)} different values; choose a column with at most {_MOST_GROUPS}"
        )
    order = [value for value in column.order if value in present] or _sorted(present - {NOT_SAID})
    whole = Part.whole(truth)
    parts = {}
    for value in [*order, *([NOT_SAID] if NOT_SAID in present else [])]:
        chosen = np.asarray(values == value, dtype=bool)
        if column.of == "lesions":
            parts[value] = replace(whole, lesions=chosen)
        else:
            parts[value] = Part(chosen[truth.lesion_volume], chosen)
    return parts


def _sorted(values: set[str]) -> list[str]:
    """Sort texts, and numbers by their value if all are."""
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        return sorted(values)
    if any(map(isnan, numbers.values())):
        return sorted(values)
    return sorted(values, key=lambda value: (numbers[value], value))


def is_small(part: Part, truth: ChallengeTruth) -> bool:
    """Whether figures of a part say little: fewer than 10 lesions, or lesions of fewer than 5 patients."""
    return int(part.lesions.sum()) < FEW_LESIONS or num_patients_with_lesion(part, truth) < FEW_PATIENTS


def num_patients_with_lesion(part: Part, truth: ChallengeTruth) -> int:
    """Return how many patients have a lesion of the part."""
    return len(np.unique(truth.volume_patient[truth.lesion_volume[part.lesions]]))


def _in_thirds(column: Column) -> Column:
    """Cut a column of many numbers into thirds of those that are said; leave others as they are."""
    said = [value for value in column.values if value]
    if column.order or len(set(said)) <= _MOST_NUMBERS:
        return column
    try:
        numbers = np.array([float(value) if value else np.nan for value in column.values])
    except ValueError:
        return column
    edges = sorted({float(edge) for edge in np.nanquantile(numbers, [1 / 3, 2 / 3])})
    return replace(binned(numbers, edges), of=column.of)
