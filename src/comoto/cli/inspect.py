"""``comoto inspect``: random prepared cases as one page, to see with one's own eyes what training sees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import overwrite_option


def inspect(
    folder: Annotated[Path, typer.Argument(help="Folder written by 'comoto prepare', or by 'comoto index'.")],
    out: Annotated[Path, typer.Option(help="The page, an HTML file that needs nothing else.")],
    cases: Annotated[int, typer.Option(min=1, help="Images to show, half of them with lesions.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other images.")] = 0,
    overwrite: Annotated[bool, overwrite_option("an existing page")] = False,
) -> None:
    """Show random prepared images with their boxes.

    One page: whole planes, close-ups of each lesion through the slices,
    where the window comes from, and what the preparation found odd.
    Of a manifest the images that are shown are prepared for the page.

    Example: comoto inspect prepared/bcs-dbt --out bcs-dbt.html
    """
    from comoto.output_files import refuse_existing, refuse_inputs_as_outputs
    from comoto.report.inspect_page import inspect_folder

    files = folder.iterdir() if folder.is_dir() else ()
    refuse_inputs_as_outputs([out], [path for path in files if path.suffix != ".html"])
    refuse_existing([out], overwrite)
    typer.echo(str(inspect_folder(folder, out, cases, seed, overwrite=overwrite)))
