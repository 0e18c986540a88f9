"""Equality, to the last digit, with what the challenge's own evaluator printed for fixed tables."""

import json
from pathlib import Path

from comoto.evaluation import challenge_metric

GOLDEN = Path(__file__).parents[1] / "golden" / "challenge"


def test_equals_the_official_evaluator():
    metric = challenge_metric(GOLDEN / "predictions.csv", GOLDEN / "labels.csv", GOLDEN / "boxes.csv")
    official = json.loads((GOLDEN / "official.json").read_text())
    assert metric == official
    assert len(set(official.values())) >= 5
