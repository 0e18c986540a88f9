"""What a worker is told, and what a run's folder says about how far it is.

A run's folder holds::

    spec.json        what to do; written before each try
    worker.log       what the worker said; later tries are appended
    run/             the training, with its log and checkpoints
    alive            process and host of the worker, written every half second while it is at it
    predictions.csv  the test volumes, the challenge's columns (students)
    done.json        the run is complete
    failed.json      the last try failed, and how
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from comoto.config import AggregationConfig, StrictModel, TrainConfig
from comoto.errors import ConfigError
from comoto.output_files import write_text
from comoto.records import Split
from comoto.study.grid import TRAINED, Run
from comoto.training.log_file import LOG, read_log

SPEC, DONE, FAILED, ALIVE = "spec.json", "done.json", "failed.json", "alive"
WORKER_LOG, PREDICTIONS = "worker.log", "predictions.csv"
LABELS, BOXES = "labels.csv", "boxes.csv"
"""The test volumes and their lesions, in the study's folder."""
STOP = "stop"
"""File in the study's folder at whose sight workers end."""
ALIVE_SECONDS = 20.0
"""A worker that has not written ``alive`` for so long is gone."""

Status = Literal["done", "running", "failed", "left"]


class RunSpec(StrictModel):
    """One run, as its worker reads it.

    Attributes:
        folder: of the run, absolute.
        test: prepared store whose volumes are predicted; a teacher has none.
        stop: the worker ends when this file appears.
        keep_state: keep what only a resumed training needs.
        split: which of its volumes are predicted.
        rules: further rules from slices to volumes under which the test volumes are predicted.
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
        write_text(path, self.model_dump_json(indent=1) + "\n")
        return path


def predictions_name(rule: str = "") -> str:
    """Return the name of the file with the detections under a rule; "" is the run's own."""
    return f"predictions-{rule}.csv" if rule else PREDICTIONS


def lacking(folder: Path, rules: Iterable[str]) -> list[str]:
    """Return the rules under which a run's folder holds no predictions."""
    return [rule for rule in rules if not (folder / predictions_name(rule)).is_file()]


def load_spec(path: Path) -> RunSpec:
    """Read a ``spec.json``.

    Raises:
        ConfigError: the file is none.
    """
    try:
        return RunSpec.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path}: not a run of a study: {error}") from error


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


def run_state(run: Run, out: Path) -> RunState:
    """Read a run's folder; it may be worked on at the same time, on another machine."""
    folder = out / run.name
    done, failed = _read(folder / DONE), _read(folder / FAILED)
    if done is not None and failed is None:
        return RunState("done", run.config.schedule.epochs, float(str(done.get("seconds", 0))))
    epochs = _epochs(folder / TRAINED / LOG)
    if _is_alive(folder / ALIVE):
        return RunState("running", epochs)
    if failed is not None:
        return RunState("failed", epochs, reason=str(failed.get("reason", "")))
    return RunState("left", epochs)


def _read(path: Path) -> dict[str, object] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return content if isinstance(content, dict) else None


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
