"""``comoto prepare``: render a data set once onto the network's grid."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import complete_preset, say_unused
from comoto.defaults import PRESET, SLICE_REACH, SLICE_STEP, WORKERS


class Spread(StrEnum):
    """What the images are spread over."""

    PROCESSES = "loky"
    RAY = "ray"
    DASK = "dask"


class Slices(StrEnum):
    """Which slices of a volume are rendered."""

    ALL = "all"
    SAMPLED = "sampled"


def prepare(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder of the prepared store; new, empty, or to be continued.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Folder written by 'comoto index'; needed unless --verify.")
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            autocompletion=complete_preset,
            help="demo, small, full, paper, or a YAML file; its 'preprocess' section counts.",
        ),
    ] = PRESET,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="preprocess.KEY=VALUE, may be repeated.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = WORKERS,
    backend: Annotated[
        Spread, typer.Option(help="What spreads the images: processes of this machine, or a cluster.")
    ] = Spread.PROCESSES,
    address: Annotated[
        str | None,
        typer.Option(help="Of a running Ray or Dask cluster; without it one starts on this machine."),
    ] = None,
    slices: Annotated[
        Slices,
        typer.Option(help="sampled: every n-th slice and all slices near lesions; saves disk on large sets."),
    ] = Slices.ALL,
    step: Annotated[
        int, typer.Option(min=1, help="With --slices sampled: every how many slices.")
    ] = SLICE_STEP,
    reach: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="With --slices sampled: share of the slices around a lesion to keep."
        ),
    ] = SLICE_REACH,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out files that cannot be read, with a note.")
    ] = False,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="STORE",
            help="Another store: what it shows alike is linked, not rendered again; may be repeated.",
        ),
    ] = None,
    forget_paths: Annotated[
        bool,
        typer.Option("--forget-paths", help="Keep no path of a source file in the store."),
    ] = False,
    isolate: Annotated[
        bool,
        typer.Option("--isolate", help="Decode in a process with limits; for unknown files."),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check every file of the store in --out; nothing is changed."),
    ] = False,
) -> None:
    """Render every image once; training then reads fast.

    Orients, windows, crops and resizes.

    Can be interrupted or killed: the same command again goes on where it was.
    Files that cannot be read are listed at the end; all others are prepared.
    What is damaged in the store is made anew; --verify lists it and ends with code 2.

    Example: comoto prepare --manifest manifests/bcs-dbt --out prepared/bcs-dbt --workers 8
    """
    from comoto import api
    from comoto.config import load_train_config
    from comoto.errors import ConfigError, DatasetError

    if verify:
        say_unused(ctx, "with --verify", *set(ctx.params) - {"out", "verify"})
        check = api.verify_store(out)
        for sentence in check.damage:
            typer.echo(sentence)
        if not check.is_sealed:
            typer.echo(f"{out}: of a former format without checksums; only its form was checked")
        if check.damage:
            raise DatasetError(f"{out}: {len(check.damage)} damaged or missing, listed above")
        typer.echo(f"{out}: {check.images} images, nothing is damaged")
        return
    if manifest is None:
        raise ConfigError("--manifest is missing: the folder that 'comoto index' wrote")
    for text in overrides or ():
        if not text.startswith("preprocess."):
            raise ConfigError(f"--set {text}: only preprocess.KEY=VALUE has a meaning here")
    if slices is Slices.ALL:
        say_unused(ctx, "without --slices sampled", "step", "reach")
    load_train_config(preset, overrides or ())  # what is wrong with it is told before the rest is imported
    from comoto.preprocessing import PrepareOptions, Work
    from comoto.sources.isolated import Limits

    api.prepare(
        manifest,
        out,
        preset=preset,
        overrides=overrides or (),
        options=PrepareOptions(slices=slices.value, step=step, reach=reach),
        work=Work(
            workers=workers,
            backend=backend.value,
            address=address,
            skip_broken=skip_broken,
            reuse=tuple(reuse or ()),
            keep_paths=not forget_paths,
            isolate=Limits() if isolate else None,
        ),
    )
