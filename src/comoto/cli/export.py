"""``comoto export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import overwrite_option

app = typer.Typer(help="Write a trained model for other programs.")


@app.callback()
def export() -> None:
    """Write a trained model for other programs."""


@app.command("onnx")
def onnx(
    model: Annotated[Path, typer.Option("--model", help="Run folder of 'comoto train'.")],
    out: Annotated[Path, typer.Option("--out", help="The ONNX file to write.")],
    overwrite: Annotated[bool, overwrite_option("the file if it exists")] = False,
) -> None:
    """Write the network of a run as one ONNX file.

    The file is compared with torch before it gets its name. 'comoto predict --model model.onnx' runs it in
    ONNX Runtime. Needs three packages: pip install onnx onnxscript onnxruntime.

    Example: comoto export onnx --model runs/student --out student.onnx
    """
    from comoto.api import export_onnx

    written = export_onnx(model, out, overwrite=overwrite)
    typer.echo(f"{written.path}: differs from torch by {written.difference:.1e} at most")
    typer.echo("Research software, not a medical device.")
