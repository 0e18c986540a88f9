"""What the summary says of the score threshold of each figure."""

import pandas as pd

from comoto.evaluation import evaluate

LABELS = pd.DataFrame({"PatientID": ["P1"], "StudyUID": ["S1"], "View": ["lcc"]})
BOXES = LABELS.assign(Slice=10, X=95, Y=95, Width=10, Height=10, VolumeSlices=40)


def thresholds(hit_score: float, false_positives: int) -> list[str]:
    """One hit and some surer false positives; the last column of the lines at 1 to 4 FP."""
    scores = [hit_score, *(0.9 for _ in range(false_positives))]
    rows = [
        {"StudyUID": "S1", "View": "lcc", "X": 95 if score == hit_score else 900, "Width": 10, "Y": 95}
        | {"Height": 10, "Z": 10, "Depth": 0, "Score": score}
        for score in scores
    ]
    said = evaluate(pd.DataFrame(rows), LABELS, BOXES).summary().splitlines()
    return [
        line.split("volume  ")[1] for line in said if "sensitivity, positive" in line and "1-4" not in line
    ]


def test_before_the_first_hit_there_is_no_threshold() -> None:
    # the hit comes with the third false positive; before, the challenge draws a straight line from 0
    assert [line.split(maxsplit=1) for line in thresholds(0.5, 3)] == [
        ["0.3333", "before the first hit"],
        ["0.6667", "before the first hit"],
        ["1.0000", "every prediction"],
        ["1.0000", "every prediction"],
    ]


def test_a_hit_at_the_top_keeps_every_rate() -> None:
    # the surest prediction is the hit; with all five false positives the curve reaches 5 FP
    assert [line.split(maxsplit=1) for line in thresholds(0.95, 5)] == [["1.0000", "score >= 0.95"]] * 4
