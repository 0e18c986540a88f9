"""Images read by another process, so that a file can at worst cost that process its life.

Decoders are C code that meets bytes from anywhere. Here they run in a worker with a cap on memory and a
deadline for every answer; a worker that crashes, hangs or answers nonsense is killed, the file gets an error,
and the next file gets a new worker. Nothing that the worker sends is executed: headers travel as JSON, pixels
as plain bytes of the announced size.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from comoto.dicom.decode import Pixels, reduced_shape
from comoto.dicom.source import Source
from comoto.errors import ConfigError, DicomError
from comoto.image_header import ImageHeader
from comoto.sources.open import SourceKind, open_source

_LONGEST_TEXT = 1 << 20
_PROGRAM = ("-m", "comoto.sources.isolated_worker")
_STARTING_SECONDS = 120.0
_DTYPES = {"uint8": np.uint8, "uint16": np.uint16}


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        seconds: for opening it and for each of its frames.
        memory_mib: of the worker, above what Python and the decoders take before they start.
    """

    seconds: float = 60.0
    memory_mib: int = 1536

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.memory_mib < 64:
            raise ConfigError(f"limits of a worker are positive, memory at least 64 MiB, not {self}")


def open_isolated(path: Path | str, limits: Limits | None = None) -> IsolatedSource:
    """Open an image as ``open_source`` does, but in a worker process.

    Workers are started when they are needed (about a second) and used again for the next file.

    Raises:
        ConfigError: the system has no limits for processes (Windows).
        DicomError: the file is refused, or broke its worker.
    """
    return IsolatedSource(Path(path), limits or Limits())


_chosen: ContextVar[Limits | None] = ContextVar("comoto_isolation", default=None)


@contextlib.contextmanager
def reading_within(limits: Limits | None) -> Iterator[None]:
    """Let ``open_image`` read in workers while the block runs, in this thread; None reads here."""
    token = _chosen.set(limits)
    try:
        yield
    finally:
        _chosen.reset(token)


def open_image(path: Path | str, kind: SourceKind | None = None) -> Source:
    """Open an image, in a worker or here, as ``reading_within`` says; here if nothing is said.

    A worker looks at the files itself, whatever ``kind`` says of them.

    Raises:
        DicomError: the file is refused; see ``open_source`` and ``open_isolated``.
    """
    limits = _chosen.get()
    return open_source(path, kind) if limits is None else open_isolated(path, limits)


