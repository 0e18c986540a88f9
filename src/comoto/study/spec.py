"""What a worker is told, and what a run's folder says about how far it is.

A run's folder holds::

    spec.json        what to do; written before each try
    worker.log       what the worker said; later tries are appended
    run/             the training, with its log and checkpoints
    alive            process and host of the worker, written every half second while it is at it
    predictions.csv  the test volumes, the challenge's columns (students)
    done.json        the run is complete, with the checksums of its predictions (kept.py)
    failed.json      the last try failed, and how
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from comoto.checksums import read_json_object, write_sealed_json
from comoto.config import (
    AggregationConfig,
    StrictModel,
    TrainConfig,
    explain,
    former_aggregation,
    former_settings,
)
from comoto.errors import ConfigError
from comoto.records import Split
from comoto.study.grid import TRAINED, PlannedRun
from comoto.study.kept import predictions_name, read_done, read_failed
from comoto.training.log_file import LOG, read_log

SPEC, ALIVE, WORKER_LOG = "spec.json", "alive", "worker.log"
STOP = "stop"
"""File in the study's folder at whose sight workers end."""
STOPPED = 75
"""Exit code of a worker that was told to stop (EX_TEMPFAIL: try again)."""
ALIVE_SECONDS = 20.0
"""A worker that has not written ``alive`` for so long is gone."""

_FORMAT = "comoto-study-spec-2"

Status = Literal["done", "running", "failed", "left"]


class RunSpec(StrictModel):
    """One run, as its worker reads it.

    Attributes:
        folder: of the run, absolute.
        test: prepared store whose volumes are predicted; a teacher has none.
        stop: the worker ends when this file appears.
        keep_state: keep what only a resumed training needs.
        split: which of its volumes are predicted.
        rules: further slice-to-volume aggregation rules under which the test volumes are predicted.
        test_sha256: checksum of the tables of these volumes (``kept.tables_checksum``); "" in former specs.
    """

    name: str
    role: Literal["teacher", "student"]
    folder: Path
    config: TrainConfig
    config_hash: str
    test: Path | None
    stop: Path
    keep_state: bool
    split: Split = Split.TEST
    rules: dict[str, AggregationConfig] = Field(default_factory=dict)
    test_sha256: str = ""

    @property
    def trained(self) -> Path:
        """The training's own folder."""
        return self.folder / TRAINED

    def predictions(self, rule: str = "") -> Path:
        """Return where the detections on the test volumes lie, under the run's own rule or a further one."""
        return self.folder / predictions_name(rule)

    def save(self) -> Path:
        """Write ``spec.json`` into the run's folder."""
        path = self.folder / SPEC
        write_sealed_json(path, {"format": _FORMAT, **self.model_dump(mode="json")})
        return path


def load_spec(path: Path) -> RunSpec:
    """Read a ``spec.json``.

    Raises:
        ConfigError: the file is none, is damaged, or names outside code that was not allowed.
    """
    way_out = f"remove the folder {path.parent} to run it again"
    try:
        content = read_json_object(path, ConfigError, way_out, unsealed=(None,))
    except OSError as error:
        raise ConfigError(f"{path}: not a run of a study: {error.strerror}") from error
    content.pop("format", None)
    if "config" in content:
        content["config"] = former_settings(content["config"])
    if isinstance(content.get("rules"), dict):
        content["rules"] = {name: former_aggregation(rule) for name, rule in content["rules"].items()}
    try:
        return RunSpec.model_validate(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: not a run of a study: {explain(RunSpec, error, content)}") from error


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        epochs: finished epochs of the training.
        seconds: what a complete run took in all, else 0.
        reason: why the last try failed, else "".
    """

    status: Status
    epochs: int
    seconds: float = 0.0
    reason: str = ""


def run_state(run: PlannedRun, out: Path) -> RunState:
    """Read a run's folder; it may be worked on at the same time, on another machine."""
    folder = out / run.name
    done, failed = read_done(folder), read_failed(folder)
    if done is not None and failed is None:
        return RunState("done", run.config.schedule.epochs, float(str(done.get("seconds", 0))))
    epochs = _epochs(folder / TRAINED / LOG)
    if _is_alive(folder / ALIVE):
        return RunState("running", epochs)
    if failed is not None:
        return RunState("failed", epochs, reason=str(failed.get("reason", "")))
    return RunState("left", epochs)


def _epochs(log: Path) -> int:
    try:
        rows = read_log(log)
    except FileNotFoundError:
        return 0
    return int(rows[-1]["epoch"]) if rows else 0


def _is_alive(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < ALIVE_SECONDS
    except FileNotFoundError:
        return False
