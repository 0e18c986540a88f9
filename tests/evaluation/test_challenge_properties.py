"""Random tables: equality with the literal reference, and what must hold for every list of predictions."""

import math

import numpy as np
import pandas as pd
import pytest
from challenge_cases import BOX_COLUMNS, MEAN, PREDICTION_COLUMNS, labels
from challenge_reference import reference_metric
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from comoto.evaluation import challenge_metric, evaluate

KEYS = [
    {"PatientID": f"P{study // 2}", "StudyUID": f"S{study}", "View": view}
    for study in range(4)
    for view in ("lcc", "rmlo", "rmlo1")
]
SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), st.floats(-5, 5), st.floats(-1e17, 1e17))


@st.composite
def box_rows(draw, keys):
    slices = draw(st.integers(20, 60))
    return {
        **draw(st.sampled_from(keys)),
        "Slice": draw(st.integers(0, min(40, slices - 1))),
        "X": draw(st.integers(0, 300)),
        "Y": draw(st.integers(0, 300)),
        "Width": draw(st.integers(1, 300)),
        "Height": draw(st.integers(1, 300)),
        "VolumeSlices": slices,
    }


def place(lesion):
    """Two boxes of one place are one lesion."""
    return tuple(lesion[name] for name in ("StudyUID", "View", "Slice", "X", "Y", "Width", "Height"))


def key(row):
    return row["StudyUID"], row["View"]


@st.composite
def prediction_rows(draw, scores):
    return {
        **draw(st.sampled_from(KEYS)),
        "X": draw(st.integers(0, 300)),
        "Width": draw(st.integers(0, 200)),
        "Y": draw(st.integers(0, 300)),
        "Height": draw(st.integers(0, 200)),
        "Z": draw(st.integers(0, 40)),
        "Depth": draw(st.integers(-1, 9)),
        "Score": draw(scores),
    }


@st.composite
def cases(draw, scores=SCORES):
    """Labels of some volumes, boxes on a few of them, predictions on any."""
    known = KEYS[: draw(st.integers(1, len(KEYS)))]
    lesions = draw(
        st.lists(box_rows(known[: max(1, len(known) // 2)]), min_size=1, max_size=6, unique_by=place)
    )
    found = draw(st.lists(prediction_rows(scores), max_size=40))
    # Tables of another split, and tables without a score, are refused.
    assume(not found or {key(row) for row in found} & {key(volume) for volume in known})
    assume(not found or not all(math.isnan(row["Score"]) for row in found))
    return found, known, lesions


def tables(found, known, lesions):
    return (
        pd.DataFrame(found, columns=PREDICTION_COLUMNS),
        labels(*known),
        pd.DataFrame(lesions, columns=BOX_COLUMNS),
    )


def distinct_scores():
    return st.floats(0, 1, allow_subnormal=False)


@settings(max_examples=250)
@given(cases())
def test_equals_the_literal_reference_exactly(case):
    assert challenge_metric(*tables(*case)) == reference_metric(*case)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_literal_reference_on_long_lists(seed):
    generator = np.random.default_rng(seed)
    lesions = [
        {
            **KEYS[generator.integers(0, 6)],
            **{name: int(generator.integers(0, 1000)) for name in ("X", "Y")},
            **{name: int(generator.integers(20, 400)) for name in ("Width", "Height")},
            "Slice": int(generator.integers(0, 40)),
            "VolumeSlices": int(generator.integers(40, 70)),
        }
        for _ in range(12)
    ]
    found = [
        {
            **KEYS[generator.integers(0, 12)],
            **{name: float(generator.uniform(0, 1000)) for name in ("X", "Y")},
            **{name: float(generator.uniform(20, 200)) for name in ("Width", "Height")},
            "Z": int(generator.integers(0, 60)),
            "Depth": int(generator.integers(0, 8)),
            "Score": float(generator.normal()),
        }
        for _ in range(400)
    ]
    metric = challenge_metric(*tables(found, KEYS[:10], lesions))
    assert metric == reference_metric(found, KEYS[:10], lesions)
    assert 0.0 < metric[MEAN] < 1.0


@settings(max_examples=60)
@given(cases(), st.integers(0, 3))
def test_perfect_predictions_find_everything(case, false_positives):
    _, known, lesions = case
    apart = [{**row, "X": 5000 * number, "VolumeSlices": 60} for number, row in enumerate(lesions)]
    found = [
        {**row, "Z": row["Slice"], "Depth": 0, "Score": 1.0 + number} for number, row in enumerate(apart)
    ]
    found += [{**found[0], "Y": 90_000, "Score": 0.5}] * false_positives
    assert set(challenge_metric(*tables(found, known, apart)).values()) == {1.0}


@settings(max_examples=60)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_predictions_and_labels_does_not_matter(case, random):
    found, known, lesions = case
    expected = challenge_metric(*tables(found, known, lesions))
    random.shuffle(found)
    known = random.sample(known, len(known))
    assert challenge_metric(*tables(found, known, lesions)) == expected


def _beside_everything(key, score):
    return {**key, "X": 50_000, "Width": 9, "Y": 0, "Height": 9, "Z": 0, "Depth": 0, "Score": score}


@settings(max_examples=100)
@given(cases(distinct_scores()), st.sampled_from(KEYS), distinct_scores())
def test_a_further_false_positive_never_raises_a_sensitivity(case, key, score):
    found, known, lesions = case
    assume(found or key in known)
    before = challenge_metric(*tables(found, known, lesions))
    after = challenge_metric(*tables([*found, _beside_everything(key, score)], known, lesions))
    assert all(after[name] <= before[name] + 1e-12 for name in before)


@settings(max_examples=100)
@given(cases(st.integers(-1000, 1000).map(float)))
def test_a_rising_change_of_the_scores_changes_nothing(case):
    found, known, lesions = case
    stretched = [{**row, "Score": 3.0 * row["Score"] ** 3 - 7.0} for row in found]
    assert challenge_metric(*tables(stretched, known, lesions)) == challenge_metric(*tables(*case))


@settings(max_examples=60)
@given(cases())
@example(
    ([], KEYS[:2], [{**KEYS[0], "Slice": 1, "X": 0, "Y": 0, "Width": 5, "Height": 5, "VolumeSlices": 9}])
)
def test_curves_are_monotone_and_every_lesion_has_a_value(case):
    result = evaluate(*tables(*case))
    for curve in (result.froc_all, result.froc_positive):
        assert (np.diff(curve.fps_per_image) >= 0).all()
        assert (np.diff(curve.sensitivity) >= 0).all()
        assert (np.diff(curve.thresholds) < 0).all()
        assert len(curve.lesion_scores) == len(case[2]) == curve.num_lesions
        assert curve.sensitivity[-1] == np.isfinite(curve.lesion_scores).mean()
