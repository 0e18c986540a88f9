"""The first screen: the metrics, the differences, and sentences that claim no more than they allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comoto.evaluation.bootstrap import Interval
from comoto.evaluation.challenge import MEAN_NAME
from comoto.evaluation.paired import PairedDifference
from comoto.report.held_out import Scored
from comoto.report.random_baseline import RandomBaseline
from comoto.report.wording import Words, in_words, share, share_interval, signed, signed_interval


def headline(
    models: Sequence[Scored],
    baselines: Sequence[RandomBaseline],
    differences: Sequence[PairedDifference],
    words: Words,
) -> dict[str, Any]:
    """Put the result into words.

    Args:
        models: the reference, then the others.
        baselines: of the same models; none where they are not known.
        differences: each of the others minus the reference.
        words: what things are called.

    Returns:
        Texts by name; a difference and a verdict for each model but the reference. ``draws`` is 0 where
        the random baseline is not known.

    Raises:
        ValueError: the numbers of models, random baselines and differences do not fit each other.
    """
    reference, *others = (model.title for model in models)
    pairs = list(zip(models, baselines, strict=True)) if baselines else []
    known: Sequence[RandomBaseline | None] = baselines or [None] * len(models)
    compared = list(zip(others, differences, strict=True))
    return {
        "scores": list(map(_score, models, known)),
        "differences": [
            {
                "title": f"{title} minus {reference}",
                "value": signed(each.value),
                "interval": signed_interval(each.interval),
            }
            for title, each in compared
        ],
        "draws": baselines[0].draws if baselines else 0,
        "verdicts": [verdict(each, title, reference, words) for title, each in compared],
        "baseline_sentences": [
            baseline_sentence(model.title, mean_interval(model), baseline) for model, baseline in pairs
        ],
        "caution": caution(len(compared), reference, words),
    }


def mean_interval(model: Scored) -> Interval:
    """Return the interval of a model's mean sensitivity."""
    return model.bootstrap.intervals[MEAN_NAME]


def verdict(difference: PairedDifference, method: str, reference: str, words: Words) -> str:
    """Say what the interval of the difference allows, and no more."""
    if difference.includes_zero:
        return (
            f"These numbers cannot tell {method} and {reference} apart at this size: the interval of the "
            f"difference ({signed_interval(difference.interval)}) includes zero."
        )
    higher, lower = (method, reference) if difference.value > 0 else (reference, method)
    return (
        f"On these {words.kind}{words.volume}s this run of {higher} found more lesions than this run of "
        f"{lower}: the interval of the difference ({signed_interval(difference.interval)}) excludes zero. "
        f"One run of each does not show that the method is better."
    )


def baseline_sentence(title: str, interval: Interval, baseline: RandomBaseline) -> str:
    """Compare a model's interval with the draws of random boxes."""
    blind = f"{share(baseline.mean)} (from {share(baseline.lowest)} to {share(baseline.highest)})"
    if interval.low > baseline.highest:
        return (
            f"{title} is above the random baseline: random boxes reach {blind}, below the whole interval "
            f"{share_interval(interval)}."
        )
    return (
        f"{title} is not shown to be above the random baseline: random boxes reach {blind}, and the interval "
        f"{share_interval(interval)} does not lie above that."
    )


def caution(num_differences: int, reference: str, words: Words) -> str:
    """Say what the intervals do not cover.

    Args:
        num_differences: comparisons with the reference that are looked at.
        reference: title of the model that each other is compared with.
        words: what things are called.
    """
    text = (
        f"The intervals cover the choice of {words.patient}s only. {words.runs}; "
        "how much the result moves from one training run to the next is not in them."
    )
    if num_differences > 1:
        text += (
            f" {in_words(num_differences).capitalize()} differences are looked at, each with an interval of "
            "its own: with several comparisons, one may exclude zero by chance. All of them share this one "
            f"run of {reference}, so a lucky or unlucky run of it moves every difference."
        )
    return text


def _score(model: Scored, baseline: RandomBaseline | None) -> dict[str, str]:
    """Return a model's metric with what it is to be read against; empty where that is not known."""
    return {
        "title": model.title,
        "mean": share(model.result.mean_sensitivity_positive),
        "interval": share_interval(mean_interval(model)),
        "baseline": "" if baseline is None else share(baseline.mean),
        "baseline_range": ""
        if baseline is None
        else f"{share(baseline.lowest)} to {share(baseline.highest)}",
    }
