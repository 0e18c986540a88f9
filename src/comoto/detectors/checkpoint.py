"""Run folders: ``model.safetensors`` with the weights and ``checkpoint.json`` with everything else.

Nothing is unpickled, and outside code that ``checkpoint.json`` names is imported only if it was allowed
(``comoto.components``): a checkpoint from a stranger can be opened. ``checkpoint.json`` holds the checksum of
the weights and its own.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from comoto import components
from comoto.checksums import file_sha256, write_sealed_json
from comoto.config import FocusConfig, TrainConfig
from comoto.detectors.about import ABOUT, FORMAT, WEIGHTS, About, read_about
from comoto.detectors.base import Detector
from comoto.detectors.focus_head import FocusHead
from comoto.detectors.weights import load_matching, read_weights
from comoto.errors import CheckpointError
from comoto.output_files import atomic_write


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
    with atomic_write(run / ABOUT) as about_part, atomic_write(run / WEIGHTS) as weights_part:
        about_part.touch()
        try:
            save_file(weights, weights_part)
        except SafetensorError as error:
            raise CheckpointError(f"{run / WEIGHTS}: cannot be written: {error}") from error
        shutil.copymode(about_part, weights_part)  # safetensors leaves a file that only its owner can read
        _write_about(about_part, config, about, file_sha256(weights_part))


def save_focus(run: Path, head: FocusHead | None, settings: FocusConfig) -> None:
    """Give the checkpoint of a run folder a focus head, or take it away; the weights are not touched.

    Args:
        run: what holds the checkpoint on whose features the head was fitted.
        head: the new one; None is none.
        settings: it was fitted by.

    Raises:
        CheckpointError: as ``read_about``.
    """
    config, about, sha256 = read_about(run)
    with atomic_write(run / ABOUT) as part:
        _write_about(part, config.model_copy(update={"focus": settings}), replace(about, focus=head), sha256)


def _write_about(path: Path, config: TrainConfig, about: About, sha256: str) -> None:
    content = {
        "format": FORMAT,
        **about.to_json(),
        "sha256": sha256,
        "config": config.model_dump(mode="json"),
    }
    write_sealed_json(path, content, indent=2)


def load_checkpoint(run: Path) -> Checkpoint:
    """Build the detector of a run folder and load its weights, in eval mode, on the CPU.

    Raises:
        CheckpointError: there is no checkpoint, it is damaged, or its weights are of another architecture.
    """
    config, about, sha256 = read_about(run)
    detector = build_blank_detector(config)
    load_weights(detector, run)
    _check_focus(detector, about, run)
    return Checkpoint(detector.eval(), config, about, sha256)


def _check_focus(detector: Detector, about: About, run: Path) -> None:
    """Refuse a focus head that reads a map which the detector has not."""
    head = about.focus
    if head is None:
        return
    spec = detector.level_specs.get(head.level)
    if spec is None or len(head.weights) != 2 * spec.channels:
        raise CheckpointError(
            f"{run / ABOUT}: its focus head has {len(head.weights)} weights for level {head.level}, which do "
            "not fit the detector; it is damaged or was written by another version"
        )


def load_weights(detector: Detector, run: Path) -> None:
    """Load the weights of a run folder into a detector; every key and shape must match.

    Raises:
        CheckpointError: missing, damaged, altered since it was written, or of another architecture.
    """
    _, _, sha256 = read_about(run)
    weights = read_weights(run / WEIGHTS)
    if file_sha256(run / WEIGHTS) != sha256:
        raise CheckpointError(
            f"{run / WEIGHTS}: is damaged, or does not belong to {ABOUT} beside it; copy both files again"
        )
    load_matching(detector, weights, str(run / WEIGHTS))
