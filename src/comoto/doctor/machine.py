"""What the machine is: versions, processors, memory, GPU."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from comoto.sources.parallel import available_cores
from comoto.versions import versions


@dataclass(frozen=True)
class Machine:
    """The machine as this process may use it.

    Attributes:
        versions: one line a package, and Python's.
        cores: processors that this process may run on.
        load: processes that wanted to run in the last minute; well above ``cores`` means that others measure
            along.
        memory_gib, free_memory_gib: all of it, and what is free now.
        gpus: name and memory of each that torch sees.
    """

    versions: tuple[str, ...]
    cores: int
    load: float
    memory_gib: float
    free_memory_gib: float
    gpus: tuple[str, ...]


def look() -> Machine:
    """Return what this machine is."""
    memory = psutil.virtual_memory()
    return Machine(
        versions=tuple(versions().splitlines()),
        cores=available_cores(),
        load=round(psutil.getloadavg()[0], 1),
        memory_gib=round(memory.total / 2**30, 1),
        free_memory_gib=round(memory.available / 2**30, 1),
        gpus=tuple(_gpu(number) for number in range(torch.cuda.device_count())),
    )


def _gpu(number: int) -> str:
    properties = torch.cuda.get_device_properties(number)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
