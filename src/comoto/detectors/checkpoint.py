"""Run folders: ``model.safetensors`` with the weights and ``checkpoint.json`` with everything else.

Nothing is unpickled: a checkpoint from a stranger can be opened.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file

from comoto import components
from comoto.config import TrainConfig
from comoto.detectors.base import Detector
from comoto.detectors.weights import load_matching, read_weights
from comoto.errors import CheckpointError, ConfigError
from comoto.output_files import whole_file

FORMAT = "comoto-checkpoint-1"
WEIGHTS, ABOUT = "model.safetensors", "checkpoint.json"


@dataclass(frozen=True)
class About:
    """What a checkpoint says of itself, besides its configuration.

    Attributes:
        role: ``teacher`` (mammograms) or ``student`` (tomosynthesis).
        epoch: finished epochs when it was written, from 1.
        metric: name and value of the validation metric that chose it.
    """

    role: Literal["teacher", "student"]
    epoch: int
    metric: dict[str, float]


@dataclass(frozen=True)
class Checkpoint:
    """A detector with its weights, and what made it.

    Attributes:
        sha256: of the weights file, so that predictions can name their model.
    """

    detector: Detector
    config: TrainConfig
    about: About
    sha256: str


def build_detector(config: TrainConfig) -> Detector:
    """Build the configured detector, for the configured grid, with its initial weights."""
    grid = (config.preprocess.rows, config.preprocess.columns)
    detector: Detector = components.resolve("detector", config.detector.kind)(config.detector, grid)
    return detector


def build_blank_detector(config: TrainConfig) -> Detector:
    """Build the configured detector for weights that come from a checkpoint: nothing is fetched or read."""
    return build_detector(without_initial_weights(config))


def without_initial_weights(config: TrainConfig) -> TrainConfig:
    """Return a configuration whose detector starts from random weights."""
    detector = config.detector.model_dump(mode="json")
    if "backbone" in detector:
        detector["backbone"] = {**detector["backbone"], "weights": "none"}
    return config.model_copy(update={"detector": type(config.detector).model_validate(detector)})


def save_checkpoint(run: Path, detector: Detector, config: TrainConfig, about: About) -> None:
    """Write the checkpoint of a run folder; a reader sees the old one or the new one, never half of each."""
    weights = {key: value.detach().cpu().contiguous() for key, value in detector.state_dict().items()}
    # the description is renamed last: without it the folder holds no checkpoint
    with whole_file(run / ABOUT) as about_part, whole_file(run / WEIGHTS) as weights_part:
        about_part.touch()
        try:
            save_file(weights, weights_part)
        except SafetensorError as error:
            raise CheckpointError(f"{run / WEIGHTS}: cannot be written: {error}") from error
        shutil.copymode(about_part, weights_part)  # safetensors leaves a file that only its owner can read
        content = {
            "format": FORMAT,
            **asdict(about),
            "sha256": _sha256(weights_part),
            "config": config.model_dump(mode="json"),
        }
        about_part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_checkpoint(run: Path) -> Checkpoint:
    """Build the detector of a run folder and load its weights, in eval mode, on the CPU.

    Raises:
        CheckpointError: there is no checkpoint, it is damaged, or its weights are of another architecture.
    """
    config, about, sha256 = read_about(run)
    detector = build_blank_detector(config)
    load_weights(detector, run)
    return Checkpoint(detector.eval(), config, about, sha256)


def load_weights(detector: Detector, run: Path) -> None:
    """Load the weights of a run folder into a detector; every key and shape must match.

    Raises:
        CheckpointError: missing, damaged, altered since it was written, or of another architecture.
    """
    _, _, sha256 = read_about(run)
    weights = read_weights(run / WEIGHTS)
    if _sha256(run / WEIGHTS) != sha256:
        raise CheckpointError(f"{run / WEIGHTS}: does not belong to {ABOUT} beside it; copy both files again")
    load_matching(detector, weights, str(run / WEIGHTS))


def read_about(run: Path) -> tuple[TrainConfig, About, str]:
    """Read ``checkpoint.json``: configuration, description, hash of the weights.

    Raises:
        CheckpointError: there is no checkpoint, or it was written by another version.
    """
    path = run / ABOUT
    if not path.is_file():
        raise CheckpointError(f"{run}: no {ABOUT} here; give the run folder that 'comoto train' wrote")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise CheckpointError(f"{path}: format {content.get('format')!r}, this version reads {FORMAT!r}")
        config = TrainConfig.model_validate(content["config"])
        about = About(content["role"], content["epoch"], content["metric"])
        return config, about, content["sha256"]
    except (json.JSONDecodeError, KeyError, ValidationError, ConfigError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged or written by another version: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
