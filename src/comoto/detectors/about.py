"""What a checkpoint says of itself: ``checkpoint.json``, which is read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from comoto import components
from comoto.checksums import read_json_object
from comoto.config import TrainConfig, explain, former_settings
from comoto.detectors.focus_head import FocusHead
from comoto.errors import CheckpointError, ConfigError

FORMAT, FORMER = "comoto-checkpoint-2", "comoto-checkpoint-1"
"""Former checkpoints have no checksum of ``checkpoint.json``."""
WEIGHTS, ABOUT = "model.safetensors", "checkpoint.json"


@dataclass(frozen=True)
class About:
    """What a checkpoint says of itself, besides its configuration.

    Attributes:
        role: ``teacher`` (mammograms) or ``student`` (tomosynthesis).
        epoch: finished epochs when it was written, from 1.
        metric: name and value of the validation metric that chose it.
        focus: the focus head that was fitted on its features; None without one.
    """

    role: Literal["teacher", "student"]
    epoch: int
    metric: dict[str, float]
    focus: FocusHead | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values; there is a key for the focus head only if there is one."""
        plain: dict[str, Any] = {"role": self.role, "epoch": self.epoch, "metric": self.metric}
        return plain if self.focus is None else {**plain, "focus": self.focus.to_json()}


@dataclass(frozen=True)
class KnownModel:
    """What is known of a trained model before its weights are read.

    Attributes:
        name: the run folder's name.
        role: what it was trained as.
    """

    name: str
    config: TrainConfig
    role: Literal["teacher", "student"]


def known_model(run: Path) -> KnownModel:
    """Read what a run folder says of its model.

    Raises:
        CheckpointError: as ``read_about``.
    """
    config, about, _ = read_about(run)
    return KnownModel(run.name, config, about.role)


def read_about(run: Path) -> tuple[TrainConfig, About, str]:
    """Read ``checkpoint.json``: configuration, description, hash of the weights.

    Raises:
        CheckpointError: there is no checkpoint, or it was written by another version.
    """
    path = run / ABOUT
    if not path.is_file():
        if run.is_file():
            raise CheckpointError(f"{run}: is a file; give the run folder that 'comoto train' wrote")
        if not run.exists():
            raise CheckpointError(f"{run}: no such folder; give the run folder that 'comoto train' wrote")
        raise CheckpointError(f"{run}: no {ABOUT} here; give the run folder that 'comoto train' wrote")
    content = read_json_object(path, CheckpointError, "copy the run folder again", unsealed=(FORMER,))
    if content.get("format") not in (FORMAT, FORMER):
        found = components.short(repr(content.get("format")))
        raise CheckpointError(f"{path}: format {found}, this version reads {FORMAT!r}")
    try:
        config = TrainConfig.model_validate(former_settings(content["config"]))
        head = FocusHead.from_json(content["focus"]) if "focus" in content else None
        about = About(content["role"], content["epoch"], content["metric"], head)
        sha256: str = content["sha256"]
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except ValidationError as error:
        why = explain(TrainConfig, error, content["config"])
        raise CheckpointError(f"{path}: damaged or written by another version: {why}") from error
    except KeyError as error:
        raise CheckpointError(f"{path}: damaged or written by another version: no {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or written by another version: {error}") from error
    if about.role not in ("teacher", "student") or not isinstance(about.metric, dict):
        raise CheckpointError(f"{path}: damaged or written by another version: role or metric")
    return config, about, sha256


def refuse_other_role(where: Path, about: About, role: Literal["teacher", "student"] | None) -> None:
    """Check that a model has the wanted role.

    Raises:
        CheckpointError: it has the other one.
    """
    if role is not None and about.role != role:
        raise CheckpointError(f"{where}: this is a {about.role}, a {role} is needed here")


def run_folder(path: Path) -> Path:
    """Return the run folder that a path means: itself, or the one that its weights lie in."""
    files = (WEIGHTS, ABOUT)
    is_inside = path.name in files and all((path.parent / name).is_file() for name in files)
    return path.parent if is_inside else path


def is_run_folder(path: Path) -> bool:
    """Say whether a path is to be taken for a run folder; else it is meant as an ONNX file."""
    return not path.is_file() and (path.suffix != ".onnx" or path.is_dir())
