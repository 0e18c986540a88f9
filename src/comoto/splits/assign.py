"""Who trains, who chooses the checkpoint and who is tested: drawn by patient, reproducible.

Patients are ranked by a hash of seed and patient, as in ``fractions.py``: the draw depends neither on the
order of tables or manifests nor on a library's random numbers. Every stratum (the data sets that hold a
patient x has a lesion) is drawn apart, so each part has its share of every set and of its lesions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, ValidationError, model_validator

from comoto.config.explain import first_problem
from comoto.config.models import StrictModel
from comoto.defaults import TEST_SHARE, VALIDATION_SHARE
from comoto.errors import ConfigError, DatasetError
from comoto.records import Split

Strata = dict[tuple[bool, str], list[str]]


class SplitPlan(StrictModel):
    """How patients are dealt out."""

    seed: Annotated[int, Field(ge=0)] = 0
    validation: Annotated[float, Field(gt=0, lt=1)] = VALIDATION_SHARE
    """Share of the patients of a set that has no official validation split; of its training patients where
    it has an official test split."""
    test: Annotated[float, Field(ge=0, lt=1)] = TEST_SHARE
    """Share of the patients of a set that has no official split."""
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] | None = None
    held_out: Literal["validation", "test"] = "validation"
    """What the fold is: ``validation`` beside a test split that is the same for all folds, or ``test``."""
    official: bool = True
    """Official splits are kept; otherwise all patients are drawn."""

    @model_validator(mode="after")
    def _fits(self) -> SplitPlan:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("folds and fold belong together")
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: folds count from 0 to {self.folds - 1}")
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation:g} and test {self.test:g} leave no one to train")
        if self.held_out == "test" and self.folds is None:
            raise ValueError("held_out is for folds")
        return self


def split_plan(**settings: Any) -> SplitPlan:
    """Return a plan of these settings.

    Raises:
        ConfigError: a setting is out of range, or two contradict each other.
    """
    try:
        return SplitPlan(**settings)
    except ValidationError as error:
        raise ConfigError(f"split: {first_problem(error)}") from error


def unused_shares(patients: pd.DataFrame, plan: SplitPlan) -> list[str]:
    """Say which shares were named and decide nothing.

    Args:
        patients: ``Merged.patients``.
        plan: shares that were left to their defaults are not in ``model_fields_set``.
    """
    is_known = patients["official"].notna() & plan.official
    trains = is_known & (patients["official"] == Split.TRAIN.value) & ~patients["validation_given"]
    drawn, given = (not is_known.all()), "every set has an official one"
    used = {"validation": (drawn or bool(trains.any()), given), "test": (drawn, given)}
    if plan.folds is not None:
        used["validation"] = (plan.held_out == "test", "the fold is the validation part")
        if plan.held_out == "test":
            used["test"] = (False, "the fold is the test part")
    return [
        f"the share for {name} ({getattr(plan, name):g}) is not used: {why}"
        for name, (is_used, why) in used.items()
        if name in plan.model_fields_set and not is_used
    ]


def assign_parts(patients: pd.DataFrame, plan: SplitPlan) -> dict[str, Split]:
    """Deal patients out.

    Official test patients are always test and official training patients never are. Official validation
    patients stay so, unless folds are asked for: then they and the training patients are dealt together.

    Args:
        patients: ``Merged.patients``.
        plan: shares or folds, and the seed.

    Returns:
        The part of every patient.

    Raises:
        DatasetError: a part would hold no patient with a lesion, or folds that are tested meet an official
            test split.
    """
    official = dict(zip(patients["patient_id"], patients["official"], strict=True)) if plan.official else {}
    known = {name: Split(word) for name, word in official.items() if isinstance(word, str)}
    positive = set(patients["patient_id"][patients["has_lesion"]])
    if plan.folds is None:
        parts, drawn = _by_shares(patients, known, plan)
    else:
        parts, drawn = _by_folds(patients, known, plan, plan.folds), True
    if drawn:
        _require_lesions(parts, positive)
    return parts


def assign_fractions(
    patients: pd.DataFrame, parts: Mapping[str, Split], fractions: Iterable[float], seed: int
) -> dict[float, list[str]]:
    """Choose shares of the training patients; each lies inside the larger ones.

    Every stratum with lesions gives at least one patient.

    Returns:
        The sorted patients of each fraction.

    Raises:
        DatasetError: a fraction is out of range.
    """
    training = patients[patients["patient_id"].map(parts) == Split.TRAIN]
    chosen: dict[float, list[str]] = {}
    for fraction in sorted(set(fractions)):
        if not 0 < fraction <= 1:
            raise DatasetError(f"a fraction of {fraction:g} of the patients; it must be above 0, at most 1")
        names: list[str] = []
        for (without_lesion, _), ranked in _strata(training, f"fraction {seed}").items():
            names += ranked[: max(0 if without_lesion else 1, nearest(fraction * len(ranked)))]
        chosen[fraction] = sorted(names)
    return chosen


def ranked_by_hash(names: Iterable[str], salt: str) -> list[str]:
    """Return the names in an order that depends on the salt alone."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{salt}\n{name}".encode()).digest())


