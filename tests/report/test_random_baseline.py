import numpy as np
import pandas as pd
import pytest

from comoto.evaluation.challenge_tables import read_predictions, read_truth
from comoto.evaluation.paired import mean_sensitivity_positive
from comoto.preprocessing.breast import BreastRegion
from comoto.report.random_baseline import mean_in_the_middle, random_baseline, random_places
from comoto.report.source_images import SearchSpace

KEY = {"PatientID": "P1", "StudyUID": "S1", "View": "lcc"}
EVERYWHERE = SearchSpace(BreastRegion(np.ones((10, 10), dtype=bool), (100, 100)), 9)


def truth_of_one_lesion(side=4.0, radius=20.0):
    """A lesion at (50, 50) on slice 4 of 9."""
    box = {**KEY, "Slice": 4, "X": 50 - side / 2, "Y": 50 - side / 2, "Width": side, "Height": side}
    return read_truth(pd.DataFrame([KEY]), pd.DataFrame([{**box, "VolumeSlices": 9}]), radius)


def boxes(number=1):
    row = {**KEY, "X": 1, "Width": 6, "Y": 2, "Height": 4, "Z": 0, "Depth": 0, "Score": 0.9}
    return pd.DataFrame([row] * number)


def level_of(table, space, truth, draws, seed):
    return random_baseline(read_predictions(table, truth), {0: space}, truth, draws, seed)


def test_one_guess_hits_as_often_as_geometry_says():
    # pi 40^2 of 100 x 100 pixels, and slices 2 to 6 of 9 (a quarter of 9 is 2.25): 0.503 x 5 / 9 = 0.279
    truth = truth_of_one_lesion(radius=40)
    level = level_of(boxes(), EVERYWHERE, truth, draws=600, seed=3)
    assert level.mean == pytest.approx(0.279, abs=0.05)
    assert (level.lowest, level.highest, level.draws) == (0.0, 1.0, 600)


def test_a_radius_beyond_the_breast_makes_enough_guesses_certain():
    level = level_of(boxes(60), EVERYWHERE, truth_of_one_lesion(radius=200), 20, 0)
    assert level.mean > 0.9


def test_guesses_stay_in_the_breast():
    corner = np.zeros((10, 10), dtype=bool)
    corner[0, :3] = True
    space = SearchSpace(BreastRegion(corner, (200, 100)), 5)
    x, y, z = random_places(space, 2000, np.random.default_rng(0))
    assert (x.min() >= 0, x.max() < 30, y.min() >= 0, y.max() < 20) == (True, True, True, True)
    assert (x.max() > 28, y.max() > 18) == (True, True)
    assert set(z.tolist()) == {0, 1, 2, 3, 4}
    level = level_of(boxes(30), space, truth_of_one_lesion(), 20, 0)
    assert level.highest == 0.0


def test_without_a_breast_guesses_go_everywhere():
    nothing = SearchSpace(BreastRegion(np.zeros((10, 10), dtype=bool), (100, 100)), 5)
    x, y, _ = random_places(nothing, 2000, np.random.default_rng(0))
    assert min(np.ptp(x), np.ptp(y)) > 95


def test_the_seed_decides():
    first, again, other = (
        level_of(boxes(4), EVERYWHERE, truth_of_one_lesion(), draws=10, seed=seed) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


def test_no_predictions_find_nothing_and_no_draws_are_refused():
    level = level_of(boxes(1).iloc[:0], EVERYWHERE, truth_of_one_lesion(), 3, 0)
    assert (level.mean, level.highest) == (0.0, 0.0)
    with pytest.raises(ValueError, match="at least 1 draw, got 0"):
        level_of(boxes(), EVERYWHERE, truth_of_one_lesion(), 0, 0)


def test_the_middle_slice_is_scored_in_place_of_the_predicted_one():
    # the lesion is on slice 4 of 9, a quarter of 9 is 2.25; the middle is slice 4
    over = {"X": 47, "Y": 48, "Z": 0, "Depth": 2}
    truth = truth_of_one_lesion()
    wrong_depth = boxes().assign(**over)
    assert mean_sensitivity_positive(read_predictions(wrong_depth, truth), truth) == 0.0
    assert mean_in_the_middle(read_predictions(wrong_depth, truth), truth) == 1.0
    assert mean_in_the_middle(read_predictions(wrong_depth.assign(X=0), truth), truth) == 0.0
    unknown = pd.concat([wrong_depth, wrong_depth.assign(StudyUID="of another split")])
    assert mean_in_the_middle(read_predictions(unknown, truth), truth) == 1.0
