"""The other end of ``comoto.sources.isolated``: opens what it is told to, under limits, and sends pixels.

A message is a length (4 bytes, little endian), so many bytes of JSON, and after it the pixels where the JSON
names a shape. Neither side unpickles anything: what a broken decoder writes here can at worst be refused.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from comoto.dicom.decode import Pixels
from comoto.dicom.source import Source
from comoto.dicom.tags import without_values
from comoto.errors import ComotoError
from comoto.image_header import ImageHeader
from comoto.sources.open import open_source, source_files

_HEADER_FIELDS = [field.name for field in fields(ImageHeader)]


def main() -> None:
    """Serve requests from standard input until it is closed."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # what a decoder prints must not come between the answers
        os.dup2(nowhere, descriptor)
    worker = Worker(float(sys.argv[1]), int(sys.argv[2]))
    send(answers, {"ready": True})
    while (request := receive(requests)) is not None:
        answer, pixels = worker.answer(request)
        send(answers, answer, pixels)


class Worker:
    """What the process holds: one open image at a time.

    Args:
        seconds: processor time for one request.
        memory: bytes above what the interpreter has taken so far.
    """

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._memory = memory
        self._image: Source | None = None
        self._said = _Collected()
        logging.getLogger("comoto").addHandler(self._said)
        logging.getLogger("comoto").propagate = False
        logging.getLogger("comoto").setLevel(logging.INFO)
        _cap(resource.RLIMIT_CORE, 0)
        _cap(resource.RLIMIT_DATA, _in_use("VmData") + memory)

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], Pixels | None]:
        """Do what is asked; whatever goes wrong becomes the answer."""
        _cap(resource.RLIMIT_CPU, math.ceil(time.process_time() + self._seconds) + 1)
        pixels, content = None, {}
        try:
            if request["do"] == "open":
                content = self._open(Path(request["path"]))
            elif request["do"] == "frame":
                pixels = self._opened().frame(request["index"], request["reduce"])
                content = {"shape": pixels.shape, "dtype": str(pixels.dtype)}
            else:
                self._close()
        except ComotoError as error:
            content = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 -- this process is here to survive what nobody thought of
            content = {"error": f"{request.get('path', '')}: {without_values(error)}", "kind": "other"}
        return content | {"said": self._said.take()}, pixels

    def _open(self, path: Path) -> dict[str, Any]:
        self._close()
        mapped = sum(file.stat().st_size for file in source_files(path))  # a raw volume is mapped whole
        _cap(resource.RLIMIT_AS, _in_use("VmSize") + self._memory + mapped)
        self._image = open_source(path)
        header = {name: getattr(self._image.header, name) for name in _HEADER_FIELDS}
        return {"header": header | {"path": str(self._image.header.path)}, "reductions": self._reductions()}

    def _reductions(self) -> int:
        """A damaged first frame is an error of the frame, not of opening the file."""
        try:
            return self._opened().reductions
        except ComotoError:
            return 0

    def _opened(self) -> Source:
        if self._image is None:
            raise RuntimeError("no image is open")
        return self._image

    def _close(self) -> None:
        if self._image is not None:
            self._image.close()
        self._image = None


class _Collected(logging.Handler):
    """Log messages, kept until they can be sent."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append((record.name, record.levelno, record.getMessage()))

    def take(self) -> list[tuple[str, int, str]]:
        taken, self._records = self._records, []
        return taken


def send(stream: BinaryIO, content: dict[str, Any], pixels: Pixels | None = None) -> None:
    """Write one message."""
    text = json.dumps(content).encode()
    stream.write(len(text).to_bytes(4, "little") + text)
    if pixels is not None:
        stream.write(np.ascontiguousarray(pixels).data.cast("B"))
    stream.flush()


def receive(stream: BinaryIO) -> dict[str, Any] | None:
    """Read one request; None if there are no more."""
    length = stream.read(4)
    if len(length) < 4:
        return None
    request: dict[str, Any] = json.loads(stream.read(int.from_bytes(length, "little")))
    return request


def _cap(what: int, value: int) -> None:
    """Set the soft limit, as far as the hard one allows."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _in_use(what: str) -> int:
    """Return a line of ``/proc/self/status`` in bytes; elsewhere a bound on what imports take."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 4 << 30
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines[what].split()[0]) * 1024


if __name__ == "__main__":
    main()
