"""``simulate``: plan the cohort, make every image in worker processes, write the tables last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import joblib

from comoto.backends import joblib_backend
from comoto.checksums import read_json_object, write_sealed_json
from comoto.defaults import WORKERS
from comoto.errors import DatasetError, OutputExistsError
from comoto.locks import hold
from comoto.output_files import PART
from comoto.progress import say, track
from comoto.simulation.cohort import (
    MammogramCase,
    TomosynthesisCase,
    plan_mammography,
    plan_tomosynthesis,
)
from comoto.simulation.config import SimulateConfig
from comoto.simulation.images import make_mammogram, make_tomosynthesis
from comoto.simulation.second.cohort import (
    SecondMammogramCase,
    SecondVolumeCase,
    plan_mammograms,
    plan_volumes,
)
from comoto.simulation.second.config import SecondConfig
from comoto.simulation.second.images import make_second_mammogram, make_second_volume
from comoto.simulation.second.tables import write_second_tables
from comoto.simulation.tables import Finding, write_bcs_dbt_tables, write_vindr_tables

Case = TomosynthesisCase | MammogramCase
Config = SimulateConfig | SecondConfig
Findings = dict[tuple[int, int], list[Finding]]
_FORMAT = "comoto-simulated-2"
_FORMER_FORMAT = "comoto-simulated-1"
_NOTE = 2
"""What a note says of an image; former ones lack the size of lesions."""
_LOCK = ".lock"
_ABOUT = "simulate.json"
_PROGRESS = ".progress"
_TOMOSYNTHESIS, _MAMMOGRAM = "tomosynthesis", "mammogram"
_VOLUMES, _MAMMOGRAMS = "bcs-dbt", "vindr-mammo"


@dataclass(frozen=True)
class SimulatedPaths:
    """Where the two data sets lie."""

    bcs_dbt: Path
    vindr_mammo: Path


def simulate(out: Path, config: Config, workers: int = WORKERS) -> SimulatedPaths:
    """Simulate a tomosynthesis and a mammography data set in the formats of the real ones.

    The bytes depend on ``config`` alone. A run that was interrupted continues where it stopped; the tables
    appear when all images are there.

    Args:
        out: folder to write to; it gets ``bcs-dbt/``, ``vindr-mammo/`` and ``simulate.json``.
        config: everything else.
        workers: processes.

    Raises:
        OutputExistsError: ``out`` holds something else, or a data set of another configuration, or another
            simulation is working there.
    """
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out}: is a file; name a folder")
    with hold(out / _LOCK, f"{out}: another 'comoto simulate' is working there; name another folder"):
        return _simulate(out, config, workers)


def _simulate(out: Path, config: Config, workers: int) -> SimulatedPaths:
    paths = SimulatedPaths(out / _VOLUMES, out / _MAMMOGRAMS)
    if _begin(out, config):
        _tidy(out)
        say(f"{out}: already complete")
        return paths
    tomosynthesis, mammography = _plan(config)
    cases: list[Case] = [*tomosynthesis, *mammography]
    jobs = (joblib.delayed(_make)(case, config, out.absolute()) for case in cases)
    with joblib_backend("loky", workers, None):
        run = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    done = run(jobs)
    found: dict[str, Findings] = {_TOMOSYNTHESIS: {}, _MAMMOGRAM: {}}
    for kind, key, findings in track(done, "simulate images", len(cases)):
        found[kind][key] = findings
    write_bcs_dbt_tables(paths.bcs_dbt, tomosynthesis, found[_TOMOSYNTHESIS])
    shape = (config.grid.rows, config.grid.columns)
    write_vindr_tables(paths.vindr_mammo, mammography, found[_MAMMOGRAM], shape)
    write_second_tables(paths.bcs_dbt, tomosynthesis, found[_TOMOSYNTHESIS])
    write_second_tables(paths.vindr_mammo, mammography, found[_MAMMOGRAM])
    _describe(out, config, complete=True)
    _tidy(out)
    return paths


def _tidy(out: Path) -> None:
    """Remove what only an unfinished simulation needs, and what killed ones left half-written."""
    shutil.rmtree(out / _PROGRESS, ignore_errors=True)
    for part in out.rglob(f".*{PART}"):
        part.unlink(missing_ok=True)


def _begin(out: Path, config: Config) -> bool:
    """Claim ``out``; return whether it already holds the whole data set."""
    about = out / _ABOUT
    if about.is_file():
        content = read_json_object(about, DatasetError, "simulate into a new folder", (_FORMER_FORMAT,))
        known = content.get("format") in (_FORMAT, _FORMER_FORMAT)
        if not known or content.get("config") != config.model_dump(mode="json"):
            raise OutputExistsError(
                f"{out}: holds a simulated data set of another configuration ({about}); "
                "choose another folder or delete this one"
            )
        return bool(content["complete"])
    if any(path.name != _LOCK for path in out.iterdir()):
        raise OutputExistsError(f"{out}: exists and is not a simulated data set; choose another folder")
    _describe(out, config, complete=False)
    return False


def _describe(out: Path, config: Config, *, complete: bool) -> None:
    content = {"format": _FORMAT, "complete": complete, "config": config.model_dump(mode="json")}
    write_sealed_json(out / _ABOUT, content)


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _plan(config: Config) -> tuple[Sequence[TomosynthesisCase], Sequence[MammogramCase]]:
    if isinstance(config, SecondConfig):
        return plan_volumes(config), plan_mammograms(config)
    return plan_tomosynthesis(config), plan_mammography(config)


def _make(case: Case, config: Config, out: Path) -> tuple[str, tuple[int, int], list[Finding]]:
    """Make one image unless an earlier run has; return its findings."""
    kind = _TOMOSYNTHESIS if isinstance(case, TomosynthesisCase) else _MAMMOGRAM
    note = out / _PROGRESS / f"{kind}-{case.key[0]}-{case.key[1]}.json"
    findings: list[Finding]
    if note.is_file():
        with suppress(DatasetError):  # damaged, or of a former version: the image is made again
            content = read_json_object(note, DatasetError, "")
            if content.get("note") == _NOTE:
                findings = content["findings"]
                return kind, case.key, findings
    with _one_opencv_thread():
        findings = _image(case, config, out / (_VOLUMES if kind == _TOMOSYNTHESIS else _MAMMOGRAMS))
    write_sealed_json(note, {"note": _NOTE, "findings": findings}, indent=None)
    return kind, case.key, findings


def _image(case: Case, config: Config, root: Path) -> list[Finding]:
    match case, config:
        case SecondVolumeCase(), SecondConfig():
            return make_second_volume(case, config, root)
        case SecondMammogramCase(), SecondConfig():
            return make_second_mammogram(case, config, root)
        case TomosynthesisCase(), SimulateConfig():
            return make_tomosynthesis(case, config, root)
        case MammogramCase(), SimulateConfig():
            return make_mammogram(case, config, root)
    raise TypeError(f"{type(case).__name__} does not belong to {type(config).__name__}")
