"""``comoto appearance``: how mammograms look beside slices, and mammograms made to look like them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import overwrite_option
from comoto.defaults import APPEARANCE_PATIENTS, How

app = typer.Typer(help="Measure how mammograms look beside slices; match.")

MammogramsArgument = Annotated[
    Path, typer.Argument(metavar="MAMMOGRAMS", help="Prepared store of mammograms.")
]
PatientsOption = Annotated[
    int, typer.Option("--patients", min=2, help="Look at no more training patients of each store.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Another seed draws other patients.")]
SplitFileOption = Annotated[
    Path | None,
    typer.Option("--split-file", help="Says who is a training patient; the stores' own splits if not given."),
]


@app.command("measure")
def measure(
    mammograms: MammogramsArgument,
    volumes: Annotated[
        Path, typer.Argument(metavar="VOLUMES", help="Prepared store of volumes, of the same grid.")
    ],
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    patients: PatientsOption = APPEARANCE_PATIENTS,
    seed: SeedOption = 0,
    split_file: SplitFileOption = None,
    overwrite: Annotated[bool, overwrite_option("an existing file")] = False,
) -> None:
    """Say how differently mammograms and slices look, and whether matching is likely to pay.

    Of training patients alone: the power spectrum of patches inside the breast (its exponent, its fine share,
    its direction) and the grey values, with spreads over patients and 95 % intervals.

    Example: comoto appearance measure prepared/mammograms prepared/volumes
    """
    from comoto import api
    from comoto.output_files import refuse_existing, write_json

    if json is not None:
        refuse_existing([json], overwrite)
    gap = api.measure_appearance(mammograms, volumes, patients=patients, seed=seed, split_file=split_file)
    typer.echo(gap.text())
    if json is not None:
        write_json(json, gap.to_json())


@app.command("match")
def match(
    mammograms: MammogramsArgument,
    to: Annotated[Path, typer.Option("--to", help="Prepared store of volumes, of the same grid.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new store; new or empty.")],
    how: Annotated[
        How,
        typer.Option(help="spectrum: one filter, then the histogram; the others are controls."),
    ] = "spectrum",
    patients: PatientsOption = APPEARANCE_PATIENTS,
    seed: SeedOption = 0,
    split_file: SplitFileOption = None,
) -> None:
    """Write a store of mammograms that look like slices.

    The change is fitted on training patients of both stores and made to all mammograms; the air stays black.
    Train with the new store in place of the old one. Prediction needs nothing new.

    Example: comoto appearance match prepared/mammograms --to prepared/volumes --out prepared/matched
    """
    from comoto import api

    api.match_appearance(mammograms, to, out, how=how, patients=patients, seed=seed, split_file=split_file)
    typer.echo(f"wrote {out}; train with it in place of {mammograms}")
