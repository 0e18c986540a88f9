"""What choosing a share on half of the patients gives on the others, on cases worked by hand."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from comoto.evaluation.challenge_tables import ChallengePredictions, ChallengeTruth

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PATIENTS = 12


@pytest.fixture
def script() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("keep_teacher")
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("keep_teacher", None)


def cohort() -> ChallengeTruth:
    """One lesion on one volume of each patient."""
    numbers = np.arange(PATIENTS)
    return ChallengeTruth(
        volumes={(str(k), "lcc"): k for k in numbers},
        patients={str(k): k for k in numbers},
        volume_patient=numbers,
        lesion_volume=numbers,
        lesion_center=np.zeros((PATIENTS, 3)),
        radius=np.ones(PATIENTS),
        slice_tolerance=np.ones(PATIENTS),
        warnings=(),
    )


def finds(found: np.ndarray) -> ChallengePredictions:
    """One detection a patient that hits where it is to."""
    numbers = np.arange(PATIENTS)
    return ChallengePredictions(
        volume=numbers,
        patient=numbers,
        scores=np.full(PATIENTS, 0.5),
        hit_lesion=np.where(found, numbers, -1),
        warnings=(),
    )


def test_the_better_share_is_chosen_on_one_half_and_judged_on_the_other(script: ModuleType) -> None:
    truth = cohort()
    nothing, everything = finds(np.zeros(PATIENTS, bool)), finds(np.ones(PATIENTS, bool))
    copies = np.ones((20, PATIENTS + 1), dtype=np.int64)
    gains, chosen = script.halved([[[nothing]], [[everything]]], truth, copies)
    assert gains == pytest.approx(np.ones(20))
    assert (chosen == 1).all()


def test_of_equal_shares_the_smallest_is_chosen_and_nothing_is_gained(script: ModuleType) -> None:
    truth, run = cohort(), finds(np.arange(PATIENTS) % 2 == 0)
    copies = np.ones((20, PATIENTS + 1), dtype=np.int64)
    gains, chosen = script.halved([[[run]], [[run]], [[run]]], truth, copies)
    assert gains == pytest.approx(np.zeros(20))
    assert (chosen == 0).all()


def test_what_is_good_for_the_choice_alone_is_not_counted(script: ModuleType) -> None:
    """A share that is better on one half is worse on the other: its choice loses what it seemed to gain."""
    truth = cohort()
    copies = np.ones((1, PATIENTS + 1), dtype=np.int64)
    first = (np.random.default_rng(7).random(copies.shape) < 0.5)[0, :PATIENTS]
    assert first.any()
    assert not first.all()
    own, other = finds(first), finds(~first)
    gains, chosen = script.halved([[[own]], [[other]]], truth, copies)
    assert chosen.ravel().tolist() == [0, 1]
    assert float(gains[0]) == pytest.approx((0 + (0 - 1)) / 2)
