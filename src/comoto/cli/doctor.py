"""``comoto doctor``: what this machine does in a second, and what holds the work up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import ANY_PRESET, preset_option


def doctor(
    store: Annotated[
        Path | None,
        typer.Argument(help="Folder written by 'comoto prepare'; a small simulated one if not given."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Run folder whose network is measured; the preset's if not given.")
    ] = None,
    dicom: Annotated[Path | None, typer.Option(help="One of your image files, to decode.")] = None,
    preset: Annotated[str, preset_option(f"Network and grid: {ANY_PRESET}.")] = "full",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure disk, decoder, loader and network.

    Says in a sentence which of them holds the others up, and what to change.
    Takes about a minute; nothing is kept.

    Example: comoto doctor prepared/bcs-dbt --preset small
    """
    import json

    from comoto.doctor import examine

    found = examine(store, model, dicom, preset)
    typer.echo(json.dumps(found.to_json(), indent=1) if as_json else found.table())
