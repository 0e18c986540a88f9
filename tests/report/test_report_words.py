import math

import pytest

from comoto.config import load_train_config
from comoto.evaluation.bootstrap import Interval
from comoto.evaluation.paired import PairedDifference
from comoto.report import wording
from comoto.report.chance import ChanceLevel
from comoto.report.demo_sections import student_sentence
from comoto.report.headline import caution, chance_sentence, verdict


def difference(value, low, high):
    return PairedDifference(value, Interval(low, high), 100, 0, 0)


@pytest.mark.parametrize("ends", [(-0.1, 0.2), (0.0, 0.2), (-0.2, 0.0), (math.nan, math.nan)])
def test_an_interval_with_zero_claims_nothing(ends):
    text = verdict(difference(0.05, *ends), "CoMoTo", "Pretraining")
    assert text.startswith("These numbers cannot tell the two apart at this size")
    assert "found more" not in text


def test_an_interval_without_zero_speaks_of_the_runs_only():
    text = verdict(difference(0.10, 0.02, 0.2), "CoMoTo", "Pretraining")
    assert "this run of CoMoTo found more lesions than this run of Pretraining" in text
    assert "One run of each does not show that the method is better." in text
    text = verdict(difference(-0.10, -0.2, -0.02), "CoMoTo", "Pretraining")
    assert "this run of Pretraining found more lesions than this run of CoMoTo" in text


def test_above_chance_needs_the_whole_interval():
    chance = ChanceLevel(0.2, 0.1, 0.3, 20)
    assert chance_sentence("CoMoTo", Interval(0.31, 0.6), chance).startswith("CoMoTo is above chance")
    assert "not shown to be above" in chance_sentence("CoMoTo", Interval(0.3, 0.6), chance)
    assert "not shown to be above" in chance_sentence("CoMoTo", Interval(0.05, 0.1), chance)


def test_few_patients_are_named():
    assert "With only 7 test patients who have a lesion" in caution(7)
    assert "With only 1 test patient who has a lesion" in caution(1)
    assert "With only" not in caution(30)


def test_numbers_in_words():
    assert [wording.signed(value) for value in (0.041, -0.041, 0.004, -0.004)] == [
        "+0.04",
        "−0.04",
        "0.00",
        "0.00",
    ]
    assert wording.signed_interval(Interval(-0.1, 0.25)) == "−0.10 to +0.25"
    assert wording.share(math.nan) == "not known"
    assert wording.of_total(12, 20) == "12 of 20 (60 %)"
    assert wording.of_total(0, 0) == "0 of 0"
    assert [wording.seconds(value) for value in (0.44, 59.4, 59.6, 185)] == [
        "0.4 s",
        "59 s",
        "1 min 00 s",
        "3 min 05 s",
    ]
    assert [wording.mebibytes(value) for value in (512, 2150.4)] == ["512 MiB", "2.1 GiB"]


def test_a_student_is_described_by_its_settings():
    plain = load_train_config("demo", ["init=scratch"])
    assert student_sentence("Plain", plain) == (
        "Plain starts from random weights and is trained on tomosynthesis alone."
    )
    taught = load_train_config("demo", ["distill.kind=lesion_points", "init=teacher"])
    assert "starts from the teacher's weights and is also distilled from the teacher" in (
        student_sentence("CoMoTo", taught)
    )
