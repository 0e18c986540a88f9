"""``comoto train teacher`` and ``comoto train student``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from comoto.cli.options import ANY_PRESET, preset_option, set_option
from comoto.defaults import PRESET

app = typer.Typer(help="Train a teacher or a student.")

PresetOption = Annotated[str | None, preset_option(f"{ANY_PRESET}; {PRESET}, or what the resumed run has.")]
SetOption = Annotated[list[str] | None, set_option("Change one setting, such as batch.size=4; repeatable.")]
OutOption = Annotated[Path, typer.Option("--out", help="Run folder to write.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue the run in --out, with its settings.")]
InitOption = Annotated[
    Path | None,
    typer.Option("--init-from", help="Run folder, of a teacher or a student, whose weights are the first."),
]
StopOption = Annotated[
    int | None, typer.Option("--stop-after", min=1, help="Stop after this epoch; --resume goes on.")
]


@app.command("teacher")
def teacher(
    out: OutOption,
    mammograms: Annotated[
        list[Path] | None,
        typer.Option("--mammograms", help="Prepared mammograms; repeatable for several data sets."),
    ] = None,
    init_from: InitOption = None,
    preset: PresetOption = None,
    settings: SetOption = None,
    resume: ResumeOption = False,
    stop_after: StopOption = None,
) -> None:
    """Train a detector on mammograms: detection and ImPA.

    With --resume nothing but --out has to be given.

    Example: comoto train teacher --mammograms prepared/mammograms --preset small --out runs/teacher
    """
    from comoto.api import train_teacher

    result = train_teacher(
        out,
        mammograms=mammograms or (),
        init_from=init_from,
        preset=preset,
        overrides=settings or (),
        resume=resume,
        stop_after=stop_after,
    )
    _report(result)


@app.command("student")
def student(
    out: OutOption,
    tomosynthesis: Annotated[
        Path | None, typer.Option("--tomosynthesis", help="Prepared tomosynthesis volumes.")
    ] = None,
    teacher: Annotated[Path | None, typer.Option("--teacher", help="Run folder of the teacher.")] = None,
    mammograms: Annotated[
        list[Path] | None,
        typer.Option(
            "--mammograms", help="Prepared mammograms, for the student's batches or a distiller; repeatable."
        ),
    ] = None,
    init_from: InitOption = None,
    preset: PresetOption = None,
    settings: SetOption = None,
    resume: ResumeOption = False,
    stop_after: StopOption = None,
) -> None:
    """Train a detector on tomosynthesis, with or without a teacher.

    The presets start from the teacher and mix mammograms into every batch. The variants of the comparison:
    `--set joint.size=0` (fine-tuned), with `--set init=scratch`, `distill.kind=image_level` or
    `distill.kind=lesion_points` (LsKD) besides. With --resume nothing but --out has to be given.

    Example: comoto train student --tomosynthesis prepared/dbt --mammograms prepared/mammograms
    --teacher runs/teacher --set data.fraction=0.1 --out runs/student
    """
    from comoto.api import train_student

    result = train_student(
        out,
        tomosynthesis=tomosynthesis,
        teacher=teacher,
        mammograms=mammograms or (),
        init_from=init_from,
        preset=preset,
        overrides=settings or (),
        resume=resume,
        stop_after=stop_after,
    )
    _report(result)


def _report(result: Any) -> None:
    typer.echo(
        f"{result.run}: {result.epoch} epochs, best is epoch {result.best_epoch} "
        f"with {result.metric} {result.value:.3f} on the validation patients"
    )
