"""Where a network starts from: fresh weights, or those of an earlier run, whose architecture must fit."""

from __future__ import annotations

from pathlib import Path

from comoto.config import TrainConfig, flat_settings
from comoto.detectors.about import read_about
from comoto.detectors.base import Detector
from comoto.detectors.checkpoint import build_blank_detector, build_detector, load_weights
from comoto.detectors.weights import OtherArchitecture
from comoto.errors import CheckpointError
from comoto.progress import say
from comoto.training.earlier_runs import starts_from_teacher

_MOST_NAMED = 4


def first_detector(config: TrainConfig) -> Detector:
    """Build the detector of a run with its first weights; those of a teacher are loaded later.

    Raises:
        CheckpointError: the run of ``init_from`` is none, or its weights are of another architecture.
    """
    if config.init_from is None:
        # the teacher's weights replace the first ones, so none are fetched for them
        return build_blank_detector(config) if starts_from_teacher(config) else build_detector(config)
    detector = build_blank_detector(config)
    load_run(detector, config.init_from, config)
    theirs, about, _ = read_about(config.init_from)
    say(f"the first weights are those of the {about.role} {config.init_from}, after epoch {about.epoch}")
    if theirs.preprocess != config.preprocess:
        differing = _differing(theirs.preprocess.model_dump(), config.preprocess.model_dump(), "preprocess.")
        say(f"warning: they were trained on images prepared otherwise: {', '.join(differing)}")
    return detector


def load_run(detector: Detector, run: Path, config: TrainConfig) -> None:
    """Load the weights of a run into a detector of this configuration.

    Raises:
        CheckpointError: they are missing, damaged, or of another architecture, which is named.
    """
    try:
        load_weights(detector, run)
    except OtherArchitecture as error:
        theirs, _, _ = read_about(run)
        differing = _differing(
            theirs.detector.model_dump(mode="json"), config.detector.model_dump(mode="json"), "detector."
        )
        settings = f" ({', '.join(differing)})" if differing else ""
        raise CheckpointError(
            f"{run}: weights of another architecture: a {_name(theirs)}, and this run is set to a "
            f"{_name(config)}{settings}; use the detector settings of {run / 'config.yaml'}"
        ) from error


def _name(config: TrainConfig) -> str:
    backbone = getattr(config.detector, "backbone", None)
    return config.detector.kind if backbone is None else f"{config.detector.kind} on {backbone.name}"


def _differing(theirs: dict[str, object], ours: dict[str, object], prefix: str) -> list[str]:
    """Return the settings that differ, theirs first; where weights come from does not matter."""
    old, new = flat_settings(theirs), flat_settings(ours)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key) and key != "backbone.weights"]
    named = [f"{prefix}{key} {old.get(key)!r} instead of {new.get(key)!r}" for key in keys[:_MOST_NAMED]]
    return [*named, "..."] if len(keys) > _MOST_NAMED else named
