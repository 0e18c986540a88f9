"""What every page on scored volumes has, section by section: metrics, curves, pictures, groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from comoto.evaluation.beside_text import figure_titles
from comoto.evaluation.bootstrap import Interval
from comoto.evaluation.challenge import MEAN_NAME
from comoto.evaluation.challenge_tables import ChallengeTruth
from comoto.evaluation.depth import CAUTION
from comoto.evaluation.figures import Judged
from comoto.progress import track
from comoto.report.breakdown import breakdowns
from comoto.report.findings import findings_of
from comoto.report.froc_figure import froc_figure
from comoto.report.headline import headline
from comoto.report.held_out import OPERATING_METRIC, HeldOut, Scored
from comoto.report.pictures import figure_image
from comoto.report.random_baseline import RandomBaseline, mean_in_the_middle, random_baseline
from comoto.report.side_by_side import STRONGEST, comparisons
from comoto.report.source_images import SearchSpace, SourceImages
from comoto.report.wording import NOT_KNOWN, Words, count, in_words, listed, share, share_interval

CHANCE_DRAWS = 20
_FIGURES = {
    MEAN_NAME: "Mean sensitivity at 1, 2, 3 and 4 FP per volume with a lesion",
    **{
        f"sensitivity_at_{fps}_fps_positive": f"Sensitivity at {fps} FP per volume with a lesion"
        for fps in (1, 2, 3, 4)
    },
    OPERATING_METRIC: "Sensitivity at 2 FP per volume, over all volumes",
}
_NAMED_IMAGES = 5

Page = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What the sections are made from.

    Attributes:
        held_out: the volumes and what the models say of them.
        images: where pictures come from.
        words: what things are called.
    """

    held_out: HeldOut
    images: SourceImages
    words: Words


def headline_section(material: Material) -> Page:
    """The metrics, the differences, the random baseline, and what they are made of."""
    held_out, words = material.held_out, material.words
    models, truth = held_out.models, held_out.truth
    result = models[0].result
    baselines = _random_baselines(material)
    return {
        "words": words,
        "num_models": in_words(len(models)),
        "titles": tuple(model.title for model in models),
        "headline": headline(models, baselines, held_out.differences(), words),
        "denominators": (
            f"{count(result.num_lesions, 'lesion')} in {count(result.num_volumes_positive, 'volume')}; "
            f"{count(result.num_volumes_all, words.volume)} of {count(result.num_patients, 'patient')} "
            "in all"
        ),
        "hit_radius": _radius_text(held_out),
        "depth_sentence": CAUTION,
        "depth_rows": tuple(_depth_row(model, truth) for model in models),
        "interval_method": models[0].bootstrap.text(),
        "interval_kind": models[0].bootstrap.kind,
    }


def froc_section(material: Material) -> Page:
    """FROC curves and all metrics with intervals."""
    models, words = material.held_out.models, material.words
    alt = f"FROC curves of the {words.model}s with bootstrap bands. " + " ".join(
        f"{model.title}: mean sensitivity {share(model.result.mean_sensitivity_positive)}."
        for model in models
    )
    return {
        "froc": figure_image(froc_figure([(model.title, model.result) for model in models]), alt),
        "metrics": {
            name: [metric_text(model.result.metric[key], model.bootstrap.intervals[key]) for model in models]
            for key, name in _FIGURES.items()
        },
        "warnings": tuple(dict.fromkeys(text for model in models for text in model.result.warnings)),
        "beside": _beside_rows(models),
        "free_depth": f"{100 * models[0].beside.free_share:.0f} %",
        "constant_depth": f"{models[0].beside.rules.constant:g}",
    }


def _beside_rows(models: Sequence[Scored]) -> dict[str, list[str]]:
    """Return what stands beside the challenge's metrics: a row a figure, a cell a model."""
    rows: dict[str, list[str]] = {}
    for titled in ([*figure_titles(model.beside)] for model in models):
        for title, figure, digits in titled:
            rows.setdefault(title, []).append(_judged_text(figure, digits))
    return rows


