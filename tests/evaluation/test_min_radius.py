"""Another least hit radius is another metric, and the result says so."""

import pandas as pd
import pytest

from comoto.evaluation import evaluate

LABELS = pd.DataFrame({"PatientID": ["P1"], "StudyUID": ["S1"], "View": ["lcc"]})
BOXES = pd.DataFrame(
    {
        "StudyUID": ["S1"],
        "View": ["lcc"],
        "Slice": [10],
        "X": [95],
        "Y": [95],
        "Width": [10],
        "Height": [10],
        "VolumeSlices": [40],
    }
)


def found_at(x: float) -> float:
    predictions = pd.DataFrame(
        {
            "StudyUID": ["S1"],
            "View": ["lcc"],
            "X": [x - 5],
            "Width": [10],
            "Y": [95],
            "Height": [10],
            "Z": [10],
            "Depth": [0],
            "Score": [0.5],
        }
    )
    return evaluate(predictions, LABELS, BOXES, min_radius=20.0).mean_sensitivity_positive


def test_the_radius_is_inclusive_and_never_below_half_the_diagonal() -> None:
    # the lesion's centre is (100, 100), half its diagonal 7.07
    assert [found_at(120.0), found_at(120.5)] == [1.0, 0.0]
    predictions = pd.DataFrame(
        {"StudyUID": ["S1"], "View": ["lcc"], "X": [102], "Width": [10], "Y": [95], "Height": [10]}
        | {"Z": [10], "Depth": [0], "Score": [0.5]}
    )
    assert evaluate(predictions, LABELS, BOXES, min_radius=1.0).mean_sensitivity_positive == 1.0
    predictions["X"] = 103  # centre 108 is 8 away
    assert evaluate(predictions, LABELS, BOXES, min_radius=1.0).mean_sensitivity_positive == 0.0


def test_another_radius_is_stated() -> None:
    empty = pd.DataFrame(columns=["StudyUID", "View", "X", "Width", "Y", "Height", "Z", "Depth", "Score"])
    assert "challenge's is 100" in evaluate(empty, LABELS, BOXES, min_radius=20.0).summary()
    assert "challenge's is 100" not in evaluate(empty, LABELS, BOXES).summary()
    assert '"min_radius": 20.0' in evaluate(empty, LABELS, BOXES, min_radius=20.0).to_json()
    with pytest.raises(ValueError, match="min_radius must be positive"):
        evaluate(empty, LABELS, BOXES, min_radius=0.0)
