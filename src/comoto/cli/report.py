"""``comoto report``: one page on what one or several models found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import IntervalOption, SplitOption, overwrite_option
from comoto.defaults import HIT_RADIUS, REPLICATES

PredictionsOption = Annotated[
    list[str],
    typer.Option(
        metavar="NAME=CSV",
        help="Volume predictions of a model, DBTex columns, and its name; repeatable. Every further "
        "model is compared with the first.",
    ),
]
OthersArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=CSV]...", help="Predictions of further models.")
]
RunOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=RUN", help="Run folder whose training curves and settings are shown; repeatable."
    ),
]
MinRadiusOption = Annotated[
    str,
    typer.Option(
        metavar="PIXELS|MMmm",
        help=f"Least hit radius, such as 8.5mm. {HIT_RADIUS:g} is the challenge's, for pixels of about "
        "0.085 mm.",
    ),
]
NoPicturesOption = Annotated[
    bool,
    typer.Option(
        "--no-pictures",
        help="Decode no image, read few headers: no pictures, no random baseline, sizes in pixels.",
    ),
]


def report(
    manifest: Annotated[Path, typer.Option(help="Manifest folder with the volumes and their lesions.")],
    predictions: PredictionsOption,
    out: Annotated[Path, typer.Option(help="The page, an HTML file that needs nothing else.")],
    others: OthersArgument = None,
    run: RunOption = None,
    split: SplitOption = None,
    min_radius: MinRadiusOption = f"{HIT_RADIUS:g}",
    bootstrap: Annotated[int, typer.Option(min=1, help="Replicates for 95 % intervals.")] = REPLICATES,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap and of the random baseline.")] = 0,
    interval: IntervalOption = "percentile",
    no_pictures: NoPicturesOption = False,
    overwrite: Annotated[bool, overwrite_option("an existing page")] = False,
) -> None:
    """Write a page on what models found in volumes.

    Sensitivities with intervals, the random baseline, FROC curves,
    differences, and hits, misses and false positives on real slices. The
    metrics are those of 'comoto evaluate'. A name and its = may be left out.

    Example: comoto report --manifest manifests/bcs-dbt --split test --predictions Scratch=scratch.csv
    CoMoTo=comoto.csv --run runs/comoto --out report.html
    """
    from comoto.api import write_report
    from comoto.manifest_files import MANIFEST_FILES
    from comoto.output_files import refuse_existing, refuse_inputs_as_outputs

    tables = _named([*predictions, *(others or ())], "--predictions")
    runs = _named(run or (), "--run")
    own = [manifest / name for name in MANIFEST_FILES]
    folders = [folder for folder in runs.values() if folder.is_dir()]
    files = [path for folder in folders for path in folder.iterdir() if path.suffix != ".html"]
    refuse_inputs_as_outputs([out], [*tables.values(), *own, *files])
    refuse_existing([out], overwrite)
    written = write_report(
        out,
        manifest,
        tables,
        split=split,
        runs=runs,
        min_radius=min_radius,
        bootstrap=bootstrap,
        seed=seed,
        interval=interval,
        pictures=not no_pictures,
        overwrite=overwrite,
    )
    typer.echo(str(written))


def _named(given: Sequence[str], option: str) -> dict[str, Path]:
    """Return paths by the names that stand before the =; a path alone is named by its file or folder.

    Raises:
        ConfigError: a name is empty, or stands twice.
    """
    from comoto.arguments import named_path
    from comoto.errors import ConfigError

    named: dict[str, Path] = {}
    for word in given:
        name, path = named_path(word)
        if name is None:
            name = path.stem if path.is_file() else path.name
        if not name.strip() or word.endswith("="):
            raise ConfigError(f"{option} {word}: expected a name and a path, such as CoMoTo=comoto.csv")
        if name.strip() in named:
            raise ConfigError(
                f"{option} {word}: '{name.strip()}' is named twice; give each a name of its own, NAME=PATH"
            )
        named[name.strip()] = path
    return named
