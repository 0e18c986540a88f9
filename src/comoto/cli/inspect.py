"""``comoto inspect``: random prepared cases as one page, to see with one's own eyes what training sees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    store: Annotated[Path, typer.Argument(help="Folder written by 'comoto prepare'.")],
    out: Annotated[Path, typer.Option(help="The page, an HTML file that needs nothing else.")],
    cases: Annotated[int, typer.Option(min=1, help="Images to show, half of them with lesions.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other images.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing page.")] = False,
) -> None:
    """Show random prepared images with their boxes.

    One page: whole planes, close-ups of each lesion through the slices,
    where the window comes from, and what the preparation found odd.

    Example: comoto inspect prepared/bcs-dbt --out bcs-dbt.html
    """
    from comoto.output_files import refuse_existing
    from comoto.preprocessing.store import PreparedStore
    from comoto.report.inspect_page import write_inspect_page

    refuse_existing([out], overwrite)
    typer.echo(str(write_inspect_page(PreparedStore(store), out, cases, seed)))
