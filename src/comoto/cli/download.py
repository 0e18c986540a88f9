"""``comoto download``: open data sets from the Imaging Data Commons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import split_option


def download(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="bcs-dbt, cbis-ddsm, cmmd or ea1141.")],
    patients: Annotated[
        int | None,
        typer.Option(min=0, help="Patients with a lesion, of each split; all of them if not given."),
    ] = None,
    normals: Annotated[
        int, typer.Option(min=0, help="Patients without any finding, of each split (bcs-dbt).")
    ] = 0,
    split: Annotated[list[str] | None, split_option("Only this official split; repeatable.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the data set; downloads/DATASET if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed chooses other patients.")] = 0,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask whether the size is all right.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show size and licence, download no image.")
    ] = False,
) -> None:
    """Download an open data set, or a part of it.

    Size and licence are shown first. An interrupted download goes on with the same command.
    Needs the package idc-index: pip install idc-index.

    Example: comoto download bcs-dbt --patients 20 --normals 20 --split train
    """
    from comoto import api
    from comoto.errors import ConfigError

    plan = api.plan_download(
        dataset,
        out or Path("downloads") / dataset,
        patients=patients,
        normals=normals,
        splits=split or (),
        seed=seed,
    )
    typer.echo(plan.text())
    if dry_run:
        return
    if plan.missing and not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is there to confirm the download; add --yes, or look with --dry-run")
        typer.confirm("Download under this licence?", abort=True)
    api.download(plan)
    typer.echo(f"complete: {plan.root}\nnext: {plan.next_step()}")
