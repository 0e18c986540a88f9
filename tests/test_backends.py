"""Worker processes: they end with the process that started them, and say what they lack."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comoto.backends import joblib_backend
from comoto.errors import ConfigError

PROGRAM = """
import os, sys, time
from pathlib import Path
from joblib import Parallel, delayed
from comoto.backends import joblib_backend

def work(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(300)

with joblib_backend("loky", 2, None):
    run = Parallel(n_jobs=2)
run(delayed(work)(sys.argv[1]) for _ in range(2))
"""


def is_running(pid):
    """Say whether a process runs; one that nobody has waited for yet does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_soon_after_their_parent_was_killed(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert len(workers) == 2
    assert all(map(is_running, workers))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30  # half a second on a machine that is not busy
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def test_no_shared_memory_is_one_clear_error(monkeypatch):
    class Full:
        def Lock(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(multiprocessing, "get_context", lambda name: Full())
    message = r"no shared memory is left \(No space left on device\); enlarge /dev/shm"
    with pytest.raises(ConfigError, match=message), joblib_backend("loky", 2, None):
        pass
    with joblib_backend("loky", 1, None):  # needs none
        pass
