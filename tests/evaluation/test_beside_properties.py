"""Every figure beside the challenge's metric equals a slow, literal second implementation, on draws too."""

import math

import judge_reference as slow
import numpy as np
import pytest
from challenge_reference import reference_metric
from hypothesis import given, settings
from hypothesis import strategies as st
from test_challenge_properties import cases, tables

from comoto.evaluation.auc import breasts_and_exams, sides_of_views, unit_area
from comoto.evaluation.beside import ALL_VOLUMES, AREAS, DEPTH_ERROR, beside
from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.evaluation.depth_variants import (
    CONSTANT,
    CONSTANT_MILLIMETRES,
    IN_PLANE,
    MILLIMETRES,
    DepthErrorFigures,
    DepthRules,
    depth_errors,
    depth_variants,
)
from comoto.evaluation.figures import CPM_FPS, all_volume_figures, challenge_figures
from comoto.evaluation.intervals import Resampling
from comoto.evaluation.parts import Part
from comoto.evaluation.wafroc import wafroc_area

NO_DRAWS = Resampling()
FEW_SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan])
"""So that there are ties."""


def read(case):
    found, known, lesions = case
    predictions, labels, boxes = tables(found, known, lesions)
    truth = read_truth(labels, boxes)
    return read_predictions(predictions, truth), truth


def breast(row):
    return row["StudyUID"], row["View"][0]


def exam(row):
    return row["StudyUID"]


@settings(max_examples=40)
@given(cases(FEW_SCORES), st.sampled_from([0.0, 0.4, 0.5, 1.0]), st.sampled_from([3.0, 10.0, 25.0]))
def test_equal_to_the_literal_reference(case, constant, tolerance):
    found, truth = read(case)
    rules = DepthRules(constant, tolerance, np.full(len(truth.volumes), 2.0))
    units = breasts_and_exams(truth, sides_of_views(truth))
    kinds = beside(found, truth, rules, units, {}, NO_DRAWS).whole.kinds
    for name, rule in (
        (IN_PLANE, slow.in_plane),
        (CONSTANT, slow.at_constant_depth(constant)),
        (MILLIMETRES, slow.within(tolerance, 2.0)),
        (CONSTANT_MILLIMETRES, slow.at_constant_depth(constant, slow.within(tolerance, 2.0))),
    ):
        assert {key: figure.value for key, figure in kinds[name].items()} == pytest.approx(
            reference_metric(*case, rule), abs=1e-12
        )
    values = [figure.value for figure in kinds[ALL_VOLUMES].values()]
    assert values == pytest.approx(slow.all_volumes(*case), abs=1e-12)
    expected = {
        "auc_per_breast": slow.unit_area(*case, breast),
        "auc_per_exam": slow.unit_area(*case, exam),
        "wafroc": slow.wafroc(*case),
    }
    areas = {name: figure.value for name, figure in kinds[AREAS].items()}
    assert areas == pytest.approx(expected, abs=1e-12, nan_ok=True)
    errors = slow.depth_errors(case[0], case[2])
    quantiles = np.quantile(errors, [0.5, 0.9]) if errors else [math.nan] * 2
    own = [kinds[DEPTH_ERROR][name].value for name in ("median_slices", "quantile_90_slices")]
    assert own == pytest.approx(list(quantiles), abs=1e-9, nan_ok=True)
    assert kinds[DEPTH_ERROR]["median_mm"].value == pytest.approx(2 * quantiles[0], nan_ok=True)


def redrawn(case, times):
    """The tables with each patient's rows so many times, under new names; what has no patient stays once."""
    found, known, lesions = case
    patient = {row["StudyUID"]: row["PatientID"] for row in known}

    def copied(rows):
        return [
            {**row, "PatientID": f"{patient.get(row['StudyUID'])}-{k}", "StudyUID": f"{row['StudyUID']}-{k}"}
            for row in rows
            for k in range(times.get(patient.get(row["StudyUID"]), 1))
        ]

    return copied(found), copied(known), copied(lesions)


@settings(max_examples=40)
@given(cases(FEW_SCORES), st.lists(st.integers(0, 3), min_size=2, max_size=2))
def test_a_draw_of_patients_is_the_same_tables_with_their_rows_so_many_times(case, counts):
    found, truth = read(case)
    times = dict(zip(truth.patients, counts, strict=False))
    again = redrawn(case, times)
    copies = np.array([[*times.values(), 1]])
    part = Part.whole(truth)
    positive, everywhere = challenge_figures(
        depth_variants(found, truth, DepthRules())[IN_PLANE], truth, part
    )
    cpm = all_volume_figures(found, truth, part)
    for units in breasts_and_exams(truth, sides_of_views(truth)):
        name = breast if units.name == "breast" else exam
        assert unit_area(found, truth, part, units).at(copies)[0, 0] == pytest.approx(
            slow.unit_area(*again, name), abs=1e-12, nan_ok=True
        )
    errors = slow.depth_errors(again[0], again[2])
    quantiles = [np.quantile(errors, share) if errors else math.nan for share in (0.5, 0.9)]
    errors = depth_errors(found, truth)
    off = DepthErrorFigures(errors, truth, part, np.full(len(truth.volumes), 2.0))
    assert off.at(copies)[0] == pytest.approx(
        [*quantiles, *(2 * each for each in quantiles)], abs=1e-9, nan_ok=True
    )
    if not again[2]:
        assert all(np.isnan(each.at(copies)).all() for each in (positive, everywhere, cpm))
        return
    expected = reference_metric(*again, slow.in_plane)
    names = [*positive.names, *everywhere.names]
    drawn = np.concatenate([positive.at(copies)[0], everywhere.at(copies)[0]])
    assert dict(zip(names, drawn, strict=True)) == pytest.approx(expected, abs=1e-12)
    assert cpm.at(copies)[0] == pytest.approx(slow.all_volumes(*again), abs=1e-12)
    assert wafroc_area(found, truth, part).at(copies)[0, 0] == pytest.approx(
        slow.wafroc(*again), abs=1e-12, nan_ok=True
    )


@settings(max_examples=30)
@given(cases(FEW_SCORES), st.data())
def test_a_part_by_volumes_is_the_tables_of_those_volumes(case, data):
    found, truth = read(case)
    chosen = np.array([data.draw(st.booleans()) for _ in truth.volumes])
    chosen[truth.lesion_volume[0]] = True
    keys = [key for key, kept in zip(truth.volumes, chosen, strict=True) if kept]
    left = [[row for row in rows if (row["StudyUID"], row["View"]) in keys] for rows in case]
    if chosen.all():
        left[0] = case[0]  # predictions on volumes that nobody knows count where all volumes do
    part = Part(chosen[truth.lesion_volume], chosen)
    once = np.ones((1, len(truth.patients) + 1), dtype=np.int64)
    figures = challenge_figures(found, truth, part)
    drawn = {
        name: value for each in figures for name, value in zip(each.names, each.at(once)[0], strict=True)
    }
    assert drawn == pytest.approx(reference_metric(*left), abs=1e-12)
    assert wafroc_area(found, truth, part).at(once)[0, 0] == pytest.approx(
        slow.wafroc(*left), abs=1e-12, nan_ok=True
    )


def test_the_rates_are_those_of_the_reference():
    assert list(CPM_FPS) == slow.CPM_FPS
