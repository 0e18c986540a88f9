"""``comoto datasets``: which data sets can be read, and on which terms."""

from __future__ import annotations

from typing import Annotated

import typer

from comoto.cli.options import complete_dataset

_WIDTH_OF_A_FILE = 160


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            autocompletion=complete_dataset,
            show_default=False,
            help="Show everything about one of them: citation, notes and the options of its reader.",
        ),
    ] = None,
) -> None:
    """List the data sets, with licence and access.

    Example: comoto datasets bcs-dbt
    """
    from comoto.datasets.catalogue import WITHOUT_READER, about_dataset, catalogue_rows, describe

    if name is not None:
        typer.echo(describe(about_dataset(name)), nl=False)
        return
    import sys

    from rich.console import Console
    from rich.table import Table

    header, rows = catalogue_rows()
    table = Table(*header, box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    Console(width=width, highlight=False).print(table)
    typer.echo("\nterms, citation, notes and options of one of them: comoto datasets NAME")
    typer.echo(f"described, but not read: {', '.join(WITHOUT_READER)}")
