"""What a run leaves behind: settings, patients, a CSV and a TensorBoard log, and the state to resume from.

A run's folder holds::

    run.json            what the run is: role, settings, what it is made of; sealed, written first
    split.json          the patients
    config.yaml         the settings for people and for --preset; written last of the three
    log.csv             a row an epoch, each with its own checksum
    state.pt            the state after the last finished epoch; sealed
    checkpoint.json, model.safetensors    the best epoch (``comoto.detectors.checkpoint``)
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from comoto.checksums import (
    Damaged,
    content_sha256,
    read_json_object,
    sealed_file,
    unseal_bytes,
    write_sealed_json,
)
from comoto.config import TrainConfig, dump_yaml, former_settings, load_run_config
from comoto.errors import CheckpointError, ConfigError, ForeignCodeError, OutputExistsError
from comoto.locks import hold, lock_of
from comoto.output_files import PART, atomic_write, sweep_parts, write_json, write_text
from comoto.progress import say
from comoto.training.identity import refuse_other_inputs, refuse_other_settings
from comoto.training.log_file import LOG, checked_log, read_log, write_log
from comoto.versions import versions

if TYPE_CHECKING:
    import torch
    from torch.utils.tensorboard import SummaryWriter

STATE, CONFIG, SPLIT, RUN = "state.pt", "config.yaml", "split.json", "run.json"
PEOPLE = "/train by the split file"
"""Ending of the keys in ``SPLIT`` that hold the training patients under the names of ``data.split_file``."""
FORMAT, STATE_FORMAT = "comoto-run-1", "comoto-state-2"
_FORMER_STATE = b"PK"
"""A state of a former version is a bare file of ``torch.save``, which is a zip archive."""

Role = Literal["teacher", "student"]


@dataclass
class TrainingState:
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


@dataclass(frozen=True)
class RunMade:
    """What a run is made of, besides its settings.

    Attributes:
        patients: the content of ``split.json``.
        inputs: as ``comoto.training.identity.run_inputs``.
    """

    role: Role
    patients: dict[str, list[str]]
    inputs: dict[str, Any]


@contextmanager
def run_record(folder: Path, *, resume: bool) -> Iterator[RunRecord]:
    """Look at a run's folder and hold it while the block runs: one training at a time.

    Raises:
        OutputExistsError: another training writes there, or as ``RunRecord``.
        CheckpointError: as ``RunRecord``.
    """
    whole = folder.resolve()
    busy = f"{folder}: another training is writing there; wait for its end, or choose another --out"
    with hold(lock_of(whole), busy):
        record = RunRecord(folder, resume=resume)
        try:
            yield record
        finally:
            record.close()


class RunRecord:
    """The folder of a run; ``run_record`` makes it.

    Attributes:
        folder: where everything goes.
        can_resume: whether there is a state to continue from; known after ``start``.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        """Look at the folder; nothing is written before ``start``.

        Raises:
            OutputExistsError: the folder is not empty and the run is not to be resumed, or it is no run.
        """
        self._exists = not _is_free(folder)
        if self._exists and not resume:
            raise OutputExistsError(f"{folder} is not empty; choose another --out, or add --resume")
        if self._exists and not is_run(folder):
            raise OutputExistsError(f"{folder}: not a run folder (no {CONFIG}); choose another --out")
        self.folder = folder
        self.can_resume = False
        self._writer: SummaryWriter | None = None

    def start(self, config: TrainConfig, made: RunMade) -> None:
        """Make the folder, or check that it holds an interrupted run of the same settings and content.

        Raises:
            ConfigError: the folder was made with another configuration; the differing keys are named.
            CheckpointError: a file of the folder is damaged.
        """
        if not self._exists:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_parts(self.folder)
            self._write_about({"resumed": []}, config, made, None)
            write_json(self.folder / SPLIT, made.patients)
            self._write_config(config)
            return
        about = read_about_run(self.folder)
        before = saved_config(self.folder)
        if about is not None:
            if about["role"] != made.role:
                raise ConfigError(f"{self.folder}: is a run of 'comoto train {about['role']}'")
            refuse_other_inputs(self.folder, about["inputs"], made.inputs)
        changed = refuse_other_settings(self.folder, before, config, inputs_known=about is not None)
        self._compare_patients(made.patients, about)
        self.can_resume = self._has_state()
        sweep_parts(self.folder)
        if about is None or changed:
            earlier = [] if about is None else about["resumed"]
            resumed = [*earlier, {"after_epoch": self._logged(), "changed": changed}] if changed else earlier
            self._write_about({"resumed": resumed}, config, made, before)
            for key, (old, new) in changed.items():
                say(f"note: goes on with {key}={new}, so far {old}")
        if not (self.folder / SPLIT).is_file():
            write_json(self.folder / SPLIT, made.patients)
        self._write_config(config)

    def save_state(self, state: TrainingState, tensors: dict[str, Any]) -> None:
        """Replace the state; a crash leaves the former one."""
        import torch  # here and below: a folder is looked at, and wrong settings are told, without it

        with atomic_write(self.folder / STATE) as part, sealed_file(part, STATE_FORMAT) as payload:
            torch.save({"state": vars(state), **tensors}, payload)

    def load_state(self, device: torch.device) -> tuple[TrainingState, dict[str, Any]]:
        """Read the state that ``save_state`` wrote; only tensors and plain values are accepted.

        Raises:
            CheckpointError: the file is damaged, or rows of finished epochs are missing in the log.
        """
        import torch

        from comoto.detectors.weights import DAMAGED

        path = self.folder / STATE
        content = path.read_bytes()
        try:
            payload = content if content.startswith(_FORMER_STATE) else unseal_bytes(STATE_FORMAT, content)
            saved = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
            state = TrainingState(**saved.pop("state"))
        except (Damaged, *DAMAGED) as error:
            raise CheckpointError(
                f"{path}: cannot be resumed from: is damaged ({error}); the best weights so far are not "
                f"touched: start a new run in another --out, with --init-from {self.folder} if it may "
                "begin from them"
            ) from error
        checked_log(self.folder / LOG, state.epoch)
        return state, saved

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Append one row to ``log.csv`` and to TensorBoard; rows of later epochs, left by a crash, go."""
        path = self.folder / LOG
        earlier = read_log(path) if path.is_file() else []
        rows = [row for row in earlier if row["epoch"] < epoch]
        write_log(path, [*rows, {"epoch": epoch, **values}])
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=epoch)
        for key, value in values.items():
            self._writer.add_scalar(key, value, epoch)

    def close(self) -> None:
        """Flush what is buffered."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _has_state(self) -> bool:
        """Whether there is a state; a first epoch that was cut off before it leaves none and begins again.

        Raises:
            CheckpointError: more epochs are finished, and their state is gone.
        """
        if (self.folder / STATE).is_file():
            return True
        finished = self._logged()
        if finished > 1:
            raise CheckpointError(
                f"{self.folder}: {finished} epochs are finished, but {STATE} is gone, so the run cannot be "
                f"resumed; start a new run in another --out, with --init-from {self.folder} if it may begin "
                "from its best weights"
            )
        return False

    def _logged(self) -> int:
        log = self.folder / LOG
        return int(max((row["epoch"] for row in read_log(log)), default=0)) if log.is_file() else 0

    def _write_about(
        self, more: dict[str, Any], config: TrainConfig, made: RunMade, before: TrainConfig | None
    ) -> None:
        write_sealed_json(
            self.folder / RUN,
            {
                "format": FORMAT,
                "role": made.role,
                "settings": config.model_dump(mode="json"),
                "former_settings": None if before is None else before.model_dump(mode="json"),
                "inputs": made.inputs,
                "patients": content_sha256(made.patients),
                "versions": versions(),
                **more,
            },
        )

    def _write_config(self, config: TrainConfig) -> None:
        path, text = self.folder / CONFIG, dump_yaml(config.model_dump(mode="json"))
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)

    def _compare_patients(self, patients: dict[str, list[str]], about: dict[str, Any] | None) -> None:
        if (self.folder / SPLIT).is_file():
            same = read_patients(self.folder) == patients
        else:
            same = about is None or about["patients"] == content_sha256(patients)
        if not same:
            raise ConfigError(
                f"{self.folder}: the run was started with other patients: a store or the split file has "
                "changed since; start a new run in another --out"
            )


