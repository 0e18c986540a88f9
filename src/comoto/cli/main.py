"""``comoto``: the application that the commands hang on, and what happens to errors.

Exit codes: 0 done, 1 a defect of comoto or an interruption, 2 wrong input.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from comoto.cli import train
from comoto.cli.demo import demo
from comoto.cli.draw import draw
from comoto.cli.evaluate import evaluate
from comoto.cli.index import index
from comoto.cli.options import state
from comoto.cli.predict import predict
from comoto.cli.prepare import prepare
from comoto.cli.simulate import simulate
from comoto.errors import ComotoError
from comoto.progress import enable_progress

app = typer.Typer(
    name="comoto",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Lesion detection in digital breast tomosynthesis, taught by mammograms.\n\n"
    "Research software, not a medical device.",
    epilog="Start with: comoto demo --out demo-output",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_versions(wanted: bool) -> None:
    if wanted:
        from comoto.cli.versions import versions

        typer.echo(versions())
        raise typer.Exit


@app.callback()
def common(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show details and full tracebacks.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_versions, is_eager=True, help="Show the versions that matter."
        ),
    ] = False,
) -> None:
    """Options that every command shares."""
    state.verbose = verbose
    enable_progress()


app.command("demo")(demo)
app.command("simulate")(simulate)
app.command("index")(index)
app.command("draw")(draw)
app.command("prepare")(prepare)
app.add_typer(train.app, name="train")
app.command("predict")(predict)
app.command("evaluate")(evaluate)


def run() -> None:
    """Run the command line and turn errors into one line and an exit code."""
    try:
        app()
    except ComotoError as error:
        if state.verbose:
            traceback.print_exc()
        sys.stderr.write(f"comoto: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("comoto: interrupted; run the same command again to continue\n")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 the last line of defence reports the defect and exits with 1
        if state.verbose:
            traceback.print_exc()
        sys.stderr.write(f"comoto: internal error: {type(error).__name__}: {error}\n")
        sys.stderr.write("comoto: this is a defect; 'comoto -v ...' shows where\n")
        sys.exit(1)
