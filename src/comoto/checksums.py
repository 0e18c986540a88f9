"""Checksums of what the package writes and reads again: damage is an error with a name, never data.

Three forms, all SHA-256: a *sealed* JSON object carries the checksum of its other keys; a sealed line carries
that of its text; sealed bytes stand behind a header with that of the rest. A file of another format is
vouched for by the record that names it (``file_sha256``).

Whether a checksum has to be there is told by the format that a file names, never by the checksum's presence:
otherwise a flipped bit in the key's name would take the check away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from comoto.errors import ComotoError
from comoto.output_files import write_text

CHECKSUM = "checksum"
_LINE_DIGITS = 16


class Damaged(ValueError):
    """Bytes are not those that were written; the caller names the file and the way out."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of plain values, whatever the order of the keys and the layout of a file."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_sealed_json(path: Path, content: Mapping[str, Any], indent: int | None = 1) -> None:
    """Write a JSON object, whole or not at all, with the checksum of its content as the last key."""
    write_text(path, sealed_json(content, indent))


def sealed_json(content: Mapping[str, Any], indent: int | None = 1) -> str:
    """Return the text that ``write_sealed_json`` writes."""
    sealed = {**content, CHECKSUM: content_sha256(content)}
    return json.dumps(sealed, indent=indent) + "\n"


def read_json_object(
    path: Path, error: type[ComotoError], way_out: str, unsealed: Collection[str | None] = ()
) -> dict[str, Any]:
    """Read what ``write_sealed_json`` wrote and check it.

    Args:
        path: the file.
        error: class of the error to raise.
        way_out: what the user can do if the file is damaged, such as ``"make it again with 'comoto index'"``.
        unsealed: values of the key ``format`` that former versions wrote without a checksum; None: they wrote
            no such key.

    Returns:
        The object without its checksum.

    Raises:
        ComotoError: of the class ``error``: the file is no JSON object in UTF-8, or was changed since it was
            written.
        OSError: the file cannot be read.
    """
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as cause:  # no UTF-8, no JSON, a number of thousands of digits
        raise error(f"{path}: is damaged (no JSON in UTF-8); {way_out}") from cause
    if not isinstance(content, dict):
        raise error(f"{path}: is damaged (no JSON object); {way_out}")
    stated = content.pop(CHECKSUM, None)
    written = content.get("format")
    if stated is None and (written is None or isinstance(written, str)) and written in unsealed:
        return content
    if stated != content_sha256(content):
        raise error(f"{path}: is damaged, or was changed since it was written (checksum); {way_out}")
    return content


def seal_line(text: str) -> str:
    """Return one line, without its end, that carries its own checksum.

    Args:
        text: without line breaks.
    """
    return f"{_line_digits(text)} {text}"


def unseal_line(line: str) -> str:
    """Return the text of a line that ``seal_line`` made.

    Raises:
        Damaged: the checksum is missing or another.
    """
    digits, blank, text = line.partition(" ")
    if not blank or digits != _line_digits(text):
        raise Damaged("checksum")
    return text


class _Payload:
    """What the payload of ``sealed_file`` is written to; it keeps the checksum alone in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append bytes to the file."""
        self._digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._file.flush()

    def sha256(self) -> str:
        """Return the checksum of what has been written."""
        return self._digest.hexdigest()


@contextmanager
def sealed_file(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Write a payload behind a header line ``<name> <checksum>``, which is written at the end of the block.

    Args:
        path: the file; replaced.
        name: of the format, such as ``comoto-state-2``; ASCII without blanks.

    Raises:
        OSError: the file cannot be written, such as on a full disk, whatever the block made of that.
    """
    with path.open("wb") as file:
        payload = _Payload(file)
        file.write(_header(name, payload.sha256()))  # of nothing yet: every header has the same length
        try:
            yield cast("IO[bytes]", payload)  # of which torch.save needs no more
        except RuntimeError as error:  # torch hides a full disk behind an error of its own
            if payload.failure is None:
                raise
            raise payload.failure from error
        file.seek(0)
        file.write(_header(name, payload.sha256()))


def _header(name: str, sha256: str) -> bytes:
    return f"{name} {sha256}\n".encode("ascii")


def unseal_bytes(name: str, content: bytes) -> memoryview:
    """Return the payload of a file that ``sealed_file`` wrote, without copying it.

    Raises:
        Damaged: the header or the checksum is another.
    """
    length = len(_header(name, "0" * 64))
    payload = memoryview(content)[length:]
    if content[:length] != _header(name, hashlib.sha256(payload).hexdigest()):
        raise Damaged("checksum")
    return payload


def _line_digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_LINE_DIGITS]
