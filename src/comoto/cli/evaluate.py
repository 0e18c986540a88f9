"""``comoto evaluate``: predictions and annotations in, sensitivities and intervals out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from comoto.cli.options import IntervalOption, SplitOption, overwrite_option, say_unused
from comoto.defaults import CONSTANT_DEPTH, HIT_IOU, HIT_RADIUS

if TYPE_CHECKING:
    from comoto.evaluation import ChallengeResult, MammogramResult


PredictionsOption = Annotated[
    Path | None,
    typer.Option("--predictions", help="CSV of volume predictions, DBTex columns; or COCO results (.json)."),
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
DepthToleranceOption = Annotated[
    str | None,
    typer.Option(
        "--depth-tolerance",
        metavar="MMmm",
        help="Score also with this tolerance in depth, such as 10mm; the files or --slice-mm say how far "
        "slices lie apart.",
    ),
]
SliceMmOption = Annotated[
    float | None,
    typer.Option("--slice-mm", help="Distance of slices in mm; alone, with a tolerance of 10 mm."),
]
ConstantDepthOption = Annotated[
    float,
    typer.Option(
        "--constant-depth",
        help=f"Share of the stack at which every depth is put beside; {CONSTANT_DEPTH:g} if not given.",
    ),
]
ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="COLUMN[,COLUMN]",
        help="Score parts too: type, size, or any column of the manifest, the tables or --lesion-table.",
    ),
]
LesionTableOption = Annotated[
    Path | None,
    typer.Option("--lesion-table", help="CSV with more columns of lesions and volumes, for --by."),
]
OperatingPointOption = Annotated[
    str | None,
    typer.Option(
        "--operating-point",
        metavar="0.5fp|sensitivity=0.9",
        help="Choose the threshold with so many FP per volume, all volumes, or so high a sensitivity.",
    ),
]
PointPathOption = Annotated[
    Path | None,
    typer.Option("--operating-point-out", help="Write it here (.json), for 'comoto predict'."),
]
RjafrocOption = Annotated[
    Path | None,
    typer.Option("--export-rjafroc", help="Write an .xlsx that the R package RJafroc reads."),
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
    depth_tolerance: DepthToleranceOption = None,
    slice_mm: SliceMmOption = None,
    constant_depth: ConstantDepthOption = CONSTANT_DEPTH,
    by: ByOption = None,
    lesion_table: LesionTableOption = None,
    operating_point: OperatingPointOption = None,
    operating_point_out: PointPathOption = None,
    export_rjafroc: RjafrocOption = None,
    json_path: JsonPathOption = None,
    figure: FigureOption = None,
    log_axis: Annotated[bool, typer.Option("--log-axis", help="Logarithmic FP axis in the figure.")] = False,
    overwrite: Annotated[bool, overwrite_option("existing outputs")] = False,
) -> None:
    """Score predictions: FROC, sensitivities, intervals.

    Volumes by the DBTex challenge's metric, against tables of labels and
    boxes or against a manifest, and beside it by other rules of depth, over
    all volumes and by parts; mammograms by overlap or centre.

    Example: comoto evaluate --predictions predictions.csv --manifest manifests/bcs-dbt --split test
    --bootstrap 1000 --json result.json --figure froc.png
    """
    from comoto import api
    from comoto.errors import ConfigError
    from comoto.manifest_files import MANIFEST_FILES
    from comoto.output_files import output_files, refuse_existing, refuse_inputs_as_outputs

    places = _Places(json_path, figure, operating_point_out, export_rjafroc)
    own = [] if manifest is None else [manifest, *(manifest / name for name in MANIFEST_FILES)]
    inputs = [predictions, labels, boxes, mammogram_predictions, lesion_table, *own]
    refuse_inputs_as_outputs(places.outputs, inputs)
    refuse_existing(places.outputs, overwrite)
    places.check(operating_point)
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
        places.refuse_those_of_volumes()
        _say_unused({"--min-radius": min_radius}, "volumes")
        say_unused(ctx, "for mammograms", *_OF_VOLUMES)
        hit: dict[str, Any] = {"rule": rule or "iou", "iou": HIT_IOU if iou is None else iou}
        result = api.evaluate_mammograms(scored, manifest, **hit, **how)
    elif predictions is not None and mammogram_predictions is None and (tables or own_volumes):
        scored = predictions
        _say_unused({"--rule": rule, "--iou": iou}, "mammograms")
        more: dict[str, Any] = {
            "min_radius": HIT_RADIUS if min_radius is None else min_radius,
            "depth_tolerance": depth_tolerance,
            "slice_mm": slice_mm,
            "constant_depth": constant_depth,
            "by": () if by is None else by,
            "lesion_table": lesion_table,
            "operating_point": operating_point,
        }
        result = api.evaluate(scored, labels, boxes, manifest=manifest, **more, **how)
    else:
        raise ConfigError(
            "give --predictions with --labels and --boxes, or with --manifest and perhaps --split (volumes), "
            "or --mammogram-predictions with --manifest, perhaps --split (mammograms)"
        )
    contents = places.contents(result, scored.stem, log_axis=log_axis)
    typer.echo(result.summary())
    output_files(contents, overwrite)
    for path in contents:
        typer.echo(f"wrote {path}")


_OF_VOLUMES = (
    "depth_tolerance",
    "slice_mm",
    "constant_depth",
    "by",
    "lesion_table",
    "operating_point",
)
"""Parameters that mammograms have no use for."""


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


@dataclass(frozen=True)
class _Places:
    """The files that are asked for."""

    json: Path | None
    figure: Path | None
    point: Path | None
    rjafroc: Path | None

    @property
    def outputs(self) -> list[Path]:
        """Those that are."""
        return [path for path in (self.json, self.figure, self.point, self.rjafroc) if path is not None]

    def check(self, operating_point: str | None) -> None:
        """Refuse names and calls that cannot be, before anything is read.

        Raises:
            ConfigError: a file's name has another ending, or no operating point is chosen that it could hold.
        """
        from comoto.errors import ConfigError

        if self.figure is not None:
            from comoto.report.froc_figure import check_figure_path

            check_figure_path(self.figure)
        if self.rjafroc is not None and self.rjafroc.suffix.lower() != ".xlsx":
            raise ConfigError(
                f"--export-rjafroc {self.rjafroc}: the file ends in .xlsx, or RJafroc refuses it"
            )
        if self.point is not None and operating_point is None:
            raise ConfigError(
                "--operating-point-out: say which point, with --operating-point 0.5fp or sensitivity=0.9"
            )

    def refuse_those_of_volumes(self) -> None:
        """Refuse files that mammograms cannot fill.

        Raises:
            ConfigError: one is asked for.
        """
        from comoto.errors import ConfigError

        for option, path in (("--operating-point-out", self.point), ("--export-rjafroc", self.rjafroc)):
            if path is not None:
                raise ConfigError(f"{option}: of volumes only; leave it out for mammograms")

    def contents(
        self, result: ChallengeResult | MammogramResult, name: str, *, log_axis: bool
    ) -> dict[Path, bytes]:
        """Return the content of each file."""
        contents = {}
        if self.json is not None:
            contents[self.json] = result.to_json().encode()
        if self.figure is not None:
            from comoto.report.froc_figure import drawn, froc_figure

            contents[self.figure] = drawn(froc_figure([(name, result)], log_axis), self.figure)
        beside = getattr(result, "beside", None)
        if self.point is not None and beside is not None and beside.point is not None:
            contents[self.point] = beside.point.to_json().encode()
        if self.rjafroc is not None and beside is not None:
            contents[self.rjafroc] = beside.rjafroc()
        return contents
