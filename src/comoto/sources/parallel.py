"""Frames of an image decoded on several cores, in order, with a bounded number in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from comoto.dicom.decode import Pixels
from comoto.dicom.source import Source
from comoto.prefetch import prefetch

MOST_THREADS = 8
"""More would hold more frames at a time than a volume needs to keep a network busy."""


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_threads() -> int:
    """Return how many frames are decoded at a time: one a core, up to ``MOST_THREADS``."""
    return min(available_cores(), MOST_THREADS)


def frames_in_parallel(
    image: Source, indices: Iterable[int] | None = None, reduce: int = 0, threads: int | None = None
) -> Iterator[Pixels]:
    """Return what ``image.frames`` does, with up to ``threads`` frames decoded at a time.

    Decoders let other threads run while they work, so this takes little more than the bare decoding does on
    as many cores. At most twice ``threads`` frames wait to be taken.

    Args:
        image: open; it must stay open until the last frame is taken.
        indices: 0-based; all if not given.
        reduce: see ``Source.frame``.
        threads: the available cores, at most 8, if not given.

    Raises:
        DicomError: where the frame would have come.
    """
    wanted = range(image.num_frames) if indices is None else indices
    threads = threads or decoding_threads()
    if threads == 1:
        return image.frames(wanted, reduce)
    return prefetch(lambda index: image.frame(index, reduce), wanted, threads)
