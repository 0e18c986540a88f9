"""The reference of the command line, made from the application itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from comoto.cli.main import app


def command_pages() -> str:
    """Return all commands as Markdown, in the order of work."""
    application = typer.main.get_command(app)
    return "\n\n".join(_sections(application, typer.Context(application, info_name="comoto"), []))


def _sections(command: Any, context: Any, names: list[str]) -> Iterator[str]:
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        inner = typer.Context(below, info_name=name, parent=context)
        if hasattr(below, "list_commands"):
            yield f"## comoto {' '.join([*names, name])}\n\n{_text(below.help)}"
            yield from _sections(below, inner, [*names, name])
        else:
            yield _command(below, inner, [*names, name])


def _command(command: Any, context: Any, names: list[str]) -> str:
    usage = " ".join(["comoto", *names, *command.collect_usage_pieces(context)])
    rows = []
    for parameter in command.get_params(context):
        told = parameter.get_help_record(context)
        if told is None or "--help" in parameter.opts:
            continue
        rows.append(f"| {_code(told[0])} | {_cell(told[1])} |")
    table = "\n".join(["| argument or option | meaning |", "|---|---|", *rows])
    level = "##" if len(names) == 1 else "###"
    return f"{level} comoto {' '.join(names)}\n\n```text\n{usage}\n```\n\n{_text(command.help)}\n\n{table}"


def _text(help_text: str | None) -> str:
    """Paragraphs of a help text; what follows ``Example:`` is a command."""
    text = re.sub(r"(?<=[^\n])\n(?=[^\n])", " ", (help_text or "").replace("\b", "").strip())
    return re.sub(r"Example: (comoto [^\n]+)", r"```sh\n\1\n```", text)


def _code(words: str) -> str:
    return f"`{words.strip()}`".replace("|", r"\|")


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", r"\|").replace("<", "&lt;")
