"""``comoto``: the application that the commands hang on, and what happens to errors.

Exit codes: 0 done, 1 a defect of comoto or an interruption, 2 wrong input.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from comoto.cli import appearance, config, export, study, train
from comoto.cli.datasets import datasets
from comoto.cli.demo import demo
from comoto.cli.doctor import doctor
from comoto.cli.download import download
from comoto.cli.draw import draw
from comoto.cli.evaluate import evaluate
from comoto.cli.import_checkpoint import import_checkpoint
from comoto.cli.index import index
from comoto.cli.inspect import inspect
from comoto.cli.options import refuse_repeated_options, show_log, state
from comoto.cli.predict import predict
from comoto.cli.prepare import prepare
from comoto.cli.report import report
from comoto.cli.simulate import simulate
from comoto.cli.split import split
from comoto.components import allow_code, own_permissions
from comoto.errors import ComotoError
from comoto.progress import enable_progress

DONE, DEFECT_OR_INTERRUPTED, WRONG_INPUT = 0, 1, 2
_SAFE_PATH = "PYTHONSAFEPATH"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


OTHER_NAMES = {
    **dict.fromkeys(("infer", "inference", "detect", "test", "run", "apply"), "predict"),
    **dict.fromkeys(("eval", "score", "metrics", "froc", "validate"), "evaluate"),
    **dict.fromkeys(("fit", "learn", "finetune", "fine-tune"), "train"),
    **dict.fromkeys(("convert", "preprocess", "render", "preparation"), "prepare"),
    **dict.fromkeys(("show", "view", "plot", "visualize", "visualise"), "draw"),
    **dict.fromkeys(("generate", "synthesize", "simulator"), "simulate"),
    **dict.fromkeys(("settings", "presets", "options", "keys"), "config"),
    **dict.fromkeys(("fetch", "get"), "download"),
    **dict.fromkeys(("benchmark", "check", "info"), "doctor"),
    **dict.fromkeys(("page", "html"), "report"),
    **dict.fromkeys(("harmonize", "harmonise", "match", "adapt", "stylize"), "appearance match"),
    **dict.fromkeys(("manifest", "scan", "list"), "index"),
    **{"teacher": "train teacher", "student": "train student", "onnx": "export onnx"},
    **{"import": "import-checkpoint", "compare": "study table", "example": "demo", "quickstart": "demo"},
}
"""What a command of this name is called here."""


class InOrderOfWork(TyperGroup):
    """Lists the commands in the order in which they are needed."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the names for the help page."""
        return sorted(super().list_commands(ctx), key=list(COMMANDS).index)

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, Any, list[str]]:
        """Find a command; what other programs call it is known.

        Raises:
            TyperException: there is no such command.
        """
        meant = OTHER_NAMES.get(args[0]) if args else None
        if meant is not None and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{meant}'?")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="comoto",
    cls=InOrderOfWork,
    rich_markup_mode="markdown" if sys.stdout.isatty() else None,  # frames on a terminal, else plain lines
    pretty_exceptions_enable=False,
    help="Lesion detection in digital breast tomosynthesis, taught by mammograms.\n\n"
    "Research software, not a medical device.",
    epilog="Start with: comoto demo --out demo-output",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_versions(wanted: bool) -> None:
    if wanted:
        from comoto.versions import versions

        typer.echo(versions())
        raise typer.Exit


@app.callback()
def common(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show details, and where an error was raised.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-code",
            metavar="MODULE",
            help="Let files (run folders, studies, presets) name outside code of this module; repeatable.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_versions, is_eager=True, help="Show the versions that matter."
        ),
    ] = False,
) -> None:
    """Options that every command shares; they may also stand behind its name."""
    state.verbose = verbose
    allow_code(*(allow or ()))
    show_log(logging.INFO if verbose else logging.WARNING)
    enable_progress()


COMMANDS: dict[str, Any] = {
    "demo": demo,
    "simulate": simulate,
    "datasets": datasets,
    "download": download,
    "index": index,
    "split": split,
    "draw": draw,
    "prepare": prepare,
    "inspect": inspect,
    "appearance": appearance.app,
    "train": train.app,
    "import-checkpoint": import_checkpoint,
    "export": export.app,
    "predict": predict,
    "evaluate": evaluate,
    "report": report,
    "study": study.app,
    "config": config.app,
    "doctor": doctor,
}
"""In the order of work: functions, and groups of commands."""

for _name, _command in COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)
refuse_repeated_options(app)