def nearest(number: float) -> int:
    """Round halves up, so that a larger share never gives fewer patients."""
    return math.floor(number + 0.5)


def _strata(patients: pd.DataFrame, salt: str) -> Strata:
    """Return the ranked patients by (has no lesion, sets); those with lesions come first."""
    groups = patients.groupby([~patients["has_lesion"].astype(bool), patients["sets"]], sort=True)
    return {
        (bool(key[0]), str(key[1])): ranked_by_hash(group["patient_id"], salt)
        for key, group in groups
        if isinstance(key, tuple)
    }


def _by_shares(
    patients: pd.DataFrame, known: Mapping[str, Split], plan: SplitPlan
) -> tuple[dict[str, Split], bool]:
    """Return the parts, and whether anybody was drawn."""
    is_known = patients["patient_id"].isin(list(known))
    open_to_validation = (
        is_known & ~patients["validation_given"] & (patients["patient_id"].map(known) == Split.TRAIN)
    )
    parts = dict(known)
    drawn = _take_shares(patients[~is_known], plan.validation, plan.test, plan.seed)
    drawn |= _take_shares(patients[open_to_validation], plan.validation, 0, plan.seed)
    return parts | drawn, bool(drawn)


def _take_shares(patients: pd.DataFrame, validation: float, test: float, seed: int) -> dict[str, Split]:
    """Draw test, then validation from the others; both are shares of all of them."""
    parts: dict[str, Split] = {}
    by_test, by_validation = _strata(patients, f"test {seed}"), _strata(patients, f"validation {seed}")
    for key, ranked in by_test.items():
        num_validation, num_test = _sizes(len(ranked), validation, test, without_lesion=key[0])
        tested = set(ranked[:num_test])
        others = [name for name in by_validation[key] if name not in tested]
        parts |= dict.fromkeys(tested, Split.TEST)
        parts |= dict.fromkeys(others[:num_validation], Split.VALIDATION)
        parts |= dict.fromkeys(others[num_validation:], Split.TRAIN)
    return parts


def _sizes(number: int, validation: float, test: float, *, without_lesion: bool) -> tuple[int, int]:
    """Return how many of a stratum validate and test; each part gets a patient with a lesion if it can."""
    least = 0 if without_lesion else 1
    parts = 2 + (test > 0)
    if number < parts:
        least = 0
    num_test = max(least, nearest(test * number)) if test > 0 else 0
    num_validation = max(least, nearest(validation * number))
    while num_validation + num_test > number - least:
        if num_validation >= num_test:
            num_validation -= 1
        else:
            num_test -= 1
    return num_validation, num_test


def _by_folds(
    patients: pd.DataFrame, known: Mapping[str, Split], plan: SplitPlan, folds: int
) -> dict[str, Split]:
    tested = [name for name, part in known.items() if part is Split.TEST]
    if plan.held_out == "test" and tested:
        raise DatasetError(
            f"{len(tested)} patients are an official test split, so folds cannot be tested as well; use the "
            "folds for validation, or draw everybody anew with --ignore-official"
        )
    parts = dict.fromkeys(tested, Split.TEST)
    if plan.held_out == "validation" and plan.test > 0:
        unknown = patients[~patients["patient_id"].isin(list(known))]
        shares = _take_shares(unknown, plan.validation, plan.test, plan.seed)
        parts |= {name: part for name, part in shares.items() if part is Split.TEST}
    pool = patients[~patients["patient_id"].isin(list(parts))]
    strata = _strata(pool, f"fold {plan.seed}")
    in_order = [name for ranked in strata.values() for name in ranked]
    num_positive = int(pool["has_lesion"].sum())
    if num_positive < folds:
        raise DatasetError(
            f"{folds} folds of {num_positive} patients with a lesion: a fold would have none; "
            "ask for fewer folds"
        )
    # dealt like cards over all strata: folds differ by one patient at most, and so does each stratum in them
    fold = {name: position % folds for position, name in enumerate(in_order)}
    others = pool[pool["patient_id"].map(fold) != plan.fold]
    held_out = Split.VALIDATION if plan.held_out == "validation" else Split.TEST
    parts |= {name: held_out for name, number in fold.items() if number == plan.fold}
    if held_out is Split.VALIDATION:
        parts |= dict.fromkeys(others["patient_id"], Split.TRAIN)
    else:
        parts |= _take_shares(others, plan.validation, 0, plan.seed)
    return parts


def _require_lesions(parts: Mapping[str, Split], positive: set[str]) -> None:
    present = set(parts.values())
    for part in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        needed = part is not Split.TEST or part in present
        if needed and not any(parts[name] is part for name in positive):
            raise DatasetError(
                f"no patient with a lesion is left for {part.value}: {len(positive)} patients have one; "
                "change the shares or the seed, or add data"
            )
