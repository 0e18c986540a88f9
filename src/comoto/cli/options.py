"""What the commands share: the verbose switch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class State:
    """Switches given before the command's name."""

    verbose: bool = False


state = State()
