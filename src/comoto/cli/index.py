"""``comoto index``: from a data set's files and tables to a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from comoto.cli.options import complete_dataset


def index(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            autocompletion=complete_dataset,
            help="bcs-dbt or vindr-mammo.",
        ),
    ],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of the data set as downloaded.")],
    out: Annotated[Path, typer.Option(help="Folder for the manifest; new or empty.")],
    tables: Annotated[
        Path | None, typer.Option(help="bcs-dbt: folder of the CSV tables, if it is not ROOT.")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="vindr-mammo: a finding that counts as a lesion, such as Mass; may be repeated. "
            "Without it all findings inside the breast count, but no signs of skin, nipple or lymph nodes."
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out images that are not on disk, with a note.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier manifest.")] = False,
) -> None:
    """List the images and lesions of a data set, checked.

    Joins the tables with the files and says what was clipped or left out. No pixels are copied.

    Example: comoto index bcs-dbt downloads/bcs-dbt --out manifests/bcs-dbt
    """
    from comoto import datasets

    options: dict[str, Any] = {"tables": tables, "categories": category or None}
    given = {name: value for name, value in options.items() if value is not None}
    if allow_missing:
        given["allow_missing"] = True
    datasets.refuse_folder(out, overwrite)
    manifest = datasets.index(dataset, root, **given)
    datasets.save_manifest(manifest, out, overwrite)
    typer.echo(manifest.summary())
