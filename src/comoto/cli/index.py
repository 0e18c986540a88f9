"""``comoto index``: from a data set's files and tables to a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import INDEX_SWITCHES, complete_dataset, overwrite_option
from comoto.errors import ConfigError


def index(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", autocompletion=complete_dataset, help="A name that 'comoto datasets' lists."
        ),
    ],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of the data set as downloaded.")],
    out: Annotated[Path, typer.Option(help="Folder for the manifest; new or empty.")],
    tables: Annotated[
        Path | None,
        typer.Option(help="Tables or annotations, if they are not in ROOT; see 'comoto datasets DATASET'."),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            help="vindr-mammo, omidb: a finding that counts as a lesion, such as Mass; may be repeated. "
            "Without it all findings inside the breast count, but no signs of skin, nipple or lymph nodes."
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Drop images that are not on disk, and list them.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Further option of the data set; repeatable."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse what would be left out, instead of listing it.")
    ] = False,
    overwrite: Annotated[bool, overwrite_option("an earlier manifest")] = False,
) -> None:
    """List the images and lesions of a data set, checked.

    Joins the tables with the files and says what was clipped or left out. No pixels are copied.

    Example: comoto index bcs-dbt downloads/bcs-dbt --out manifests/bcs-dbt
    """
    from comoto import api
    from comoto.manifest_files import refuse_manifest_folder
    from comoto.output_files import refuse_inputs_as_outputs
    from comoto.records import save_manifest

    refuse_inputs_as_outputs([out], [root, tables])
    refuse_manifest_folder(out, overwrite)
    manifest = api.index(
        dataset,
        root,
        tables=tables,
        categories=category,
        allow_missing=allow_missing,
        strict=strict,
        **_options(settings or []),
    )
    save_manifest(manifest, out, overwrite)
    typer.echo(manifest.summary())


def _options(texts: Sequence[str]) -> dict[str, str]:
    """Return ``name=value`` texts as options of a reader, hyphens in names as underscores.

    Raises:
        ConfigError: a text has no name or no ``=``, a name stands twice, or is that of a switch.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        key = name.strip().replace("-", "_")
        if not equals or not key:
            raise ConfigError(f"--set {text}: expected option=value")
        if key in options:
            raise ConfigError(f"--set {text}: {name.strip()} is given twice")
        if key in INDEX_SWITCHES:
            raise ConfigError(f"--set {text}: write {INDEX_SWITCHES[key]} instead")
        options[key] = value
    return options
