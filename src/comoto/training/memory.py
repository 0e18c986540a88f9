"""Memory that stays with the process from one step to the next."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of glibc's settings, from its ``malloc.h``."""
_NEVER, _NONE = -1, 0
_LARGEST_TRIM_THRESHOLD, _DEFAULT_MMAP_MAX = 64 << 20, 65536
"""What glibc has by itself once it has met large blocks: mallopt(3), under M_MMAP_THRESHOLD."""
_OF_USER = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep what is freed for what comes next, as torch does on a GPU; at the end it goes back to the system.

    A step frees hundreds of large blocks and asks for the same ones again in the next. By itself glibc hands
    each of them back to the system, which has to find and zero its pages anew: up to a quarter of a step
    (docs/performance.md). The process holds its peak between the steps instead.

    Nothing happens where the C library is not glibc, or where the environment sets its memory up already
    (``MALLOC_TRIM_THRESHOLD_`` and the like, ``GLIBC_TUNABLES``).
    """
    glibc = None if _set_up_by_user() else _glibc()
    if glibc is None:
        yield
        return
    glibc.mallopt(_TRIM_THRESHOLD, _NEVER)
    glibc.mallopt(_MMAP_MAX, _NONE)
    try:
        yield
    finally:
        glibc.mallopt(_MMAP_MAX, _DEFAULT_MMAP_MAX)
        glibc.mallopt(_TRIM_THRESHOLD, _LARGEST_TRIM_THRESHOLD)
        glibc.malloc_trim(0)


def _set_up_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc." in tunables or any(name in os.environ for name in _OF_USER)


def _glibc() -> ctypes.CDLL | None:
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}):
        return None
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):  # musl knows the word and has no answer
        return None
    return ctypes.CDLL(None) if name and name.startswith("glibc") else None
