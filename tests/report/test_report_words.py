import math
from types import SimpleNamespace

import pytest

from comoto.config import load_train_config
from comoto.evaluation.bootstrap import Interval
from comoto.evaluation.challenge import MEAN_NAME
from comoto.evaluation.paired import PairedDifference
from comoto.report import wording
from comoto.report.demo_sections import student_sentence
from comoto.report.headline import baseline_sentence, caution, headline, verdict
from comoto.report.random_baseline import RandomBaseline

WORDS = wording.Words(volume="test volume", patient="test patient")


def difference(value, low, high):
    return PairedDifference(value, Interval(low, high), 100, 0, 0)


@pytest.mark.parametrize("ends", [(-0.1, 0.2), (0.0, 0.2), (-0.2, 0.0), (math.nan, math.nan)])
def test_an_interval_with_zero_claims_nothing(ends):
    text = verdict(difference(0.05, *ends), "CoMoTo", "Pretraining", WORDS)
    assert text.startswith("These numbers cannot tell CoMoTo and Pretraining apart at this size")
    assert "found more" not in text


def test_an_interval_without_zero_speaks_of_the_runs_only():
    text = verdict(difference(0.10, 0.02, 0.2), "CoMoTo", "Pretraining", WORDS)
    assert "this run of CoMoTo found more lesions than this run of Pretraining" in text
    assert "One run of each does not show that the method is better." in text
    text = verdict(difference(-0.10, -0.2, -0.02), "CoMoTo", "Pretraining", WORDS)
    assert "this run of Pretraining found more lesions than this run of CoMoTo" in text


def test_above_the_random_baseline_needs_the_whole_interval():
    baseline = RandomBaseline(0.2, 0.1, 0.3, 20)
    assert baseline_sentence("CoMoTo", Interval(0.31, 0.6), baseline).startswith(
        "CoMoTo is above the random baseline"
    )
    assert "not shown to be above" in baseline_sentence("CoMoTo", Interval(0.3, 0.6), baseline)
    assert "not shown to be above" in baseline_sentence("CoMoTo", Interval(0.05, 0.1), baseline)


def test_several_differences_are_called_several():
    text = caution(2, "Plain", WORDS)
    assert "Two differences are looked at" in text
    assert "with several comparisons, one may exclude zero by chance" in text
    assert "this one run of Plain" in text
    assert "Five differences are looked at" in caution(5, "Plain", WORDS)
    assert "differences" not in caution(1, "Plain", WORDS)


def student(title, mean, low, high):
    bootstrap = SimpleNamespace(intervals={MEAN_NAME: Interval(low, high)})
    result = SimpleNamespace(mean_sensitivity_positive=mean)
    return SimpleNamespace(title=title, result=result, bootstrap=bootstrap)


REFERENCE = student("Pretraining", 0.50, 0.40, 0.60)
SAME, BETTER, WORSE = (
    student("CoMoTo", 0.52, 0.41, 0.63),
    student("Joint training", 0.70, 0.61, 0.80),
    student("Third", 0.30, 0.10, 0.45),
)
BASELINE = RandomBaseline(0.2, 0.1, 0.3, 20)


