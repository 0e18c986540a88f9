"""What decides the last digits of a run besides its settings: CPU threads, device, precision and torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from comoto.config import TrainConfig
from comoto.detectors.device import resolve_precision
from comoto.errors import ConfigError
from comoto.progress import say


@dataclass(frozen=True)
class Environment:
    """Where a run computes.

    Attributes:
        threads: of torch on the CPU; sums are split among them, so another number rounds otherwise.
        device: ``cpu`` or ``cuda``.
        precision: as resolved, never ``auto``.
        torch: its version.
    """

    threads: int
    device: str
    precision: str
    torch: str

    def record(self) -> dict[str, Any]:
        """Return plain values for the state of a run."""
        return asdict(self)


def environment(config: TrainConfig, device: torch.device) -> Environment:
    """Return where the run computes now."""
    precision = resolve_precision(config.precision, device)
    return Environment(torch.get_num_threads(), device.type, precision, str(torch.__version__))


def continued(before: Mapping[str, Any] | None, config: TrainConfig, device: torch.device) -> Environment:
    """Make a resumed run compute as it began, as far as the settings leave it open, and tell what differs.

    Args:
        before: what the state recorded; None in a state of a former version.
        config: of the run; what is named in it is done.
        device: that was chosen.

    Raises:
        ConfigError: the run began on another device, or in another precision, and the settings name neither.
    """
    if before is None:
        return environment(config, device)
    _check_threads(int(before["threads"]), config, device)
    now = environment(config, device)
    for key, wish in (("device", config.device), ("precision", config.precision)):
        was, here = str(before[key]), getattr(now, key)
        if was == here:
            continue
        if wish == "auto":
            raise ConfigError(
                f"the run was started with {key}={was}, and here {key}=auto is {here}, which gives other "
                f"numbers; add --set {key}={was} to go on as it began, or --set {key}={here} if both may mix"
            )
        say(f"note: the run was started with {key}={was} and goes on with {here}; numbers differ")
    if before["torch"] != now.torch:
        say(
            f"note: the run was started with torch {before['torch']}; last digits may differ with {now.torch}"
        )
    return now


def _check_threads(was: int, config: TrainConfig, device: torch.device) -> None:
    """Take the number of threads that the run began with, unless the settings name another."""
    if was == torch.get_num_threads() or device.type != "cpu":
        return
    if config.threads:
        say(
            f"note: the run was started with {was} CPU threads and goes on with {config.threads}; "
            "weights differ from those of a run without the change"
        )
        return
    torch.set_num_threads(was)
    say(f"note: goes on with {was} CPU threads, as it was started; --set threads=N takes another number")
