"""Memory freed in training is there for the next step, and goes back to the system at its end."""

import json
import os
import platform
import subprocess
import sys

import pytest

from comoto.training.memory import kept_memory

BLOCKS = """
import json, mmap, resource, sys
from contextlib import nullcontext
import torch
from comoto.training.memory import kept_memory

def work():
    blocks = [torch.ones(size << 18) for size in (3, 17, 40, 100)]  # MiB
    assert all(float(block[-1]) == 1 for block in blocks)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(open("/proc/self/statm").read().split()[1]) * mmap.PAGESIZE >> 20

with kept_memory() if sys.argv[1] == "kept" else nullcontext():
    work(), work()
    inside = min(faults() for _ in range(5)), held()  # the heap settles after a few rounds
print(json.dumps([*inside, held()]))
"""

glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")


def measured(how: str, **environment: str) -> tuple[int, int, int]:
    """Page faults of work that was done before, and MiB held inside and after."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS, how],
        capture_output=True,
        text=True,
        env=own | {"OMP_NUM_THREADS": "1"} | environment,
        check=True,
        timeout=300,
    )
    faults, inside, after = json.loads(done.stdout)
    return faults, inside, after


@glibc_only
@pytest.mark.slow
def test_work_done_before_finds_its_memory_again_and_leaves_it_at_the_end() -> None:
    plain, _, _ = measured("plain")
    kept, held, left = measured("kept")
    assert plain * os.sysconf("SC_PAGESIZE") > 80 << 20  # half of its 160 MiB, fetched anew
    assert kept < plain / 20
    assert left < held - 80


@glibc_only
@pytest.mark.parametrize(
    "setting",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}],
)
@pytest.mark.slow
def test_settings_of_the_user_stay(setting: dict[str, str]) -> None:
    faults, _, _ = measured("kept", **setting)
    assert faults * os.sysconf("SC_PAGESIZE") > 80 << 20


def test_an_error_inside_comes_through() -> None:
    with pytest.raises(KeyError), kept_memory():
        raise KeyError
