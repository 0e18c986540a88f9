"""What is said of files that are read although something is odd: once a kind, for thousands may share it."""

from __future__ import annotations

import logging

logger = logging.getLogger("comoto.dicom")

_told: set[str] = set()


def warn_once(kind: str, message: str) -> None:
    """Warn of what a user should look at; of further files the log has it as information (``comoto -v``).

    Args:
        kind: what is odd; each process warns of it once.
        message: names the file.
    """
    if kind in _told:
        logger.info(message)
        return
    _told.add(kind)
    logger.warning("%s (said once; 'comoto -v ...' names every file)", message)


def note_once(kind: str, message: str) -> None:
    """Log a harmless habit of a vendor, of one file only."""
    if kind not in _told:
        _told.add(kind)
        logger.info("%s (not repeated for other files)", message)


def forget() -> None:
    """Say everything once more."""
    _told.clear()
