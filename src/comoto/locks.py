"""One command at a time in a folder, or on a file that can be continued."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from comoto.errors import OutputExistsError
from comoto.progress import say

_MOST_OF_NAME = 120
"""Bytes; encrypting file systems allow 143."""
_LOOK_EVERY = 0.2  # seconds, while waiting
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@contextmanager
def hold(lock: Path, busy: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock file while the block runs; the system lets go of it when the process ends, however it ends.

    On a file system without locks the work goes on without one, which is said.

    Args:
        lock: the lock file, made if missing, its folder too, and removed at the end.
        busy: what to tell the user if another process holds it, file and way out included.
        wait: wait until it is free instead.

    Raises:
        OutputExistsError: another process, or another part of this one, holds it.
    """
    held = FileLock(lock, blocking=wait, fallback_to_soft=False, poll_interval=_LOOK_EVERY)
    try:
        held.acquire()
    except Timeout as error:
        raise OutputExistsError(busy) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        say(f"{lock.parent}: this file system has no locks; take care that no other command writes here")
        with suppress(OSError):
            lock.unlink()
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # where an open file cannot be removed it stays, and harms nobody
            lock.unlink()
        held.release()


def lock_of(path: Path) -> Path:
    """Return the lock file of an output: hidden, beside it; a long name is cut and ends in its hash.

    The root of a file system has nothing beside it, and its lock file lies in it.
    """
    if path.name in ("", ".."):
        path = path.resolve()
    name = path.name
    if not name:
        return path / ".comoto.lock"
    if len(os.fsencode(name)) > _MOST_OF_NAME:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()
        name = f"{name[:20]}.{digest[:32]}"  # 20 letters may take 80 bytes
    return path.with_name(f".{name}.lock")
