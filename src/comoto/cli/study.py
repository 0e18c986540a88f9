"""``comoto study``: variants x fractions x seeds, run to the end however often cut off, and their table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from comoto.defaults import CONSTANT_DEPTH, WORKERS

app = typer.Typer(help="Compare ways of training, with intervals.")

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The study's folder.")]

BootstrapOption = Annotated[
    int | None,
    typer.Option("--bootstrap", min=1, help="Replicates of the intervals; the study's if not given."),
]
RuleOption = Annotated[
    str, typer.Option("--rule", help="One of the study's further slice-to-volume aggregation rules.")
]
ReferenceOption = Annotated[
    str | None,
    typer.Option("--reference", help="Variant to compare with; the study's if not given."),
]
SliceOption = Annotated[
    float | None, typer.Option("--slice-mm", help="Distance of slices in mm, for the tolerance in mm.")
]
ToleranceOption = Annotated[
    str | None,
    typer.Option(
        "--depth-tolerance", metavar="MMmm", help="Tolerance in depth with --slice-mm; 10mm if not given."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of the replicates.")]


@app.command("init")
def init(out: Annotated[Path, typer.Argument(metavar="OUT.yaml", help="The file to write.")]) -> None:
    """Write a commented study file to start from.

    Example: comoto study init study.yaml
    """
    from comoto.errors import OutputExistsError
    from comoto.output_files import output_files
    from comoto.study.config import starting_file

    if out.is_dir():
        raise OutputExistsError(f"{out}: is a folder; name a file in it, such as {out / 'study.yaml'}")
    if out.exists():  # somebody's study stands in it: there is no --overwrite
        raise OutputExistsError(f"{out}: exists; choose another name")
    output_files({out: starting_file().encode()}, overwrite=False)
    typer.echo(
        f"wrote {out}; name your prepared stores under data, then: comoto study run {out} --out FOLDER"
    )


@app.command("run")
def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study file.")],
    out: Annotated[Path, typer.Option("--out", help="The study's folder; the same call continues there.")],
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs at a time.")] = WORKERS,
    backend: Annotated[
        Literal["loky", "threading", "ray", "dask"],
        typer.Option("--backend", help="What spreads the runs: processes, threads, or a cluster."),
    ] = "loky",
    address: Annotated[
        str | None, typer.Option("--address", help="Of a running Ray or Dask cluster, such as auto.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="VARIANT", help="Run only this variant; repeatable.")
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", min=0.0, help="Start no run later than this.")
    ] = None,
    keep_states: Annotated[
        bool, typer.Option("--keep-states", help="Keep the optimizer's state of complete runs.")
    ] = False,
) -> None:
    """Run what is not complete, as often as it takes.

    A run that fails is written down and the others go on. Exit code 1 if a run failed; the same command
    tries it again. After Ctrl-C the same command continues.

    Example: comoto study run study.yaml --out studies/low_data --workers 2
    """
    from comoto.study.config import load_study

    wanted = load_study(study)  # what is wrong with it is told before the rest is imported
    from comoto.study.run import StudyOptions, run_study

    options = StudyOptions(workers, backend, address, tuple(only or ()), max_hours, keep_states)
    outcome = run_study(wanted, out, options)
    done, failed = outcome.count("done"), outcome.count("failed")
    left = len(outcome.states) - done - failed
    not_made = f", {left} left" if left else ""
    typer.echo(f"{out}: {done} of {len(outcome.states)} runs are complete, {failed} failed{not_made}")
    for name, state in outcome.states.items():
        if state.status == "failed":
            typer.echo(f"failed: {name}: {state.reason} (see {out / name / 'worker.log'})")
    if outcome.interrupted:
        raise KeyboardInterrupt
    if failed:
        raise typer.Exit(1)


@app.command("status")
def status(folder: FolderArgument) -> None:
    """Show how far a study is.

    It reads the runs' folders, so it works from any machine that sees them.

    Example: comoto study status studies/low_data
    """
    from rich.console import Console

    from comoto.study.config import saved_study
    from comoto.study.grid import build_grid
    from comoto.study.progress import look

    found = look(build_grid(saved_study(folder), folder.absolute()), folder.absolute())
    Console().print(found.table())
    for name, reason in found.failed:
        typer.echo(f"failed: {name}: {reason}")


@app.command("table")
def table(
    folder: FolderArgument,
    bootstrap: BootstrapOption = None,
    seed: SeedOption = 0,
    rule: RuleOption = "",
    reference: ReferenceOption = None,
) -> None:
    """Compare the complete runs.

    Writes table.md, table.csv and report.html into the study's folder; former ones are replaced.

    Example: comoto study table studies/low_data
    """
    from comoto.report.study_report import write_study_report
    from comoto.study.results import read_results
    from comoto.study.table import markdown, summarise, write_tables

    results = read_results(folder, bootstrap, rule=rule, reference=reference)
    rows = summarise(results, seed)
    written = [*write_tables(folder, results, rows), write_study_report(folder, results, rows)]
    typer.echo(markdown(results, rows))
    typer.echo("wrote " + ", ".join(map(str, written)))


@app.command("rules")
def rules(folder: FolderArgument, bootstrap: BootstrapOption = None, seed: SeedOption = 0) -> None:
    """Compare slice-to-volume aggregation rules.

    Writes rules.md into the study's folder: the complete runs under the students' own rule and each further
    one that the study names under rules.

    Example: comoto study rules studies/low_data
    """
    from comoto.study.config import saved_study
    from comoto.study.rules import compare_rules, rules_markdown, write_rules

    rows, against = compare_rules(folder, bootstrap, seed)
    written = write_rules(folder, rows, against)
    typer.echo(rules_markdown(saved_study(folder), rows, against))
    typer.echo(f"wrote {written}")


@app.command("depth")
def depth(
    folder: FolderArgument,
    slice_mm: SliceOption = None,
    depth_tolerance: ToleranceOption = None,
    constant_depth: Annotated[
        float,
        typer.Option("--constant-depth", help="Share of the stack at which every depth is put beside."),
    ] = CONSTANT_DEPTH,
    bootstrap: BootstrapOption = None,
    seed: SeedOption = 0,
    rule: RuleOption = "",
    reference: ReferenceOption = None,
) -> None:
    """Compare the complete runs by several rules of depth.

    Writes depth.md and depth.csv into the study's folder: mean sensitivity by the challenge's rule, by x and
    y alone, with one depth for every box and with a tolerance in mm; what more patients give; and what all
    runs find together.

    Example: comoto study depth studies/low_data --slice-mm 1
    """
    from comoto.evaluation.depth_variants import parse_tolerance
    from comoto.study.depth_table import depth_markdown, depth_rules, summarise_depth, write_depth
    from comoto.study.results import read_results

    tolerance = None if depth_tolerance is None else parse_tolerance(depth_tolerance)
    results = read_results(folder, bootstrap, rule=rule, reference=reference)
    table = summarise_depth(results, depth_rules(results.truth, tolerance, slice_mm, constant_depth), seed)
    written = write_depth(folder, table)
    typer.echo(depth_markdown(table))
    typer.echo("wrote " + ", ".join(map(str, written)))


@app.command("verdict")
def verdict(
    folder: FolderArgument,
    slice_mm: SliceOption = None,
    depth_tolerance: ToleranceOption = None,
    bootstrap: BootstrapOption = None,
    seed: SeedOption = 0,
    rule: RuleOption = "",
) -> None:
    """Judge the comparisons that the study file names under main.

    Writes verdict.md and verdict.csv into the study's folder: each difference with its interval and its
    p-value, corrected for the number of comparisons (Holm), and whether it is better, worse, equivalent
    within the study's margin, or not decided. With --slice-mm the same within a tolerance in depth. Refused
    while runs of a comparison are missing.

    Example: comoto study verdict studies/low_data --slice-mm 1
    """
    from comoto.evaluation.depth_variants import parse_tolerance
    from comoto.study.depth_table import depth_rules
    from comoto.study.results import read_results
    from comoto.study.verdict import judge, verdict_markdown, write_verdict

    tolerance = None if depth_tolerance is None else parse_tolerance(depth_tolerance)
    results = read_results(folder, bootstrap, rule=rule)
    found = judge(results, depth_rules(results.truth, tolerance, slice_mm, CONSTANT_DEPTH), seed)
    written = write_verdict(folder, found)
    typer.echo(verdict_markdown(found))
    typer.echo("wrote " + ", ".join(map(str, written)))
