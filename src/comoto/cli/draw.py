"""``comoto draw``: one slice as a picture, with its boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from comoto.cli.options import overwrite_option, say_unused


def draw(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="The picture, a PNG file.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE]", help="An image of any format that is read.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="Folder written by 'comoto index'.")] = None,
    image: Annotated[str | None, typer.Option(help="image_id in the manifest.")] = None,
    slice_index: Annotated[
        int | None,
        typer.Option(
            "--slice",
            min=0,
            help="0-based; default the first lesion's, of IMAGE the strongest box's, else the middle one.",
        ),
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="CSV written by 'comoto predict'; its boxes are drawn in orange.")
    ] = None,
    min_score: Annotated[float, typer.Option(help="Detections below are not drawn.")] = 0.0,
    laterality: Annotated[
        Literal["L", "R"] | None,
        typer.Option(help="With IMAGE: side of the body; a volume stored the other way round is turned."),
    ] = None,
    overwrite: Annotated[bool, overwrite_option("an existing picture")] = False,
) -> None:
    """Draw a slice, its lesions and its detections.

    The slice is in its corrected orientation. Lesions are green, detections
    orange; dashed boxes belong to another slice.

    Example: comoto draw --manifest manifests/bcs-dbt --image DBT-P00013_DBT-S00163_rmlo --out slice.png
    """
    from comoto import api
    from comoto.errors import ConfigError
    from comoto.output_files import output_file, refuse_existing, refuse_inputs_as_outputs

    refuse_inputs_as_outputs([out], [file, predictions])
    refuse_existing([out], overwrite)
    if predictions is None:
        say_unused(ctx, "without --predictions", "min_score")
    if file is not None and manifest is None and image is None:
        picture = api.draw(
            file, slice_index=slice_index, laterality=laterality, predictions=predictions, min_score=min_score
        )
    elif file is None and manifest is not None and image is not None and laterality is None:
        picture = api.draw(
            image, manifest=manifest, slice_index=slice_index, predictions=predictions, min_score=min_score
        )
    else:
        raise ConfigError(
            "give either IMAGE (with --slice, --predictions, --laterality) or --manifest and --image "
            "(with --slice, --predictions)"
        )
    with output_file(out, overwrite) as part:
        picture.save(part, format="PNG")
    typer.echo(str(out))
