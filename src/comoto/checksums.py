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
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

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
    sealed = {**content, CHECKSUM: content_sha256(content)}
    write_text(path, json.dumps(sealed, indent=indent) + "\n")


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


def seal_bytes(name: str, payload: bytes) -> bytes:
    """Return a payload behind a header line ``<name> <checksum>``.

    Args:
        name: of the format, such as ``comoto-state-2``; ASCII without blanks.
        payload: what is vouched for.
    """
    return f"{name} {hashlib.sha256(payload).hexdigest()}\n".encode("ascii") + payload


def unseal_bytes(name: str, content: bytes) -> bytes:
    """Return the payload of what ``seal_bytes`` made.

    Raises:
        Damaged: the header or the checksum is another.
    """
    header, newline, payload = content.partition(b"\n")
    if not newline or header != f"{name} {hashlib.sha256(payload).hexdigest()}".encode("ascii"):
        raise Damaged("checksum")
    return payload


def _line_digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_LINE_DIGITS]
