"""What the commands share: options, names to complete, the verbose switch and the log."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperOption

from comoto.components import AGGREGATORS, DATASETS
from comoto.defaults import PRESETS

INDEX_SWITCHES = {
    "dataset": "the first word",
    "root": "the second word",
    "tables": "--tables FOLDER",
    "categories": "--category WORD",
    "allow_missing": "--allow-missing",
    "strict": "--strict",
}
"""What ``comoto index`` has its own way to give, by the name in ``comoto.index``."""


@dataclass
class CommandState:
    """Switches that stand before the command's name."""

    verbose: bool = False


state = CommandState()


class OnceCommand(TyperCommand):
    """A command that refuses an option given twice, unless it collects; the parser would take the last."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the words of the call.

        Raises:
            TyperException: an option that takes one value stands twice.
        """
        _, _, found = self.make_parser(ctx).parse_args(args=list(args))
        for option, times in Counter(found).items():
            if times > 1 and isinstance(option, TyperOption) and not (option.multiple or option.count):
                ctx.fail(f"{option.opts[0]} is given {times} times, and one value is used; give it once")
        return super().parse_args(ctx, args)


def refuse_repeated_options(app: typer.Typer) -> None:
    """Let every command of an application, and of the groups in it, be a ``OnceCommand``."""
    for group in app.registered_groups:
        if group.typer_instance is not None:
            refuse_repeated_options(group.typer_instance)
    for command in app.registered_commands:
        command.cls = OnceCommand


def say_unused(ctx: typer.Context, why: str, *parameters: str) -> None:
    """Say in one line which options were given that this call has no use for.

    Args:
        ctx: of the call; it knows what was typed and what is a default.
        why: such as ``without --figure``.
        parameters: names of the command's parameters that are of no use.
    """
    given = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name in parameters and _is_given(ctx, parameter.name)
    ]
    if given:
        typer.echo(f"{' and '.join(given)}: not used {why}", err=True)


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def show_log(level: int) -> None:
    """Write what the package logs from ``level`` on to standard error, with the name of the room."""
    logger = logging.getLogger("comoto")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger.handlers = [handler]
    logger.setLevel(level)


def completion(names: Iterable[str]) -> Callable[[], list[str]]:
    """Return what the shell's completion calls to know the names."""
    return lambda: list(names)


complete_aggregation = completion(AGGREGATORS)
complete_dataset = completion(DATASETS)
complete_device = completion(("auto", "cpu", "cuda"))
complete_preset = completion(PRESETS)
complete_exams = completion(("first", "second"))
complete_size = completion(("tiny", "demo", "small", "full"))
complete_split = completion(("train", "validation", "test"))


def overwrite_option(what: str) -> Any:
    """Return ``--overwrite``, which replaces ``what``."""
    return typer.Option("--overwrite", help=f"Replace {what}.")


def preset_option(meaning: str) -> Any:
    """Return ``--preset``, whose names are completed."""
    return typer.Option("--preset", autocompletion=complete_preset, help=meaning)


def set_option(meaning: str) -> Any:
    """Return ``--set KEY=VALUE``, which may be repeated."""
    return typer.Option("--set", metavar="KEY=VALUE", help=meaning)


def split_option(meaning: str) -> Any:
    """Return ``--split``, whose names are completed."""
    return typer.Option("--split", autocompletion=complete_split, help=meaning)


ANY_PRESET = f"{', '.join(PRESETS)}, or a YAML file"

WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes.")]
IsolateOption = Annotated[
    bool, typer.Option("--isolate", help="Decode in a process with limits; for unknown files.")
]
SplitOption = Annotated[str | None, split_option("Only this split of the manifest.")]
IntervalOption = Annotated[
    Literal["percentile", "bca"],
    typer.Option("--interval", help="Kind of interval; bca is corrected for few patients."),
]
