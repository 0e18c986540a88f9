"""Frames of an image decoded on several cores, in order, with a bounded number in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from comoto.dicom.decode import Pixels
from comoto.dicom.source import Source

MOST_THREADS = 8
"""More would hold more frames at a time than a volume needs to keep a network busy."""


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    wanted = iter(range(image.num_frames) if indices is None else indices)
    threads = threads or min(available_cores(), MOST_THREADS)
    if threads == 1:
        yield from image.frames(wanted, reduce)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        waiting: deque[Future[Pixels]] = deque(
            pool.submit(image.frame, index, reduce) for index in islice(wanted, 2 * threads)
        )
        while waiting:
            frame = waiting.popleft().result()
            waiting.extend(pool.submit(image.frame, index, reduce) for index in islice(wanted, 1))
            yield frame
    finally:
        pool.shutdown(cancel_futures=True)
