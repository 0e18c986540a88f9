"""``comoto config``: which settings there are, and what a preset makes of them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from comoto.cli.options import ANY_PRESET, complete_preset, say_unused, set_option
from comoto.defaults import PRESET

app = typer.Typer(help="Look up settings.")

PresetArgument = Annotated[
    str, typer.Argument(metavar="[PRESET]", autocompletion=complete_preset, help=f"{ANY_PRESET}.")
]
RoleOption = Annotated[Literal["teacher", "student"], typer.Option("--role", help="Whose settings.")]
SetOption = Annotated[list[str] | None, set_option("Change one setting, as for comoto train; repeatable.")]


@app.command("show")
def show(preset: PresetArgument = PRESET, role: RoleOption = "student", settings: SetOption = None) -> None:
    """Print the whole configuration that a preset stands for, as YAML.

    Saved as a file, it is a preset of its own.

    Example: comoto config show full --role teacher --set schedule.epochs=20
    """
    from comoto.config import dump_yaml, load_train_config

    config = load_train_config(preset, settings or (), role=role)
    typer.echo(dump_yaml(config.model_dump(mode="json")), nl=False)


@app.command("keys")
def keys(
    ctx: typer.Context,
    preset: PresetArgument = PRESET,
    role: RoleOption = "student",
    settings: SetOption = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The page docs/settings.md instead, without a preset.")
    ] = False,
) -> None:
    """List every setting: its key, its value, what it may be and what it means.

    Settings of a detector and a distiller depend on their kind; choose another with --set.

    Example: comoto config keys small --set distill.kind=lesion_points
    """
    from comoto.config import load_train_config
    from comoto.config.listing import list_settings, settings_page

    if markdown:
        say_unused(ctx, "with --markdown", "preset", "role", "settings")
        typer.echo(settings_page(), nl=False)
        return
    for each in list_settings(load_train_config(preset, settings or (), role=role)):
        typer.echo(f"{each.key} = {each.value}")
        typer.echo(f"    {each.values}. {each.meaning}".replace("``", "`"))
