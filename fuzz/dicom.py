"""Feed the DICOM reader damaged files and count what becomes of them.

Each file is a small healthy one (every transfer syntax, 8 to 16 bits, signed or not, one or several frames
and fragments) with one to four kinds of damage, decided by ``--seed`` and the file's number alone. It must be
read in full or be refused with one ``DicomError`` that names it. Everything else is a finding: another
exception, a crash, a frame of another form than announced, more than ``--seconds`` a file, more memory than
``--memory``. Findings are kept in ``--keep``, and the exit code is 1.

Run: python fuzz/dicom.py --count 20000
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "tests")]

from mutations import mutated

from comoto.errors import DicomError
from comoto.sources import open_source
from dicom_files import UID, texture, write_dicom

CODECS = sorted(set(UID) - {"deflated"})
GOOD = ("read", "refused")


def seeds(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (transfer syntax, file): the healthy files that damage is done to."""
    kinds = {
        "volume": (texture(rows=33, columns=40), {"bits_stored": 10}),
        "pieces": (texture(frames=2), {"bits_stored": 10, "pieces": 3, "table": "empty"}),
        "mammogram": (texture(frames=1, rows=40, columns=36, bits=16)[0], {"bits_stored": 16}),
        "signed": (
            texture(frames=2, bits=12).astype(np.int16) - 2048,
            {"bits_stored": 12, "tags": {"PixelRepresentation": 1}},
        ),
        "bytes": (
            texture(frames=2, rows=30, bits=8),
            {"bits_stored": 8, "tags": {"PhotometricInterpretation": "MONOCHROME1"}},
        ),
    }
    for codec in CODECS:
        for name, (frames, options) in kinds.items():
            if codec == "jpeg" and frames.dtype != np.uint8:
                continue
            if codec == "rle":  # one fragment a frame (PS3.5 section A.4.2)
                options = {**options, "pieces": 1}
            yield codec, write_dicom(folder / f"{codec}-{name}.dcm", frames, codec, **options).read_bytes()


