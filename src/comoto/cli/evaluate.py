"""``comoto evaluate``: predictions and annotations in, sensitivities and intervals out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from comoto.cli.options import IntervalOption, SplitOption, overwrite_option, say_unused
from comoto.defaults import HIT_IOU, HIT_RADIUS

if TYPE_CHECKING:
    from comoto.evaluation import ChallengeResult, MammogramResult


PredictionsOption = Annotated[
    Path | None, typer.Option("--predictions", help="CSV of volume predictions, DBTex columns.")
]
LabelsOption = Annotated[
    Path | None, typer.Option("--labels", help="Labels CSV of one split: every volume is a row.")
]
BoxesOption = Annotated[
    Path | None, typer.Option("--boxes", help="Boxes CSV of the same split: every lesion is a row.")
]
MammogramPredictionsOption = Annotated[
    Path | None,
    typer.Option("--mammogram-predictions", help="CSV with image_id, x1, y1, x2, y2, score instead."),
]
ManifestOption = Annotated[
    Path | None,
    typer.Option("--manifest", help="Manifest folder with the lesions, in place of labels and boxes."),
]
RuleOption = Annotated[
    Literal["iou", "center"] | None,
    typer.Option("--rule", help="What a hit is on mammograms; iou if not given."),
]
IouOption = Annotated[
    float | None,
    typer.Option(
        "--iou",
        min=0.000001,
        max=1.0,
        help=f"Least overlap of a hit on mammograms; {HIT_IOU:g} if not given.",
    ),
]
MinRadiusOption = Annotated[
    str | None,
    typer.Option(
        "--min-radius",
        metavar="PIXELS|MMmm",
        help=f"Least hit radius on volumes. {HIT_RADIUS:g} is the challenge's, for pixels of about "
        "0.085 mm; with --manifest also as 8.5mm.",
    ),
]
PublishedMetricOption = Annotated[
    bool,
    typer.Option(
        "--published-metric",
        help="Also print the published code's metric beside this one, to see what its defects are worth.",
    ),
]
BootstrapOption = Annotated[
    int, typer.Option("--bootstrap", min=0, help="Replicates for 95 % intervals; 0 for none.")
]
JsonPathOption = Annotated[
    Path | None, typer.Option("--json", help="Write metrics, curves and thresholds here.")
]
FigureOption = Annotated[Path | None, typer.Option("--figure", help="Draw the FROC: .png, .svg or .pdf.")]


def evaluate(
    ctx: typer.Context,
    predictions: PredictionsOption = None,
    labels: LabelsOption = None,
    boxes: BoxesOption = None,
    mammogram_predictions: MammogramPredictionsOption = None,
    manifest: ManifestOption = None,
    split: SplitOption = None,
    rule: RuleOption = None,
    iou: IouOption = None,
    min_radius: MinRadiusOption = None,
    published_metric: PublishedMetricOption = False,
    bootstrap: BootstrapOption = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the bootstrap.")] = 0,
    interval: IntervalOption = "percentile",
    json_path: JsonPathOption = None,
    figure: FigureOption = None,
    log_axis: Annotated[bool, typer.Option("--log-axis", help="Logarithmic FP axis in the figure.")] = False,
    overwrite: Annotated[bool, overwrite_option("existing outputs")] = False,
) -> None:
    """Score predictions: FROC, sensitivities, intervals.

    Volumes by the DBTex challenge's metric, against tables of labels and
    boxes or against a manifest; mammograms by overlap or centre.

    Example: comoto evaluate --predictions predictions.csv --manifest manifests/bcs-dbt --split test
    --bootstrap 1000 --json result.json --figure froc.png
    """
    from comoto import api
    from comoto.errors import ConfigError
    from comoto.manifest_files import MANIFEST_FILES
    from comoto.output_files import output_files, refuse_existing, refuse_inputs_as_outputs

    outputs = [path for path in (json_path, figure) if path is not None]
    own = [] if manifest is None else [manifest, *(manifest / name for name in MANIFEST_FILES)]
    refuse_inputs_as_outputs(outputs, [predictions, labels, boxes, mammogram_predictions, *own])
    refuse_existing(outputs, overwrite)
    if figure is not None:
        from comoto.report.froc_figure import check_figure_path

        check_figure_path(figure)
    _say_unused_together(ctx, bootstrap, rule, figure)
    how: dict[str, Any] = {
        "split": split,
        "bootstrap": bootstrap,
        "seed": seed,
        "interval": interval,
        "published_metric": published_metric,
    }
    tables = labels is not None and boxes is not None and manifest is None and split is None
    own_volumes = manifest is not None and labels is None and boxes is None
    result: ChallengeResult | MammogramResult
    if mammogram_predictions is not None and own_volumes and predictions is None and manifest is not None:
        scored = mammogram_predictions
        _say_unused({"--min-radius": min_radius}, "volumes")
        hit: dict[str, Any] = {"rule": rule or "iou", "iou": HIT_IOU if iou is None else iou}
        result = api.evaluate_mammograms(scored, manifest, **hit, **how)
    elif predictions is not None and mammogram_predictions is None and (tables or own_volumes):
        scored = predictions
        _say_unused({"--rule": rule, "--iou": iou}, "mammograms")
        radius = HIT_RADIUS if min_radius is None else min_radius
        result = api.evaluate(scored, labels, boxes, manifest=manifest, min_radius=radius, **how)
    else:
        raise ConfigError(
            "give --predictions with --labels and --boxes, or with --manifest and perhaps --split (volumes), "
            "or --mammogram-predictions with --manifest, perhaps --split (mammograms)"
        )
    typer.echo(result.summary())
    contents = _contents(result, scored.stem, json_path, figure, log_axis=log_axis)
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
    """Return the content of each file that is asked for: the metrics, and the picture of the curve."""
    contents = {}
    if json_path is not None:
        contents[json_path] = result.to_json().encode()
    if figure is not None:
        from comoto.report.froc_figure import drawn, froc_figure

        contents[figure] = drawn(froc_figure([(name, result)], log_axis), figure)
    return contents
