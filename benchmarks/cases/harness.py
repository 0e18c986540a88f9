"""Time two ways of doing one thing, in turns, and say how they compare.

Both sides run in one process, on the same inputs and threads: first one, then the other, then the first
again. What else the machine does then meets both alike. CPU seconds count all threads of the process.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Options:
    """How a case runs.

    Attributes:
        quick: tiny sizes, to see in seconds that everything runs and is equal; its times say nothing.
        threads: of torch, in the network.
        minutes: after which a side of a case is not measured another time.
    """

    quick: bool = False
    threads: int = 1
    minutes: float = 20.0


@dataclass(frozen=True)
class Times:
    """Medians of one side.

    Attributes:
        cpu: seconds, of all threads.
        wall: seconds.
        rounds: how often it was measured.
    """

    cpu: float
    wall: float
    rounds: int


@dataclass
class Side:
    """One side: what it does, how often at most, and what came out.

    Attributes:
        most: rounds; a way that takes minutes is measured once.
        result: of the last round.
    """

    work: Callable[[], Any]
    most: int = 5
    result: Any = None
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def once(self) -> None:
        """Do the work, and note what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.result = self.work()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)

    @property
    def times(self) -> Times:
        """Medians of the rounds."""
        return Times(median(self.cpu), median(self.wall), len(self.cpu))


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        what: the size of the task, or the figure.
        target: what the project promised.
        met: whether it was kept; None where nothing was promised.
        equal: how the results of both sides compare.
        common: the common way, None if there is none.
        ours: this package.
        figure: what is neither of them, such as a share or a memory.
        same: False where results that should be equal are not.
    """

    what: str
    target: str
    met: bool | None
    equal: str = ""
    common: Times | None = None
    ours: Times | None = None
    figure: str = ""
    same: bool = True

    @property
    def ratio(self) -> float | None:
        """How many times fewer CPU seconds this package takes."""
        if self.common is None or self.ours is None:
            return None
        return self.common.cpu / max(self.ours.cpu, 1e-9)

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"ratio": self.ratio}


def judged(row: Row, met: bool) -> Row:
    """Return a row with its verdict; results that differ never meet a target."""
    return replace(row, met=met and row.same)


def in_turns(sides: Mapping[str, Side], minutes: float) -> None:
    """Measure the sides in turns, as often as they want; after ``minutes`` only what takes under a second.

    Each side is measured once at least.
    """
    started = time.monotonic()
    for number in range(max(side.most for side in sides.values())):
        for side in sides.values():
            in_time = not number or side.cpu[-1] < 1.0 or time.monotonic() - started < 60 * minutes
            if number < side.most and in_time:
                side.once()


def times_of(record: Mapping[str, Any] | None) -> Times | None:
    """Return the times that ``Row.record`` wrote."""
    return None if record is None else Times(**record)


def peak_mib() -> float:
    """Return the largest resident memory that this process ever had.

    On Linux from the process's own status: what ``getrusage`` says includes what its parent held when it was
    started.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