def damaged(files: list[tuple[str, bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """Return the transfer syntax and the content of a damaged file."""
    generator = np.random.default_rng([seed, number])
    codec, data = files[int(generator.integers(len(files)))]
    return codec, mutated(data, generator)


def outcome(path: Path) -> str:
    """Read a file as the package does and say what became of it."""
    try:
        with open_source(path) as image:
            frames = [(frame.shape, frame.dtype.name) for frame in image.frames()]
            announced = (image.shape, f"uint{image.header.bits_allocated}")
            if frames != [announced] * image.num_frames:
                return f"frames {frames} are not {image.num_frames} of {announced}"
            if image.reductions:
                image.frame(0, reduce=1)
    except DicomError as error:
        if not str(error).startswith(str(path)):
            return f"the error does not name the file: {error}"
        out_of_memory = isinstance(error.__cause__, MemoryError)
        return f"refused only at the memory cap: {error}" if out_of_memory else "refused"
    except Exception as error:  # noqa: BLE001 -- this is what is looked for
        return f"{type(error).__name__}: {error}"
    return "read"


def work(arguments: argparse.Namespace) -> None:
    """Read every n-th file, and print its number, transfer syntax and outcome, a line each."""
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    folder = Path(arguments.folder)
    files = list(seeds(folder))
    path = folder / "x.dcm"
    for _, data in files:  # tables and buffers of the decoders
        path.write_bytes(data)
        outcome(path)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limit = int(status["VmSize"].split()[0]) * 1024 + (arguments.memory << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(arguments.first, arguments.count, arguments.step):
        codec, data = damaged(files, arguments.seed, number)
        path.write_bytes(data)
        found = outcome(path)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(json.dumps([number, codec, found, grown]), file=answers, flush=True)


@dataclass
class Share:
    """Every n-th file, the process that reads them, and where it is."""

    folder: Path
    step: int
    next: int
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    rest: bytes = b""


@dataclass
class Tally:
    """Outcomes so far."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0
    memory: float = 0.0

    def add(self, number: int, codec: str, found: str) -> None:
        """Count a file."""
        self.counts[codec, found if found in GOOD else "finding"] += 1
        if found not in GOOD:
            self.findings.append((number, found))
            print(f"file {number} ({codec}): {found[:300]}", flush=True)


def start(share: Share, arguments: argparse.Namespace) -> None:
    """Start the process of a share at its next file."""
    options = {
        **{"count": arguments.count, "seed": arguments.seed, "memory": arguments.memory},
        **{"step": arguments.workers, "first": share.next, "folder": share.folder},
    }
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in options.items())]
    share.process = subprocess.Popen(command, stdout=subprocess.PIPE)
    share.since, share.rest = time.monotonic() + 60, b""


def listen(share: Share, tally: Tally) -> bool:
    """Take in what a process has said; return whether it has ended."""
    data = os.read(share.process.stdout.fileno(), 65536)
    *lines, share.rest = (share.rest + data).split(b"\n")
    for line in lines:
        number, codec, found, grown = json.loads(line)
        tally.add(number, codec, found)
        tally.slowest = max(tally.slowest, time.monotonic() - share.since)
        tally.memory = max(tally.memory, grown)
        share.since, share.next = time.monotonic(), number + share.step
    return not data


def run(arguments: argparse.Namespace, folder: Path) -> Tally:
    """Read all files in parallel; a process that dies or hangs is replaced, and its file is a finding."""
    tally, files = Tally(), list(seeds(folder))
    shares = []
    for first in range(arguments.workers):
        (folder / str(first)).mkdir()
        shares.append(Share(folder / str(first), arguments.workers, first))
        start(shares[-1], arguments)
    going = list(shares)
    ends = time.monotonic() + 60 * arguments.minutes
    try:
        while going and time.monotonic() < ends:
            going = [share for share in going if go_on(share, tally, files, arguments)]
    finally:
        for share in shares:
            share.process.kill()
            share.process.wait()
    return tally


def go_on(share: Share, tally: Tally, files: list[tuple[str, bytes]], arguments: argparse.Namespace) -> bool:
    """Take in what a process says within a moment; return whether it has more to do."""
    if select.select([share.process.stdout], [], [], 0.1)[0] and listen(share, tally):
        code = share.process.wait()
        if share.next >= arguments.count:
            return False
        lost(share, tally, files, arguments, f"the process ended with code {code}")
    elif time.monotonic() - share.since > arguments.seconds:
        share.process.kill()
        share.process.wait()
        lost(share, tally, files, arguments, f"took longer than {arguments.seconds} s")
    return True


def lost(
    share: Share, tally: Tally, files: list[tuple[str, bytes]], arguments: argparse.Namespace, found: str
) -> None:
    """Count the file that a process was lost to, and go on behind it."""
    codec, _ = damaged(files, arguments.seed, share.next)
    tally.add(share.next, codec, found)
    share.next += arguments.workers
    start(share, arguments)


def report(tally: Tally, arguments: argparse.Namespace, seconds: float) -> None:
    """Print the counts as a table."""
    columns = (*GOOD, "finding")
    print(f"\n| transfer syntax | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for codec in CODECS:
        print(f"| {codec} | " + " | ".join(str(tally.counts[codec, column]) for column in columns) + " |")
    sums = [sum(tally.counts[codec, column] for codec in CODECS) for column in columns]
    print(f"| all {sum(sums)} | " + " | ".join(map(str, sums)) + " |")
    print(
        f"\nseed {arguments.seed}, {seconds:.0f} s; slowest file {tally.slowest:.2f} s (limit "
        f"{arguments.seconds:g} s); memory grew by at most {tally.memory:.0f} MiB "
        f"(cap {arguments.memory} MiB)"
    )


def main() -> int:
    """Parse, run, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="for one file")
    parser.add_argument("--memory", type=int, default=512, help="MiB above what the healthy files took")
    parser.add_argument("--minutes", type=float, default=60.0, help="for all of it")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--step", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        work(arguments)
        return 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = run(arguments, Path(folder))
        files = list(seeds(Path(folder)))
    for number, found in tally.findings:
        arguments.keep.mkdir(exist_ok=True)
        codec, data = damaged(files, arguments.seed, number)
        (arguments.keep / f"{arguments.seed}-{number}-{codec}.dcm").write_bytes(data)
        (arguments.keep / f"{arguments.seed}-{number}-{codec}.txt").write_text(f"{found}\n")
    report(tally, arguments, time.monotonic() - started)
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