class IsolatedSource(Source):
    """A ``Source`` whose file is open in another process. Threads may share it; they take turns.

    Attributes:
        path: the file or folder.
        header: what it says about itself, checked.
        reductions: see ``Source``.
    """

    reductions = 0

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._worker: _Worker | None = _take(limits)
        self._end = f"{path}: the image is closed"
        content, _ = self._ask({"do": "open", "path": str(path)}, (0, 0))
        try:
            self.header = _header(content["header"])
            self.reductions = int(content["reductions"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._broken(f"sent no header ({error!r})") from error

    def frame(self, index: int, reduce: int = 0) -> Pixels:
        """Return one frame, see ``Source``.

        Raises:
            DicomError: as without a worker; or the worker was lost to this frame or to an earlier one.
        """
        shape = reduced_shape(self.shape, reduce)
        with self._lock:
            _, pixels = self._ask({"do": "frame", "index": index, "reduce": reduce}, shape)
            if pixels is None:
                raise self._broken("sent no pixels")
        return pixels

    def close(self) -> None:
        """Give the worker back; the header stays readable."""
        with self._lock, contextlib.suppress(DicomError):
            if self._worker is not None:
                self._ask({"do": "close"}, (0, 0))
                _give_back(self._worker)
                self._worker = None

    def _ask(self, request: dict[str, Any], shape: tuple[int, int]) -> tuple[dict[str, Any], Pixels | None]:
        if self._worker is None:
            raise DicomError(self._end)
        try:
            content, pixels = self._worker.ask(request, shape)
        except _LostError as error:
            raise self._broken(str(error)) from error
        except BaseException:  # such as an interruption between two halves of an answer
            self._worker.kill()
            self._worker = None
            raise
        if "error" in content:
            if request["do"] == "open":
                _give_back(self._worker)
                self._worker = None
            if content.get("kind") == "other":
                raise DicomError(f"{content['error']}; the file is damaged; copy or download it again")
            raise DicomError(str(content["error"]))
        return content, pixels

    def _broken(self, how: str) -> DicomError:
        """Kill the worker and return what to say, now and to all who ask again."""
        if self._worker is not None:
            self._worker.kill()
        self._worker = None
        self._end = f"{self.path}: the process that read the file {how}; the file is damaged or hostile"
        return DicomError(self._end)


def _header(content: dict[str, Any]) -> ImageHeader:
    """Make the header again from plain values.

    Raises:
        KeyError, TypeError, ValueError: they are not those of a header.
    """
    values = {field.name: content[field.name] for field in fields(ImageHeader)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    header = ImageHeader(**values | {"path": Path(values["path"])})
    if min(header.rows, header.columns, header.num_frames) < 1:
        raise ValueError(f"{header.num_frames} frames of {header.rows} x {header.columns}")
    return header


def _widen(pipe: int) -> None:
    """Let a pipe hold a megabyte where the system allows it: fewer changes between the two processes."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


class _LostError(Exception):
    """The worker is of no more use; says what it did."""


class _Worker:
    """The process and the pipes to it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._process = subprocess.Popen(
            [sys.executable, "-P", *_PROGRAM, str(limits.seconds), str(limits.memory_mib << 20)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches this process, which then decides
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        _widen(self._answers.fileno())
        self._read_content(time.monotonic() + _STARTING_SECONDS)

    def ask(self, request: dict[str, Any], shape: tuple[int, int]) -> tuple[dict[str, Any], Pixels | None]:
        """Send a request and wait for the answer.

        Args:
            request: what ``isolated_worker.Worker.answer`` takes.
            shape: of the pixels, if there will be any.

        Raises:
            _LostError: there was no answer in time, or none of the agreed form.
        """
        deadline = time.monotonic() + self.limits.seconds
        text = json.dumps(request).encode()
        try:
            self._requests.write(len(text).to_bytes(4, "little") + text)
        except OSError:
            self._read_content(deadline)  # says how the worker ended
        content = self._read_content(deadline)
        for name, level, message in content.get("said", []):
            logging.getLogger(str(name)).log(int(level), "%s", message)
        if "shape" not in content:
            return content, None
        if tuple(content["shape"]) != shape or content.get("dtype") not in _DTYPES:
            raise _LostError("sent pixels of another form than its header")
        dtype = np.dtype(_DTYPES[content["dtype"]])
        data = self._read(shape[0] * shape[1] * dtype.itemsize, deadline)
        return content, np.frombuffer(data, dtype).reshape(shape)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()

    def _read_content(self, deadline: float) -> dict[str, Any]:
        length = int.from_bytes(self._read(4, deadline), "little")
        content = None
        if length <= _LONGEST_TEXT:
            with contextlib.suppress(ValueError):
                content = json.loads(self._read(length, deadline))
        if not isinstance(content, dict):
            raise _LostError("answered nonsense")
        return content

    def _read(self, size: int, deadline: float) -> bytearray:
        data = bytearray(size)
        free = memoryview(data)
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while free:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise _LostError(f"took longer than {self.limits.seconds:g} s and was stopped")
            count = os.readv(self._answers.fileno(), [free])
            if count == 0:
                raise _LostError(self._how_it_ended())
            free = free[count:]
        return data

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return f"took longer than {self.limits.seconds:g} s and was stopped"
        if code < 0:
            return f"crashed ({signal.Signals(-code).name})"
        return f"ended on its own (exit code {code})"


_idle: list[_Worker] = []
_idle_lock = threading.Lock()
_owner = os.getpid()


def _take(limits: Limits) -> _Worker:
    """Return an idle worker with these limits, or a new one."""
    if not hasattr(select, "poll"):
        raise ConfigError("reading in a process with limits needs Linux or macOS; leave out --isolate")
    global _owner
    with _idle_lock:
        if _owner != os.getpid():  # a fork must not talk to the workers of its parent
            _idle.clear()
            _owner = os.getpid()
        for worker in _idle:
            if worker.limits == limits:
                _idle.remove(worker)
                return worker
    try:
        return _Worker(limits)
    except _LostError as error:
        raise ConfigError(f"the process that would read files cannot be started: it {error}") from error


def _give_back(worker: _Worker) -> None:
    with _idle_lock:
        _idle.append(worker)


def _end_workers() -> None:
    if _owner == os.getpid():
        while _idle:
            _idle.pop().kill()


atexit.register(_end_workers)
