"""Rounds in which the student looks at volumes between epochs; each leaves a file in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comoto.checksums import read_json_object
from comoto.errors import CheckpointError


def latest_round(epoch: int, start: int, every: int) -> int | None:
    """Return the epoch of the latest round, None before the first.

    Args:
        epoch: finished epochs.
        start: epochs before the first round.
        every: epochs between rounds.

    Examples:
        >>> [latest_round(epoch, start=2, every=3) for epoch in range(7)]
        [None, None, 2, 2, 2, 5, 5]
    """
    return None if epoch < start else epoch - (epoch - start) % every


def read_round(path: Path, *formats: str, unsealed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read the file of a round.

    Args:
        path: of the file.
        formats: one of them is what the file says of itself.
        unsealed: those of them that have no checksum.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: missing, so the run cannot be resumed; train into a new folder")
    content = read_json_object(path, CheckpointError, "train into a new folder", unsealed=unsealed)
    if content.get("format") not in formats:
        raise CheckpointError(f"{path}: not the file of a round: format is not {formats[0]}")
    return content
