"""Rows that cannot be are refused by line; what is odd is said beside the figures."""

import numpy as np
import pandas as pd
import pytest
from challenge_cases import MEAN, box, boxes, false_positive, labels, prediction, predictions, volume

from comoto.errors import DatasetError
from comoto.evaluation import evaluate

A, B = volume(1), volume(2)


def evaluated(found, truth=None, all_volumes=(A, B)):
    return evaluate(predictions(*found), labels(*all_volumes), boxes(*(truth or [box(A), box(B)])))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (prediction(A, 0.5, size=(-60, 40)), r"Width is negative \(row 1\)"),
        (prediction(A, 0.5, size=(60, -40)), r"Height is negative \(row 1\)"),
        (prediction(A, 0.5, depth=-2), r"Depth is negative \(row 1\)"),
    ],
)
def test_impossible_predictions(row, message):
    with pytest.raises(DatasetError, match=message):
        evaluated([prediction(A, 0.9), row])


def test_slices_that_the_volume_does_not_have():
    normal = volume(3)
    found = [prediction(A, 0.9, z=48), prediction(normal, 0.1, z=500), prediction(B, 0.8, z=0, depth=-1)]
    assert evaluated(found, all_volumes=(A, B, normal)).warnings == ()
    found = [prediction(A, 0.9, z=49), prediction(B, 0.8, z=-3, depth=2), prediction(B, 0.7, z=-3, depth=3)]
    (warning,) = evaluated(found).warnings
    assert "2 of 3 predictions lie on slices that their volume does not have (rows 0, 1)" in warning


@pytest.mark.parametrize("slice_index", [-1, 49, 60])
def test_boxes_on_slices_that_are_not(slice_index):
    with pytest.raises(DatasetError, match=r"Slice lies outside of the volume \(row 1\); .*VolumeSlices - 1"):
        evaluated([prediction(A, 0.9)], [box(A), box(B, slice_index=slice_index)])


def test_the_same_box_twice_is_one_lesion():
    found = [prediction(A, 0.9), prediction(B, 0.8)]
    once, twice = evaluated(found), evaluated(found, [box(A), box(B), box(B), box(A)])
    assert once.metric[MEAN] == twice.metric[MEAN] == 1.0
    assert (twice.num_lesions, once.warnings) == (2, ())
    assert "2 rows are the same box of the same volume again (rows 2, 3); each lesion" in twice.warnings[0]


def test_boxes_that_differ_are_two_lesions():
    result = evaluated([prediction(A, 0.9)], [box(A), box(A, slice_index=21), box(B)])
    assert (result.num_lesions, result.warnings) == (3, ())


def test_the_same_prediction_twice_is_said_and_counted_as_in_the_challenge():
    found = [false_positive(A, 0.9), prediction(A, 0.8)]
    result = evaluated([*found, *found], [box(A)], (A,))
    assert result.metric["sensitivity_at_1_fps_positive"] == 0.5  # two false positives above the hit
    assert "2 rows are the same prediction again, of 4 (rows 2, 3)" in result.warnings[0]


def test_the_same_box_with_other_scores_is_said():
    """Two copies of a false positive above the hit are two false positives, whatever their scores."""
    found = [false_positive(A, 0.9), false_positive(A, 0.85), prediction(A, 0.8)]
    result = evaluated([*found, found[0]], [box(A)], (A,))
    again, rescored = result.warnings
    assert "1 row is the same prediction again, of 4 (row 3)" in again
    assert "1 row is the same box as another with another score, of 4 (row 1)" in rescored
    assert evaluated([prediction(A, 0.9), prediction(A, 0.8, z=21)], [box(A)], (A,)).warnings == ()


def test_predictions_for_one_volume_of_many():
    volumes = [volume(number) for number in range(10)]
    result = evaluated([prediction(volumes[0], 0.9)], [box(each) for each in volumes], volumes)
    assert "only 1 of the 10 volumes with a lesion have a prediction" in result.warnings[0]


def test_odd_scores_and_places():
    same = evaluated([prediction(A, 0.5), prediction(B, 0.5)])
    assert "every prediction has the same score" in same.warnings[0]
    odd = evaluated([prediction(A, 0.5, size=(0, 0)), prediction(B, 0.4, x=-500)])
    assert "1 of 2 predictions have no area (row 0)" in odd.warnings[0]
    assert "1 of 2 predictions lie wholly left of or above the image (row 1)" in odd.warnings[1]


@pytest.mark.parametrize("change", [lambda s: 100 * s, lambda s: np.log(s / (1 - s))])
def test_percent_and_logits_need_no_word(change):
    found = [prediction(A, 0.9), false_positive(A, 0.7), prediction(B, 0.6)]
    other = [{**row, "Score": change(row["Score"])} for row in found]
    assert evaluated(other).metric == evaluated(found).metric
    assert evaluated(other).warnings == ()


UID = "1.2.826.0.1.3680043.8.498.1"


@pytest.mark.parametrize(
    ("labels_say", "predictions_say", "hint"),
    [
        ("S1", UID, "carry the Study Instance UID.*--manifest"),
        ("000123", "123", "has taken the zeros from StudyUID .000123 became 123."),
        ("000123", "123.0", "has taken the zeros"),
        ("1.2.3.4", "1.2E+25", "has rounded StudyUID"),
        ("s1", "S1", "write 's1', not 'S1'$"),
        ("S1", "S2", "pass predictions on the split of these labels"),
    ],
)
def test_predictions_that_can_hit_nothing_name_the_way_out(labels_say, predictions_say, hint):
    known, given = {**A, "StudyUID": labels_say}, {**A, "StudyUID": predictions_say}
    with pytest.raises(DatasetError, match=f"no prediction can hit anything: it names 1 volumes.*{hint}"):
        evaluated([prediction(given, 0.9)], [box(known)], (known,))


def test_some_strangers_are_said_with_their_number():
    (warning,) = evaluated([prediction(A, 0.9), prediction(B, 0.8), prediction(volume(9), 0.1)]).warnings
    assert "1 of 3 predictions name 1 volumes that the labels do not have, such as S9 lcc" in warning


def test_corners_and_json_say_what_is_needed(tmp_path):
    table = pd.DataFrame([{**A, "x1": 1, "y1": 1, "x2": 2, "y2": 2, "Z": 1, "Depth": 0, "Score": 0.5}])
    with pytest.raises(DatasetError, match=r"X = x1, Y = y1, Width = x2 - x1, Height = y2 - y1"):
        evaluate(table, labels(A), boxes(box(A)))
    twin = tmp_path / "found.json"
    twin.write_text('{"format": "x"}')
    with pytest.raises(DatasetError, match=r"is JSON, and a CSV table is needed; give the one beside it$"):
        evaluate(twin, labels(A), boxes(box(A)))
    (tmp_path / "found.csv").write_text("a\n")
    with pytest.raises(DatasetError, match=r"beside it: .*found\.csv$"):
        evaluate(twin, labels(A), boxes(box(A)))
