"""The data sets' own tables, fetched from their publisher and checked before they are kept."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comoto.errors import DatasetError
from comoto.output_files import atomic_write
from comoto.progress import say

PUBLISHER = "https://www.cancerimagingarchive.net/wp-content/uploads/"
_SECONDS = 60
_MOST_BYTES = 64 << 20
_AGENT = "comoto (research software; downloads the tables of a data set once)"


@dataclass(frozen=True)
class WebTable:
    """One table at the publisher.

    Attributes:
        name: of the file, there and here.
        begins: with which bytes it begins, after a byte order mark: the first column, or the signature of a
            spreadsheet.
        lines: lines that it had on 22 November 2026, header included; 0 where they are not counted.
        pattern: names (a regular expression, in any case) that the same table has in other releases; one of
            those in the folder is taken as it is.
    """

    name: str
    begins: bytes
    lines: int = 0
    pattern: str = ""

    def find(self, folder: Path) -> Path | None:
        """Return the table in the folder, under its own or another release's name."""
        if (folder / self.name).is_file():
            return folder / self.name
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() and self.pattern else []
        found = [name for name in names if re.fullmatch(self.pattern, name, re.IGNORECASE)]
        return folder / found[0] if found else None


def fetch_tables(tables: Sequence[WebTable], folder: Path, base: str | None = None) -> list[str]:
    """Fetch the tables that are not in the folder yet.

    Args:
        tables: which.
        folder: where they are kept; a table appears there when it is complete and checked.
        base: address of the folder on the web, ``PUBLISHER`` if not given.

    Returns:
        A note per table that has another number of lines than it had: the release may have been revised.

    Raises:
        DatasetError: the publisher cannot be reached, or sends something else.
    """
    base = base or PUBLISHER
    notes = []
    missing = [table.name for table in tables if table.find(folder) is None]
    for table in tables:
        path = table.find(folder)
        if path is None:
            path = folder / table.name
            say(f"fetch {base}{table.name}")
            content = _checked(table, _get(base + table.name, _by_hand(missing, folder)), base)
            missing.remove(table.name)
            with atomic_write(path) as part:
                part.write_bytes(content)
        lines = path.read_bytes().count(b"\n") if table.lines and path.name == table.name else table.lines
        if table.lines and abs(lines - table.lines) > 1:  # the last line may have no end
            notes.append(f"{table.name} has {lines} lines, it had {table.lines}: a revised release?")
    return notes


def _get(url: str, by_hand: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            content: bytes = answer.read(_MOST_BYTES + 1)
            wanted = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        raise DatasetError(f"{url}: the server answers {error.code} {error.reason}; {by_hand}") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise DatasetError(f"{url}: cannot be reached ({reason}); are you offline? {by_hand}") from error
    if len(content) > _MOST_BYTES:
        raise DatasetError(f"{url}: larger than {_MOST_BYTES >> 20} MB, so not the table; {by_hand}")
    if wanted is not None and wanted.isdecimal() and len(content) != int(wanted):
        raise DatasetError(f"{url}: {len(content)} of {wanted} bytes arrived; run the command again")
    return content


def _checked(table: WebTable, content: bytes, base: str) -> bytes:
    text = content.removeprefix(b"\xef\xbb\xbf")
    if not text.startswith(table.begins):
        shown = text[:40].decode("utf-8", errors="replace").strip()
        raise DatasetError(
            f"{base}{table.name}: not the table, it begins with '{shown}'; download it in a browser from the "
            "collection's page and put it beside the images"
        )
    return content


def _by_hand(names: Sequence[str], folder: Path) -> str:
    """Say how to do without a network; every table that is missing is named, not one a call."""
    return (
        f"else download {', '.join(names)} from the collection's page on another machine and put "
        f"{'it' if len(names) == 1 else 'them'} into {folder}"
    )
