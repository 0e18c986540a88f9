"""The first screen: the figures, the differences, and sentences that claim no more than they allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comoto.evaluation.bootstrap import Interval
from comoto.evaluation.paired import PairedDifference
from comoto.report.chance import ChanceLevel
from comoto.report.held_out import Student
from comoto.report.wording import count, in_words, share, share_interval, signed, signed_interval

MEAN_FIGURE = "mean_sensitivity_positive"
FEW_PATIENTS = 30


@dataclass(frozen=True)
class Score:
    """One student's figure with what it is to be read against."""

    title: str
    mean: str
    interval: str
    chance: str
    chance_range: str


@dataclass(frozen=True)
class DifferenceCard:
    """How much higher one student's figure is than the reference's."""

    title: str
    value: str
    interval: str


@dataclass(frozen=True)
class Headline:
    """Texts of the first screen; a difference and a verdict for each student but the reference."""

    scores: tuple[Score, ...]
    differences: tuple[DifferenceCard, ...]
    draws: int
    verdicts: tuple[str, ...]
    chance_sentences: tuple[str, ...]
    caution: str


def headline(
    students: Sequence[Student],
    chances: Sequence[ChanceLevel],
    differences: Sequence[PairedDifference],
    positive_patients: int,
) -> Headline:
    """Put the result into words.

    Args:
        students: the reference, then the others.
        chances: of the same students.
        differences: each of the others minus the reference.
        positive_patients: test patients with a lesion.

    Raises:
        ValueError: the numbers of students, chance levels and differences do not fit each other.
    """
    reference, *others = (student.title for student in students)
    pairs = list(zip(students, chances, strict=True))
    compared = list(zip(others, differences, strict=True))
    return Headline(
        scores=tuple(_score(student, chance) for student, chance in pairs),
        differences=tuple(
            DifferenceCard(f"{title} minus {reference}", signed(each.value), signed_interval(each.interval))
            for title, each in compared
        ),
        draws=chances[0].draws,
        verdicts=tuple(verdict(each, title, reference) for title, each in compared),
        chance_sentences=tuple(
            chance_sentence(student.title, mean_interval(student), chance) for student, chance in pairs
        ),
        caution=caution(positive_patients, len(compared), reference),
    )


def mean_interval(student: Student) -> Interval:
    """Return the interval of a student's mean sensitivity."""
    return student.bootstrap.intervals[MEAN_FIGURE]


def verdict(difference: PairedDifference, method: str, reference: str) -> str:
    """Say what the interval of the difference allows, and no more."""
    if difference.includes_zero:
        return (
            f"These numbers cannot tell {method} and {reference} apart at this size: the interval of the "
            f"difference ({signed_interval(difference.interval)}) includes zero."
        )
    higher, lower = (method, reference) if difference.value > 0 else (reference, method)
    return (
        f"On these simulated test volumes this run of {higher} found more lesions than this run of {lower}: "
        f"the interval of the difference ({signed_interval(difference.interval)}) excludes zero. One run of "
        f"each does not show that the method is better."
    )


def chance_sentence(title: str, interval: Interval, chance: ChanceLevel) -> str:
    """Compare a student's interval with the draws of random boxes."""
    blind = f"{share(chance.mean)} (from {share(chance.lowest)} to {share(chance.highest)})"
    if interval.low > chance.highest:
        return (
            f"{title} is above chance: random boxes reach {blind}, below the whole interval "
            f"{share_interval(interval)}."
        )
    return (
        f"{title} is not shown to be above chance: random boxes reach {blind}, and the interval "
        f"{share_interval(interval)} does not lie above that."
    )


def caution(positive_patients: int, num_differences: int, reference: str) -> str:
    """Say what the intervals do not cover.

    Args:
        positive_patients: test patients with a lesion.
        num_differences: comparisons with the reference that are looked at.
        reference: title of the student that each other is compared with.
    """
    text = (
        "The intervals cover the choice of test patients only. Each method was trained once, with one seed; "
        "how much the result moves from one training run to the next is not in them."
    )
    if num_differences > 1:
        text += (
            f" {in_words(num_differences).capitalize()} differences are looked at, each with an interval of "
            "its own: with several comparisons, one may exclude zero by chance. All of them share this one "
            f"run of {reference}, so a lucky or unlucky run of it moves every difference."
        )
    if positive_patients < FEW_PATIENTS:
        have = "has" if positive_patients == 1 else "have"
        text += (
            f" With only {count(positive_patients, 'test patient')} who {have} a lesion, percentile "
            "intervals tend to be too narrow."
        )
    return text


def _score(student: Student, chance: ChanceLevel) -> Score:
    return Score(
        title=student.title,
        mean=share(student.result.mean_sensitivity_positive),
        interval=share_interval(mean_interval(student)),
        chance=share(chance.mean),
        chance_range=f"{share(chance.lowest)} to {share(chance.highest)}",
    )
