"""``comoto datasets``: which data sets can be read, and on which terms."""

from __future__ import annotations

from typing import Annotated

import typer

from comoto.cli.options import INDEX_SWITCHES, complete_dataset

_WIDTH_OF_A_FILE = 160
_OF_SWITCHES = ("path", "true or false")
"""Values that go without saying."""


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
    if name is not None:
        typer.echo(describe(name), nl=False)
        return
    import sys

    from rich.console import Console
    from rich.table import Table

    from comoto.datasets.catalogue import WITHOUT_READER

    header, *rows = catalogue_rows()
    table = Table(*header, box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    Console(width=width, highlight=False).print(table)
    typer.echo("\nterms, citation, notes and options of one of them: comoto datasets NAME")
    typer.echo(f"described, but not read: {', '.join(WITHOUT_READER)}")


def catalogue_rows() -> list[tuple[str, ...]]:
    """Return the header and the rows of the table of all data sets that are read."""
    from comoto.datasets.catalogue import catalogue

    return [
        ("name", "modality", "boxes", "licence", "commercial use", "access"),
        *(
            (name, ", ".join(one.modalities), one.boxes, one.licence, one.commercial_use, one.access)
            for name, one in catalogue().items()
        ),
    ]


def describe(name: str) -> str:
    """Return everything about one data set, a paragraph a field, ending in a line feed."""
    from comoto.datasets.catalogue import about_dataset

    about = about_dataset(name)
    fields = {
        "modality": ", ".join(about.modalities),
        "boxes": about.boxes,
        "access": about.access,
        "licence": about.licence,
        "commercial use": about.commercial_use,
        "page": about.url,
        "cite": about.citation,
        "notes": about.notes,
    }
    lines = [f"{about.name}: {about.title}", ""]
    lines += [f"{label + ':':<16}{text}" for label, text in fields.items() if text]
    if about.not_read:
        return "\n".join([*lines, "", f"Not read by comoto: {about.not_read}"]) + "\n"
    lines += ["", f"comoto index {name} ROOT --out MANIFEST"]
    for how, values, meaning in option_rows(name):
        lines += [f"  {how:<26}{values}".rstrip(), f"      {meaning}"]
    return "\n".join(lines) + "\n"


def option_rows(name: str) -> list[tuple[str, str, str]]:
    """Return how each option of a reader is given to ``comoto index``, what it may be and what it means."""
    from comoto.datasets.catalogue import options_of_dataset

    rows = []
    for option in options_of_dataset(name):
        default = f"; {option.default} if not given" if option.default else ""
        switch = INDEX_SWITCHES.get(option.name.replace("-", "_"))
        values = "" if switch and option.values in _OF_SWITCHES else f"{option.values}{default}"
        if switch:
            values = values.replace("several with commas", "repeatable")
        rows.append((switch or f"--set {option.name}=...", values, option.meaning))
    return rows
