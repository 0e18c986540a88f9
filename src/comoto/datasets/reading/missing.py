"""Images that a table names and the disk does not hold: refused, unless the user allowed it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comoto.errors import DatasetError
from comoto.wording import first_few


def refuse_missing(
    where: Path,
    what: str,
    missing: Sequence[str],
    total: int,
    allowed: bool,
    *,
    way_out: str = "download them",
) -> None:
    """Refuse a data set of which images are not on disk.

    Args:
        where: folder or table that the message begins with.
        what: things that are missing, such as ``images of INbreast.csv``.
        missing: names of those that are.
        total: how many there should be.
        allowed: the user knows; then only a data set without any image is refused.
        way_out: what else the user can do.

    Raises:
        DatasetError: something is missing and that was not allowed, or all is.
    """
    if not missing or (allowed and len(missing) < total):
        return
    raise DatasetError(
        f"{where}: {len(missing)} of {total} {what} are not on disk, such as {first_few(missing)}; {way_out}"
        ", or index only those that are there with --allow-missing (Python: allow_missing=True)"
    )
