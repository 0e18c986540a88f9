"""``comoto prepare``: render a data set once onto the network's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from comoto.cli.options import ANY_PRESET, IsolateOption, WorkersOption, preset_option, say_unused, set_option
from comoto.defaults import PRESET, SLICE_REACH, SLICE_STEP, WORKERS

ManifestOption = Annotated[
    Path | None, typer.Option(help="Folder written by 'comoto index'; needed unless --verify.")
]
BackendOption = Annotated[
    Literal["loky", "ray", "dask"],
    typer.Option(help="What spreads the images: processes of this machine, or a cluster."),
]
AddressOption = Annotated[
    str | None, typer.Option(help="Of a running Ray or Dask cluster; without it one starts on this machine.")
]
SlicesOption = Annotated[
    Literal["all", "sampled"],
    typer.Option(help="sampled: every n-th slice and all slices near lesions; saves disk on large sets."),
]
StepOption = Annotated[int, typer.Option(min=1, help="With --slices sampled: every how many slices.")]
ReachOption = Annotated[
    float,
    typer.Option(min=0, max=1, help="With --slices sampled: share of the slices around a lesion to keep."),
]
SkipBrokenOption = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out files that cannot be read, with a note.")
]
ReuseOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="STORE",
        help="Another store: what it shows alike is linked, not rendered again; may be repeated.",
    ),
]
ForgetPathsOption = Annotated[
    bool, typer.Option("--forget-paths", help="Keep no path of a source file in the store.")
]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Check every file of the store in --out; nothing is changed.")
]


def prepare(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder of the prepared store; new, empty, or to be continued.")],
    manifest: ManifestOption = None,
    preset: Annotated[str, preset_option(f"{ANY_PRESET}; its 'preprocess' section counts.")] = PRESET,
    overrides: Annotated[list[str] | None, set_option("preprocess.KEY=VALUE, may be repeated.")] = None,
    workers: WorkersOption = WORKERS,
    backend: BackendOption = "loky",
    address: AddressOption = None,
    slices: SlicesOption = "all",
    step: StepOption = SLICE_STEP,
    reach: ReachOption = SLICE_REACH,
    skip_broken: SkipBrokenOption = False,
    reuse: ReuseOption = None,
    forget_paths: ForgetPathsOption = False,
    isolate: IsolateOption = False,
    verify: VerifyOption = False,
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
    from comoto.errors import ConfigError

    if verify:
        say_unused(ctx, "with --verify", *set(ctx.params) - {"out", "verify"})
        _verify(out)
        return
    if manifest is None:
        raise ConfigError("--manifest is missing: the folder that 'comoto index' wrote")
    for text in overrides or ():
        if not text.startswith("preprocess."):
            raise ConfigError(f"--set {text}: only preprocess.KEY=VALUE has a meaning here")
    if slices == "all":
        say_unused(ctx, "without --slices sampled", "step", "reach")
    load_train_config(preset, overrides or ())  # what is wrong with it is told before the rest is imported
    from comoto.preprocessing import Execution, PrepareOptions
    from comoto.sources.isolated import Limits

    api.prepare(
        manifest,
        out,
        preset=preset,
        overrides=overrides or (),
        options=PrepareOptions(slices=slices, step=step, reach=reach),
        work=Execution(
            workers=workers,
            backend=backend,
            address=address,
            skip_broken=skip_broken,
            reuse=tuple(reuse or ()),
            keep_paths=not forget_paths,
            isolate=Limits() if isolate else None,
        ),
    )


def _verify(store: Path) -> None:
    """Say what is damaged in a store.

    Raises:
        DatasetError: something is.
    """
    from comoto.api import verify_store
    from comoto.errors import DatasetError

    check = verify_store(store)
    for sentence in check.damage:
        typer.echo(sentence)
    if not check.is_sealed:
        typer.echo(f"{store}: of a former format without checksums; only its form was checked")
    if check.damage:
        raise DatasetError(f"{store}: {len(check.damage)} damaged or missing, listed above")
    typer.echo(f"{store}: {check.images} images, nothing is damaged")
