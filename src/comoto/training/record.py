"""What a run leaves behind: the configuration, a CSV and a TensorBoard log, and the state to resume from."""

from __future__ import annotations

import csv
import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from comoto.config import TrainConfig, flat_settings
from comoto.detectors.weights import DAMAGED
from comoto.errors import CheckpointError, ConfigError, OutputExistsError
from comoto.output_files import whole_file, write_json, write_text

STATE, LOG, CONFIG, SPLIT = "state.pt", "log.csv", "config.yaml", "split.json"
PEOPLE = "/train by the split file"
"""Ending of the keys in ``SPLIT`` that hold the training patients under the names of ``data.split_file``."""


@dataclass
class State:
    """Where a run stands.

    Attributes:
        epoch: finished epochs.
        best_epoch: epoch of the best checkpoint, 0 before the first validation.
        best_value: its metric; -1 before the first validation, so that a metric of 0 is kept too.
        best_tie_break: its second metric.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_value: float = -1.0
    best_tie_break: float = -1.0

    def improves(self, value: float, tie_break: float) -> bool:
        """Take the metrics of the finished epoch if they are the best so far, and say whether they are."""
        better = (value, tie_break) > (self.best_value, self.best_tie_break)
        if better:
            self.best_epoch, self.best_value, self.best_tie_break = self.epoch, value, tie_break
        return better


class RunRecord:
    """The folder of a run.

    Attributes:
        folder: where everything goes.
        can_resume: whether there is a state to continue from; known after ``start``.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        """Look at the folder; nothing is written before ``start``.

        Raises:
            OutputExistsError: the folder is not empty and the run is not to be resumed.
        """
        self._exists = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if self._exists and not resume:
            raise OutputExistsError(f"{folder} is not empty; choose another --out, or add --resume")
        self.folder = folder
        self.can_resume = False
        self._writer: SummaryWriter | None = None

    def start(self, config: TrainConfig, patients: dict[str, list[str]]) -> None:
        """Make the folder, or check that it holds an interrupted run of the same configuration.

        Raises:
            ConfigError: the folder was made with another configuration; the differing keys are named.
        """
        content = config.model_dump(mode="json")
        if self._exists:
            self._compare(content)
            self._compare_patients(patients)
            self.can_resume = (self.folder / STATE).is_file()
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / SPLIT, patients)
        write_text(self.folder / CONFIG, yaml.safe_dump(content, sort_keys=False))

    def save_state(self, state: State, tensors: dict[str, Any]) -> None:
        """Replace the state; a crash leaves the former one."""
        path = self.folder / STATE
        with whole_file(path) as part:
            try:
                torch.save({"state": vars(state), **tensors}, part)
            except RuntimeError as error:  # torch's own, in place of the system's: the disk is full, or gone
                raise OSError(errno.EIO, f"cannot be written: {error}", str(path)) from error

    def load_state(self, device: torch.device) -> tuple[State, dict[str, Any]]:
        """Read the state that ``save_state`` wrote; only tensors and plain values are accepted.

        Raises:
            CheckpointError: the file is damaged.
        """
        path = self.folder / STATE
        try:
            content = torch.load(path, map_location=device, weights_only=True)
            return State(**content.pop("state")), content
        except DAMAGED as error:
            raise CheckpointError(f"{path}: cannot be resumed from: {error}") from error

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Append one row to ``log.csv`` and to TensorBoard; rows of later epochs, left by a crash, go."""
        path = self.folder / LOG
        earlier = read_log(path) if path.is_file() else []
        rows = [{**row, "epoch": int(row["epoch"])} for row in earlier if row["epoch"] < epoch]
        rows.append({"epoch": epoch, **values})
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=epoch)
        for key, value in values.items():
            self._writer.add_scalar(key, value, epoch)

    def close(self) -> None:
        """Flush what is buffered."""
        if self._writer is not None:
            self._writer.close()

    def _compare(self, content: dict[str, Any]) -> None:
        path = self.folder / CONFIG
        if not path.is_file():
            raise OutputExistsError(f"{self.folder}: not a run folder (no {CONFIG}); choose another --out")
        old = flat_settings(yaml.safe_load(path.read_text(encoding="utf-8")))
        new = flat_settings(content)
        differing = sorted(key for key in {**old, **new} if old.get(key) != new.get(key))
        if differing:
            raise ConfigError(
                f"{self.folder}: the run was started with other settings: "
                + ", ".join(f"{key} {old.get(key)!r} (now {new.get(key)!r})" for key in differing[:5])
            )

    def _compare_patients(self, patients: dict[str, list[str]]) -> None:
        path = self.folder / SPLIT
        if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != patients:
            raise ConfigError(
                f"{self.folder}: the run was started with other patients: a store or the split file has "
                "changed since; start a new run in another --out"
            )


def trained_on(folder: Path) -> tuple[list[str], bool]:
    """Return the training patients that a run folder records, of all its stores.

    Returns:
        The patients, sorted, none without a record; and whether a split file named them.

    Raises:
        CheckpointError: the record is damaged.
    """
    path = folder / SPLIT
    if not path.is_file():
        return [], False
    try:
        content: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
        by_split_file = any(key.endswith(PEOPLE) for key in content)
        ending = PEOPLE if by_split_file else "/train"
        names = {name for key, own in content.items() if key.endswith(ending) for name in own}
        return sorted(names), by_split_file
    except (ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path}: no list of patients ({error}); the run folder is damaged") from error


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the rows of a ``log.csv``; a value that an epoch has not is left out."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
