"""Many runs, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from comoto.arguments import AnyPath, as_path
from comoto.defaults import WORKERS

if TYPE_CHECKING:
    import pandas as pd

    from comoto.study.run import StudyOutcome


def run_study(
    study: AnyPath,
    out: AnyPath,
    *,
    workers: int = WORKERS,
    backend: Literal["loky", "threading", "ray", "dask"] = "loky",
    address: str | None = None,
) -> StudyOutcome:
    """Run what is not complete of a study (``comoto study run``).

    Args:
        study: the study file, docs/studies.md.
        out: the study's folder; the same call continues there.
        workers: runs at a time.
        backend: what spreads the runs: processes, threads, or a cluster.
        address: of a running Ray or Dask cluster; None starts one on this machine.

    Returns:
        How every run stands; ``.count("failed")``. A run that failed does not raise.

    Examples:
        >>> import comoto
        >>> comoto.run_study("study.yaml", "study")  # what is complete is not run again
        StudyOutcome(4 done)
    """
    from comoto.study.config import load_study

    wanted, folder = load_study(as_path("study", study)), as_path("out", out)
    from comoto.study import run as studies

    return studies.run_study(wanted, folder, studies.StudyOptions(workers, backend, address))


def study_table(
    folder: AnyPath,
    *,
    rule: str = "",
    reference: str | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare the variants of a study (``comoto study table``).

    Args:
        folder: the study's.
        rule: one of the study's further slice-to-volume aggregation rules; "" is the students' own.
        reference: variant that the others are compared with; the study's if not given.
        bootstrap: replicates of the intervals; the study's if not given.
        seed: of the replicates.

    Returns:
        One row a variant, regime and fraction: means, standard deviations over runs, and differences to the
        reference and to the first regime with their intervals; nothing is written.

    Examples:
        >>> import comoto
        >>> table = comoto.study_table("study", bootstrap=20)
        >>> table[["variant", "runs", "mean_sensitivity_positive"]]
                 variant  runs  mean_sensitivity_positive
        0    pretraining     1                      0.000
        1           lskd     1                      0.000
        2  mixed-batches     1                      0.775
    """
    from comoto.study.results import read_results
    from comoto.study.table import frame, summarise

    return frame(
        summarise(read_results(as_path("folder", folder), bootstrap, rule=rule, reference=reference), seed)
    )