def run() -> None:
    """Run the command line, turn errors into one line, and exit with the code that the module names."""
    with _working_folder_kept_out():
        code = _run(sys.argv[1:])
    sys.exit(code)


@contextmanager
def _working_folder_kept_out() -> Iterator[None]:
    """Let no process that is started inside import what lies in the working folder, unless this one may too.

    The folder may be a stranger's, with a ``numpy.py`` in it. ``comoto`` itself does not look there, but
    ``python -m`` and ``python -c``, with which workers are started, do; the variable is their ``-P``.
    """
    before = os.environ.get(_SAFE_PATH)
    if not {"", str(Path.cwd())} & set(sys.path):
        os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        os.environ.pop(_SAFE_PATH, None)
        if before is not None:
            os.environ[_SAFE_PATH] = before


def _run(arguments: Sequence[str]) -> int:
    state.verbose = False
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name that the terminal cannot show is shown escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # a click application answers Ctrl-C with the shell's code 130 instead of raising
        with own_permissions():
            code = app(_shared_first(arguments) or ["--help"], prog_name="comoto", standalone_mode=False)
        return _interrupted(arguments) if code == 130 else int(code or DONE)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(arguments)
    except ComotoError as error:
        return _wrong_input(str(error))
    except typer.TyperException as error:
        return _wrong_input(_usage(error))
    except BrokenPipeError:
        return _nobody_listens()
    except OSError as error:
        return _system_refuses(error)
    except Exception as error:  # noqa: BLE001 the last line of defence reports the defect and exits with 1
        return _defect(error)


def _system_refuses(error: OSError) -> int:
    """Tell what the system does not let us do; an error that names nothing a user could mend is a defect."""
    if error.filename is not None:
        return _wrong_input(f"{error.filename}: {error.strerror}")
    if error.errno in _NO_ROOM:  # no file of ours, which have names: what standard output is written to
        return _wrong_input(f"the output cannot be written: {error.strerror}")
    if error.errno == errno.ENOENT and "temporary directory" in str(error):  # tempfile's words
        return _wrong_input("no folder for temporary files can be written to; TMPDIR may name another")
    return _defect(error)


def _nobody_listens() -> int:
    """End in silence where the reader of the output (``| head``) has left, as other programs do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush complains
    return DEFECT_OR_INTERRUPTED


def _shared_first(arguments: Sequence[str]) -> list[str]:
    """Accept ``-v`` and ``--allow-code`` after the command too: they belong to ``comoto`` itself."""
    shared, words = [], []
    left = iter(arguments)
    for word in left:
        if word in ("-v", "--verbose") or word.startswith("--allow-code="):
            shared.append(word)
        elif word == "--allow-code":
            shared += [word, *itertools.islice(left, 1)]
        else:
            words.append(word)
    return [*shared, *words]


def _usage(error: typer.TyperException) -> str:
    """Say what is wrong with the call and where help is; such errors know the command they belong to."""
    context: typer.Context | None = getattr(error, "ctx", None)
    command = "comoto" if context is None else context.command_path
    message = error.format_message().rstrip(".")
    return f"{message}{'' if message.endswith('?') else '.'} See '{command} --help'."


def _wrong_input(message: str) -> int:
    if state.verbose:
        _show_where(sys.exception())
    sys.stderr.write(f"comoto: {' '.join(message.split())}\n")
    return WRONG_INPUT


def _show_where(error: BaseException | None) -> None:
    """Print where an error was raised and what caused it.

    Of the causes, which come from outside code, only the type: their words may quote a damaged file, and what
    they quote may be a name.
    """
    if error is None:
        return
    _show_where(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    sys.stderr.write("Traceback (most recent call last):\n")
    sys.stderr.write("".join(traceback.format_tb(error.__traceback__)))
    words = f": {error}" if isinstance(error, ComotoError | OSError | typer.TyperException) else ""
    sys.stderr.write(f"{type(error).__name__}{words}\n\n")


def _interrupted(arguments: Sequence[str]) -> int:
    more = " with --resume" if "train" in arguments and "--resume" not in arguments else ""
    sys.stderr.write(f"comoto: interrupted; run the same command again{more} to continue\n")
    return DEFECT_OR_INTERRUPTED


def _defect(error: Exception) -> int:
    if state.verbose:
        traceback.print_exc()
    sys.stderr.write(f"comoto: internal error: {type(error).__name__}: {error}\n")
    if not state.verbose:
        sys.stderr.write("comoto: this is a defect; 'comoto -v ...' shows where\n")
    return DEFECT_OR_INTERRUPTED
