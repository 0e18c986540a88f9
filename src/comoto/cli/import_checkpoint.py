"""``comoto import-checkpoint``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from comoto.cli.options import set_option


def import_checkpoint(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the published code saved (.pt, .pth).")],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    role: Annotated[
        Literal["teacher", "student"],
        typer.Option("--role", help="teacher: trained on mammograms; student: on tomosynthesis."),
    ],
    settings: Annotated[
        list[str] | None, set_option("Where it differs from the preset paper; repeatable.")
    ] = None,
) -> None:
    """Make a run folder of a published checkpoint.

    The file must hold the weights of a RetinaNet on a plain ResNet under the key network. Only tensors are
    read, nothing in the file is executed. The run folder gets the settings of the preset paper.

    Example: comoto import-checkpoint best.pt --role student --out runs/published
    """
    from comoto import api

    imported = api.import_checkpoint(file, out, role=role, overrides=settings or [])
    typer.echo(f"{imported.run}: a {role} on {imported.resnet}, for 'comoto predict --model'")