def _judged_text(figure: Judged, digits: int) -> str:
    if math.isnan(figure.value):
        return NOT_KNOWN
    if figure.interval is None or math.isnan(figure.interval.low):
        return f"{figure.value:.{digits}f}"
    ends = f"{figure.interval.low:.{digits}f} to {figure.interval.high:.{digits}f}"
    return f"{figure.value:.{digits}f} ({ends})"


def pictures_section(material: Material) -> Page:
    """All models on the same slices, and what each found, missed and invented."""
    held_out, images, words = material.held_out, material.images, material.words
    return {
        "comparisons": comparisons(held_out, images),
        "strongest": STRONGEST,
        "findings": tuple(findings_of(model, held_out, images, words.volume) for model in held_out.models),
        "breakdowns": breakdowns(held_out),
    }


def without_picture(material: Material) -> str:
    """Say why pictures are missing; empty if none is."""
    images = material.images
    if not images.opened:
        unit = "pixels" if material.held_out.lesions[0].spacing is None else "mm"
        return (
            "This page was asked for without pictures: no image was decoded for it, and no headers were read "
            f"but those that tell whether the hit radius fits the images. Sizes of lesions are in {unit}."
        )
    ids = sorted(images.unreadable)
    if not ids:
        return ""
    more = [f"{len(ids) - _NAMED_IMAGES} more"] if len(ids) > _NAMED_IMAGES else []
    return (
        f"{count(len(ids), 'image')} could not be read when this page was made, and there is no picture of "
        f"{'it' if len(ids) == 1 else 'them'}: {listed([*ids[:_NAMED_IMAGES], *more])}."
    )


def metric_text(value: float, interval: Interval | None) -> str:
    """Return "0.58 (0.41 to 0.73)", or the value alone."""
    return share(value) if interval is None else f"{share(value)} ({share_interval(interval)})"


def _radius_text(held_out: HeldOut) -> str:
    """Return the least hit radius, in mm too where the size of a pixel is known."""
    pixels = held_out.min_radius
    sizes = {min(lesion.spacing) for lesion in held_out.lesions if lesion.spacing is not None}
    if not sizes:
        return f"{pixels:g} source pixels"
    ends = dict.fromkeys(f"{pixels * size:.1f}" for size in (min(sizes), max(sizes)))
    return f"{' to '.join(ends)} mm ({pixels:g} source pixels)"


def _depth_row(model: Scored, truth: ChallengeTruth) -> dict[str, str]:
    """Say what the depth of one model's boxes is worth.

    ``span`` is the share of the stack that a box on a volume with a lesion spans, the median over boxes;
    ``in_the_middle`` the mean sensitivity with every box put at the middle slice of its volume.
    """
    span = model.found.depth.spanned_share
    return {
        "title": model.title,
        "span": NOT_KNOWN if math.isnan(span) else f"{100 * span:.0f} %",
        "mean": share(model.result.mean_sensitivity_positive),
        "in_the_middle": share(mean_in_the_middle(model.found, truth)),
    }


def _random_baselines(material: Material) -> tuple[RandomBaseline, ...]:
    """Return what random boxes reach, for each model; nothing if a volume that matters cannot be read."""
    held_out = material.held_out
    truth, drawn = held_out.truth, held_out.models[0].bootstrap
    wanted = sorted(
        {int(volume) for model in held_out.models for volume in model.found.volume}
        & {int(volume) for volume in truth.lesion_volume}
    )
    spaces: dict[int, SearchSpace] = {}
    for number in track(wanted, "random baseline", len(wanted)):
        space = material.images.search_space(held_out.volumes[number])
        if space is None:
            return ()
        spaces[number] = space
    return tuple(
        random_baseline(model.found, spaces, truth, CHANCE_DRAWS, drawn.seed) for model in held_out.models
    )
