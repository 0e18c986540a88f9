"""Files and folders that may not be opened, also for root, who may open all."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_NOBODY = 65534


@contextlib.contextmanager
def without_rights(*paths: Path) -> Iterator[None]:
    """Take all rights of some paths; a process of root becomes nobody meanwhile."""
    is_root = os.geteuid() == 0
    with contextlib.ExitStack() as undo:
        for path in paths:
            undo.callback(path.chmod, stat.S_IMODE(path.stat().st_mode))
            path.chmod(0)
            for above in path.parents if is_root else ():
                mode = stat.S_IMODE(above.stat().st_mode)
                if mode & 0o5 != 0o5 and above not in paths:
                    undo.callback(above.chmod, mode)
                    above.chmod(mode | 0o55)
        if is_root:
            undo.callback(os.seteuid, 0)
            os.seteuid(_NOBODY)
        yield