def is_run(folder: Path) -> bool:
    """Whether a folder holds a training, finished or not."""
    return (folder / CONFIG).is_file() or (folder / RUN).is_file()


def saved_config(folder: Path) -> TrainConfig:
    """Return the settings of a run, finished or not.

    Raises:
        CheckpointError: ``run.json`` is damaged, or ``config.yaml`` is not what the run was started with.
    """
    about, path = read_about_run(folder), folder / CONFIG
    written = None
    if path.is_file():
        try:
            written = load_run_config(path)
        except ForeignCodeError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except (ConfigError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: is damaged: {error}; {_way_out(about)}") from error
    if about is None:
        if written is None:
            raise CheckpointError(f"{folder}: no {CONFIG} here; give a folder that 'comoto train' wrote")
        return written
    try:
        kept = TrainConfig.model_validate(former_settings(about["settings"]))
        former = about["former_settings"]
        earlier = None if former is None else TrainConfig.model_validate(former_settings(former))
    except ForeignCodeError as error:
        raise CheckpointError(f"{folder / RUN}: {error}") from error
    except (ValidationError, ConfigError) as error:
        raise CheckpointError(f"{folder / RUN}: written by another version: {error}") from error
    if written not in (None, kept, earlier):
        raise CheckpointError(
            f"{path}: is damaged, or was changed since the run was started; {_way_out(about)}"
        )
    return kept


def _way_out(about: dict[str, Any] | None) -> str:
    if about is None:
        return "start a new run in another --out"
    return f"remove it, and --resume writes it again from {RUN}"


def read_about_run(folder: Path) -> dict[str, Any] | None:
    """Return the content of ``run.json``; None in a run of a former version.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / RUN
    if not path.is_file():
        return None
    way_out = "copy the folder again, or start a new run in another --out"
    about = read_json_object(path, CheckpointError, way_out)
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format {about.get('format')!r}, this version reads {FORMAT!r}")
    return about


def read_patients(folder: Path) -> dict[str, list[str]]:
    """Return the content of ``split.json``.

    Raises:
        CheckpointError: the file is damaged or missing.
    """
    path = folder / SPLIT
    about = read_about_run(folder)
    way_out = f"remove it, and --resume writes it again as {RUN} knows it" if about else "copy it again"
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; copy the whole run folder, or resume the run")
    try:
        content: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is damaged (no JSON in UTF-8); {way_out}") from error
    if not isinstance(content, dict) or not all(isinstance(names, list) for names in content.values()):
        raise CheckpointError(f"{path}: no list of patients; the run folder is damaged; {way_out}")
    if about is not None and content_sha256(content) != about["patients"]:
        raise CheckpointError(f"{path}: is damaged, or was changed since the run was started; {way_out}")
    return content


def trained_on(folder: Path) -> tuple[list[str], bool]:
    """Return the training patients that a run folder records, of all its stores.

    Returns:
        The patients, sorted, none without a record; and whether a split file named them.

    Raises:
        CheckpointError: the record is damaged.
    """
    if not (folder / SPLIT).is_file() and not (folder / RUN).is_file():
        return [], False
    content = read_patients(folder)
    by_split_file = any(key.endswith(PEOPLE) for key in content)
    ending = PEOPLE if by_split_file else "/train"
    names = {name for key, own in content.items() if key.endswith(ending) for name in own}
    return sorted(names), by_split_file


def _is_free(folder: Path) -> bool:
    """Whether a run may begin in a folder: it is new or empty, or holds a start that was cut off.

    ``config.yaml`` is the last file of a start. What else a person may have put there is never taken for one.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir() if not (path.name[0] == "." and path.suffix == PART)}
    if not names <= {RUN, SPLIT}:
        return False
    try:
        if RUN in names:
            return read_about_run(folder) is not None
        return SPLIT not in names or any(key.endswith("/train") for key in read_patients(folder))
    except CheckpointError:
        return False
