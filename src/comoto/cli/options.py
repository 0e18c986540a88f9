"""What the commands share: the verbose switch, the log, and names to complete."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

from comoto.components import AGGREGATORS, DATASETS


@dataclass
class State:
    """Switches that stand before the command's name."""

    verbose: bool = False


state = State()


def show_log(level: int) -> None:
    """Write what the package logs from ``level`` on to standard error, with the name of the room."""
    logger = logging.getLogger("comoto")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger.handlers = [handler]
    logger.setLevel(level)


def complete_dataset() -> list[str]:
    """Return data sets for shell completion."""
    return list(DATASETS)


def complete_preset() -> list[str]:
    """Return presets for shell completion."""
    return ["demo", "small", "full", "paper"]


def complete_size() -> list[str]:
    """Return sizes of the simulation for shell completion."""
    return ["tiny", "demo", "small", "full"]


def complete_split() -> list[str]:
    """Return splits for shell completion."""
    return ["train", "validation", "test"]


def complete_aggregation() -> list[str]:
    """Return aggregation rules for shell completion."""
    return list(AGGREGATORS)


def complete_device() -> list[str]:
    """Return devices for shell completion."""
    return ["auto", "cpu", "cuda"]
