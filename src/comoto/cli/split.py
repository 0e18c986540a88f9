"""``comoto split``: who trains, who validates and who is tested, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from comoto.cli.options import overwrite_option, say_unused
from comoto.defaults import TEST_SHARE, VALIDATION_SHARE

ManifestsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=]FOLDER...", help="Folders written by 'comoto index'.", show_default=False),
]
VerifyOption = Annotated[
    Path | None, typer.Option(help="Check this split.json against the manifests instead of making one.")
]
ValidationOption = Annotated[
    float | None,
    typer.Option(
        help="Share of the patients, where a set has no official validation split; "
        f"{VALIDATION_SHARE:g} if not given."
    ),
]
TestOption = Annotated[
    float | None,
    typer.Option(
        help="Share of the patients, where a set has no official split; 0 for none, "
        f"{TEST_SHARE:g} if not given."
    ),
]
FoldOption = Annotated[
    int | None, typer.Option(min=0, help="Only this fold, from 0; all of them as OUT/fold-0 and so on.")
]
HeldOutOption = Annotated[
    Literal["validation", "test"],
    typer.Option(help="What a fold is: validation beside a fixed test split, or test."),
]
FractionsOption = Annotated[
    str, typer.Option(help="Nested shares of the training patients as well, such as 0.01,0.05,0.1.")
]
SharedIdsOption = Annotated[
    bool, typer.Option("--shared-ids", help="Equal patient ids are the same person in all manifests.")
]
IgnoreOfficialOption = Annotated[
    bool, typer.Option("--ignore-official", help="Draw everybody, whatever splits a set came with.")
]
DropDuplicatesOption = Annotated[
    bool, typer.Option("--drop-duplicates", help="Keep the first copy of an image of one patient.")
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Look for the same image twice by path only; reads no header.")
]


def split(
    ctx: typer.Context,
    manifests: ManifestsArgument = None,
    out: Annotated[Path | None, typer.Option(help="Folder for split.json and the split manifests.")] = None,
    verify: VerifyOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other patients.")] = 0,
    validation: ValidationOption = None,
    test: TestOption = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Number of folds, in place of shares.")] = None,
    fold: FoldOption = None,
    held_out: HeldOutOption = "validation",
    fractions: FractionsOption = "",
    shared_ids: SharedIdsOption = False,
    ignore_official: IgnoreOfficialOption = False,
    drop_duplicates: DropDuplicatesOption = False,
    quick: QuickOption = False,
    overwrite: Annotated[bool, overwrite_option("an earlier split")] = False,
) -> None:
    """Split patients over all manifests at once.

    Manifests of several data sets become one, official splits are kept, and no patient stands in two parts.
    Train with `--set data.split_file=OUT/split.json`.

    Example: comoto split manifests/bcs-dbt manifests/cmmd --fractions 0.1,0.25 --out splits/seed-0
    """
    from comoto import api
    from comoto.arguments import named_path
    from comoto.errors import ConfigError
    from comoto.output_files import refuse_inputs_as_outputs

    if (out is None) == (verify is None):
        raise ConfigError("name either --out, to make a split, or --verify, to check one")
    if verify is not None:
        say_unused(ctx, "with --verify", *set(ctx.params) - {"manifests", "out", "verify", "quick"})
        checked = api.verify_split(verify, manifests or (), headers=not quick)
        typer.echo(f"{verify}: whole, no patient in two parts, hash {checked.hash}")
        return
    if folds is not None:
        say_unused(ctx, "with --folds", held_out)
    refuse_inputs_as_outputs([out], [named_path(text)[1] for text in manifests or ()])
    made = api.split(
        manifests or (),
        out,
        seed=seed,
        validation=validation,
        test=test,
        folds=folds,
        fold=fold,
        held_out=held_out,
        fractions=_numbers(fractions),
        shared_ids=shared_ids,
        official=not ignore_official,
        drop_duplicates=drop_duplicates,
        headers=not quick,
        overwrite=overwrite,
    )
    for one in made:
        typer.echo(one.summary())


def _numbers(text: str) -> list[float]:
    from comoto.errors import ConfigError

    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError as error:
        raise ConfigError(f"--fractions {text}: expected numbers with commas, such as 0.05,0.1") from error