def test_every_student_is_compared_with_the_reference_on_its_own():
    found = headline(
        [REFERENCE, SAME, BETTER, WORSE],
        [BASELINE] * 4,
        [difference(0.02, -0.05, 0.09), difference(0.20, 0.08, 0.31), difference(-0.20, -0.33, -0.06)],
        WORDS,
    )
    assert [(score["title"], score["mean"], score["interval"]) for score in found["scores"]] == [
        ("Pretraining", "0.50", "0.40 to 0.60"),
        ("CoMoTo", "0.52", "0.41 to 0.63"),
        ("Joint training", "0.70", "0.61 to 0.80"),
        ("Third", "0.30", "0.10 to 0.45"),
    ]
    assert [(each["title"], each["value"], each["interval"]) for each in found["differences"]] == [
        ("CoMoTo minus Pretraining", "+0.02", "−0.05 to +0.09"),
        ("Joint training minus Pretraining", "+0.20", "+0.08 to +0.31"),
        ("Third minus Pretraining", "−0.20", "−0.33 to −0.06"),
    ]
    same, better, worse = found["verdicts"]
    assert same.startswith("These numbers cannot tell CoMoTo and Pretraining apart at this size")
    assert "(−0.05 to +0.09) includes zero" in same
    assert "this run of Joint training found more lesions than this run of Pretraining" in better
    assert "(+0.08 to +0.31) excludes zero" in better
    assert "this run of Pretraining found more lesions than this run of Third" in worse
    assert [sentence.split(" random boxes")[0] for sentence in found["baseline_sentences"]] == [
        "Pretraining is above the random baseline:",
        "CoMoTo is above the random baseline:",
        "Joint training is above the random baseline:",
        "Third is not shown to be above the random baseline:",
    ]
    assert "Three differences are looked at" in found["caution"]


def test_two_students_are_one_difference():
    found = headline([REFERENCE, BETTER], [BASELINE] * 2, [difference(0.2, 0.08, 0.31)], WORDS)
    assert [len(found[name]) for name in ("scores", "differences", "verdicts")] == [2, 1, 1]
    assert "differences" not in found["caution"]


def test_the_random_baseline_may_be_unknown():
    found = headline([REFERENCE], [], [], WORDS)
    assert (found["scores"][0]["baseline"], found["draws"], found["baseline_sentences"]) == ("", 0, [])
    assert (found["scores"][0]["mean"], found["differences"], found["verdicts"]) == ("0.50", [], [])


def test_a_difference_too_few_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        headline([REFERENCE, SAME, BETTER], [BASELINE] * 3, [difference(0.02, -0.05, 0.09)], WORDS)


def test_numbers_in_words():
    assert [wording.signed(value) for value in (0.041, -0.041, 0.004, -0.004)] == [
        "+0.04",
        "−0.04",
        "0.00",
        "0.00",
    ]
    assert wording.signed_interval(Interval(-0.1, 0.25)) == "−0.10 to +0.25"
    assert wording.share(math.nan) == "not known"
    assert [wording.in_words(number) for number in (0, 2, 3, 10, 11)] == ["zero", "two", "three", "ten", "11"]
    assert [wording.listed(parts) for parts in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
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
    plain = load_train_config("demo", ["init=scratch", "joint.size=0"])
    assert student_sentence("Plain", plain) == (
        "The student Plain starts from random weights and is trained on tomosynthesis alone."
    )
    taught = load_train_config("demo", ["distill.kind=lesion_points", "joint.size=0"])
    assert "starts from the teacher's weights and is also distilled from the teacher" in (
        student_sentence("CoMoTo", taught)
    )


def test_all_parts_of_the_recipe_are_mentioned():
    assert student_sentence("MAF", load_train_config("demo")) == (
        "The student MAF starts from the teacher's weights, sees 8 mammograms in each batch beside its "
        "slices, goes back 0 or 25 % of the way to the teacher's weights and reads depth off its features "
        "with a focus head."
    )


def test_mammograms_in_the_batches_are_mentioned():
    start = "The student Mixed starts from the teacher's weights"
    plain = ["average.teacher_shares=[]", "focus.fit=false"]
    mixed = load_train_config("demo", ["joint.size=8", "joint.batch_norm=mixed", *plain])
    assert student_sentence("Mixed", mixed) == (
        f"{start} and sees 8 mammograms in each batch beside its slices."
    )
    both = load_train_config("demo", ["joint.size=1", "distill.kind=lesion_points", *plain])
    assert student_sentence("Mixed", both) == (
        f"{start}, is also distilled from the teacher at points of the lesions and sees 1 mammogram in each "
        "batch beside its slices."
    )
