"""What runs find together, worked out by hand."""

import pandas as pd
import pytest

from comoto.evaluation.ceiling import ceiling, hit_lesions, on_other_patients
from comoto.evaluation.challenge_tables import (
    ChallengePredictions,
    ChallengeTruth,
    read_predictions,
    read_truth,
)


def cohort() -> ChallengeTruth:
    """Patients A (lcc and rcc), B (lcc) and C (rcc) with a lesion each, and D without."""
    names = [
        ("A", "sA", "lcc"),
        ("A", "sA", "rcc"),
        ("B", "sB", "lcc"),
        ("C", "sC", "rcc"),
        ("D", "sD", "lcc"),
    ]
    labels = pd.DataFrame(names, columns=["PatientID", "StudyUID", "View"])
    boxes = labels.head(4).assign(
        Slice=[10, 20, 15, 30], X=100, Y=[100, 200, 100, 200], Width=20, Height=20, Class="mass"
    )
    return read_truth(labels, boxes.assign(VolumeSlices=[40, 40, 60, 60]), min_radius=10)


def predictions(truth: ChallengeTruth, *rows: tuple[str, str, int, int, float]) -> ChallengePredictions:
    table = pd.DataFrame(rows, columns=["StudyUID", "View", "Y", "Z", "Score"])
    return read_predictions(table.assign(X=100, Width=20, Height=20, Depth=0, PatientID="?"), truth)


def test_boxes_go_to_the_next_patient_of_the_same_view_at_the_same_share_of_the_stack() -> None:
    truth = cohort()
    run = predictions(
        truth,
        ("sA", "lcc", 100, 10, 0.9),  # to B: slice 15 of 60, where its lesion lies
        ("sA", "rcc", 100, 20, 0.8),  # to C: another row
        ("sB", "lcc", 100, 45, 0.7),  # to A: slice 30 of 40, where no lesion lies
        ("sC", "rcc", 200, 30, 0.6),  # to A: slice 20 of 40
        ("sD", "lcc", 100, 10, 0.5),  # has no lesion: nowhere
    )
    (laid,) = on_other_patients([run], truth)
    assert laid.volume.tolist() == [2, 3, 0, 1]
    assert laid.places[:, 4].tolist() == [15, 30, 30, 20]
    assert laid.hit_lesion.tolist() == [2, -1, -1, 1]
    assert laid.depth.in_plane.tolist() == [2, -1, 0, 1]
    assert laid.patient.tolist() == [1, 2, 0, 0]


def test_the_boxes_of_a_lone_patient_go_nowhere() -> None:
    labels = pd.DataFrame([("A", "sA", "lcc")], columns=["PatientID", "StudyUID", "View"])
    boxes = labels.assign(Slice=1, X=100, Y=100, Width=20, Height=20, Class="mass", VolumeSlices=40)
    truth = read_truth(labels, boxes, min_radius=10)
    (laid,) = on_other_patients([predictions(truth, ("sA", "lcc", 100, 1, 0.9))], truth)
    assert len(laid.scores) == 0


def test_no_more_false_positives_are_allowed_than_four_per_volume_with_a_lesion() -> None:
    truth = cohort()
    false = [("sA", "lcc", 300, 10, 0.5 + number / 100) for number in range(16)]
    hit, late = ("sA", "lcc", 100, 10, 0.4), ("sB", "lcc", 100, 15, 0.3)
    between = ("sB", "lcc", 300, 15, 0.35)
    assert hit_lesions(predictions(truth, hit, late, *false), truth).tolist() == [True, False, True, False]
    found = hit_lesions(predictions(truth, hit, late, between, *false), truth)
    assert found.tolist() == [True, False, False, False]  # the 17th false positive comes before


def test_shares_over_runs() -> None:
    truth = cohort()
    one = predictions(truth, ("sA", "lcc", 100, 10, 0.9), ("sB", "lcc", 100, 15, 0.9))
    other = predictions(truth, ("sA", "lcc", 100, 10, 0.9))
    third = predictions(truth, ("sC", "rcc", 200, 30, 0.9))
    runs = [one, other, third]
    found = ceiling(runs, on_other_patients(runs, truth), truth)
    assert (found.num_runs, found.one, found.any_run) == (3, pytest.approx(4 / 12), 3 / 4)
    assert (found.half, found.all_runs) == (1 / 4, 0)
    # one: A to B and B to A hit; other: A to B; third: C to the rcc of A
    assert (found.one_by_chance, found.any_by_chance) == (pytest.approx(4 / 12), 3 / 4)
    with pytest.raises(ValueError, match="needs a run"):
        ceiling([], [], truth)
