"""``comoto simulate``: make simulated patients in the formats of the real data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comoto.cli.options import WorkersOption, complete_exams, complete_size, set_option
from comoto.defaults import WORKERS


def simulate(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for bcs-dbt/ and vindr-mammo/; new or unfinished.")
    ],
    size: Annotated[
        str,
        typer.Option(
            "--size",
            autocompletion=complete_size,
            help="tiny (128 x 64), demo (256 x 128), small (512 x 256) or full (2457 x 1996).",
        ),
    ] = "demo",
    exams: Annotated[
        str,
        typer.Option(
            "--exams",
            autocompletion=complete_exams,
            help="first (masses only) or second (many families and looks, decoys, systems).",
        ),
    ] = "first",
    mammograms: Annotated[
        int | None, typer.Option("--mammograms", min=0, help="Patients with mammograms; a fifth is for test.")
    ] = None,
    train: Annotated[
        int | None, typer.Option("--train", min=0, help="Training patients with tomosynthesis.")
    ] = None,
    validation: Annotated[
        int | None, typer.Option("--validation", min=0, help="Validation patients with tomosynthesis.")
    ] = None,
    test: Annotated[
        int | None, typer.Option("--test", min=0, help="Test patients with tomosynthesis.")
    ] = None,
    views: Annotated[
        int | None, typer.Option("--views", help="Views of a study without a lesion: 1, 2 or 4.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Another seed than 0 makes other patients.")
    ] = None,
    workers: WorkersOption = WORKERS,
    settings: Annotated[
        list[str] | None, set_option("Any other setting, such as traps.rotated_share=0.5. May be repeated.")
    ] = None,
) -> None:
    """Simulate patients: DICOM files and their tables.

    Compressed breasts with masses are drawn at random, projected, reconstructed and written as DICOM with the
    tables of VinDr-Mammo (mammograms) and BCS-DBT (tomosynthesis). Nothing in them is patient data. The same
    seed gives the same bytes.

    Example: comoto simulate --out simulated --mammograms 60 --train 40 --validation 10 --test 20
    """
    from comoto import api

    given = {
        "seed": seed,
        "tomosynthesis.train_patients": train,
        "tomosynthesis.validation_patients": validation,
        "tomosynthesis.test_patients": test,
        "tomosynthesis.views_per_study": views,
        "mammography.views_per_study": views,
        "mammography.test_patients": None if mammograms is None else mammograms // 5,
        "mammography.training_patients": None if mammograms is None else mammograms - mammograms // 5,
    }
    values = {key: value for key, value in given.items() if value is not None}
    paths = api.simulate(
        out, size=size, exams=exams, overrides=settings or (), values=values, workers=workers
    )
    typer.echo(f"tomosynthesis: {paths.bcs_dbt}")
    typer.echo(f"mammograms:    {paths.vindr_mammo}")
