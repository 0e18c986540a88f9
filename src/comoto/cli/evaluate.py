"""``comoto evaluate``: predictions and annotations in, sensitivities and intervals out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from comoto.cli.options import complete_split, say_unused
from comoto.defaults import HIT_IOU, HIT_RADIUS

if TYPE_CHECKING:
    from comoto.evaluation import ChallengeResult, MammogramResult


def evaluate(
    ctx: typer.Context,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="CSV of volume predictions, DBTex columns.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Labels CSV of one split: every volume is a row.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option("--boxes", help="Boxes CSV of the same split: every lesion is a row.")
    ] = None,
    mammogram_predictions: Annotated[
        Path | None,
        typer.Option("--mammogram-predictions", help="CSV with image_id, x1, y1, x2, y2, score instead."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", help="Manifest folder with the lesions, in place of labels and boxes."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", autocompletion=complete_split, help="Only this split of the manifest."),
    ] = None,
    rule: Annotated[
        Literal["iou", "center"] | None,
        typer.Option("--rule", help="What a hit is on mammograms; iou if not given."),
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option(
            "--iou",
            min=0.000001,
            max=1.0,
            help=f"Least overlap of a hit on mammograms; {HIT_IOU:g} if not given.",
        ),
    ] = None,
    min_radius: Annotated[
        str | None,
        typer.Option(
            "--min-radius",
            metavar="PIXELS|MMmm",
            help=f"Least hit radius on volumes. {HIT_RADIUS:g} is the challenge's, for pixels of about "
            "0.085 mm; with --manifest also as 8.5mm.",
        ),
    ] = None,
    published_metric: Annotated[
        bool,
        typer.Option(
            "--published-metric",
            help="Also print the published code's metric beside this one, to see what its defects are worth.",
        ),
    ] = False,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Replicates for 95 % intervals; 0 for none.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap.")] = 0,
    interval: Annotated[
        Literal["percentile", "bca"],
        typer.Option("--interval", help="Kind of interval; bca is corrected for few patients."),
    ] = "percentile",
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write figures, curves and thresholds here.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Draw the FROC: .png, .svg or .pdf.")
    ] = None,
    log_axis: Annotated[bool, typer.Option("--log-axis", help="Logarithmic FP axis in the figure.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
) -> None:
    """Score predictions: FROC, sensitivities, intervals.

    Volumes by the DBTex challenge's metric, against tables of labels and
    boxes or against a manifest; mammograms by overlap or centre.

    Example: comoto evaluate --predictions predictions.csv --manifest manifests/bcs-dbt --split test
    --bootstrap 1000 --json result.json --figure froc.png
    """
    from comoto import api
    from comoto.errors import ConfigError
    from comoto.output_files import output_files, refuse_existing, refuse_inputs_as_outputs
    from comoto.records import MANIFEST_FILES

    outputs = [path for path in (json_path, figure) if path is not None]
    own = [] if manifest is None else [manifest, *(manifest / name for name in MANIFEST_FILES)]
    refuse_inputs_as_outputs(outputs, [predictions, labels, boxes, mammogram_predictions, *own])
    refuse_existing(outputs, overwrite)
    if figure is not None:
        from comoto.report.froc_figure import check_figure_path

        check_figure_path(figure)
    _say_unused_together(ctx, bootstrap, rule, figure)
    result: ChallengeResult | MammogramResult
    tables = labels is not None and boxes is not None and manifest is None and split is None
    own_volumes = manifest is not None and labels is None and boxes is None
    if mammogram_predictions is not None and own_volumes and predictions is None and manifest is not None:
        _say_unused({"--min-radius": min_radius}, "volumes")
        result = api.evaluate_mammograms(
            mammogram_predictions,
            manifest,
            split=split,
            rule=rule or "iou",
            iou=HIT_IOU if iou is None else iou,
            bootstrap=bootstrap,
            seed=seed,
            interval=interval,
            published_metric=published_metric,
        )
    elif predictions is not None and mammogram_predictions is None and (tables or own_volumes):
        _say_unused({"--rule": rule, "--iou": iou}, "mammograms")
        result = api.evaluate(
            predictions,
            labels,
            boxes,
            manifest=manifest,
            split=split,
            bootstrap=bootstrap,
            seed=seed,
            interval=interval,
            min_radius=HIT_RADIUS if min_radius is None else min_radius,
            published_metric=published_metric,
        )
    else:
        raise ConfigError(
            "give --predictions with --labels and --boxes, or with --manifest and perhaps --split (volumes), "
            "or --mammogram-predictions with --manifest, perhaps --split (mammograms)"
        )
    typer.echo(result.summary())
    scored = predictions or mammogram_predictions
    contents = _contents(result, scored.stem if scored else "", json_path, figure, log_axis=log_axis)
    output_files(contents, overwrite)
    for path in contents:
        typer.echo(f"wrote {path}")


def _say_unused_together(ctx: typer.Context, bootstrap: int, rule: object, figure: Path | None) -> None:
    """Say which options were given whose use hangs on another one."""
    if bootstrap == 0:
        say_unused(ctx, "without --bootstrap", "seed", "interval")
    if rule == "center":
        say_unused(ctx, "with --rule center", "iou")
    if figure is None:
        say_unused(ctx, "without --figure", "log_axis")


def _say_unused(given: dict[str, object], about: str) -> None:
    """Say which options were given that the other kind of images would need."""
    unused = [name for name, value in given.items() if value is not None]
    if unused:
        typer.echo(f"{' and '.join(unused)}: for {about} only, not used here", err=True)


def _contents(
    result: ChallengeResult | MammogramResult,
    name: str,
    json_path: Path | None,
    figure: Path | None,
    *,
    log_axis: bool,
) -> dict[Path, bytes]:
    """Return the content of each file that is asked for: the figures, and the picture of the curve."""
    contents = {}
    if json_path is not None:
        contents[json_path] = result.to_json().encode()
    if figure is not None:
        from comoto.report.froc_figure import drawn, froc_figure

        contents[figure] = drawn(froc_figure([(name, result)], log_axis), figure)
    return contents
