"""Where joblib runs the work: in processes that end with this one, or on a Ray or Dask cluster.

All machines of a cluster must see the files under the same paths.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from joblib import parallel_config

from comoto.errors import ConfigError

Backend = Literal["loky", "threading", "ray", "dask"]

_SEMAPHORES = 32
_LOOK = 0.5
"""Seconds."""


@contextmanager
def joblib_backend(name: Backend, workers: int, address: str | None) -> Iterator[None]:
    """Make joblib use a backend inside the block.

    Args:
        name: of the backend; ``ray`` and ``dask`` must be installed.
        workers: tasks at a time.
        address: of a cluster that is running; None starts one on this machine, reachable from it only.

    Raises:
        ConfigError: Ray or Dask is not installed, or an address was given to a backend without one.
    """
    if name == "ray":
        with _ray(workers, address), parallel_config(backend="ray", n_jobs=workers):
            yield
    elif name == "dask":
        with _dask(workers, address), parallel_config(backend="dask", n_jobs=workers):
            yield
    else:
        if address is not None:
            raise ConfigError(f"--address belongs to the backends ray and dask, not to {name}")
        if name == "loky" and workers > 1:
            _check_shared_memory()
        watch = {"initializer": end_with, "initargs": (os.getpid(),)} if name == "loky" else {}
        with parallel_config(backend=name, n_jobs=workers, **watch):
            yield


def _check_shared_memory() -> None:
    """Make and drop as many semaphores as a pool of processes needs; each takes a page of shared memory.

    Raises:
        ConfigError: there is no room for them.
    """
    context = multiprocessing.get_context("spawn")
    try:
        [context.Lock() for _ in range(_SEMAPHORES)]
    except OSError as error:
        raise ConfigError(
            f"other processes cannot be started, no shared memory is left ({error.strerror or error});"
            " enlarge /dev/shm (in a container: --shm-size=64m), or use one process (--workers 1) where the "
            "command has that option"
        ) from error


def end_with(parent: int) -> None:
    """End this process within a second after its parent, however that one ends.

    A parent that is killed with signal 9 can tell nobody, and loky's workers would wait for work for ever. On
    Windows, where the parent's number stays, they do.

    Args:
        parent: number of the process that started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end with the parent").start()


@contextmanager
def _ray(workers: int, address: str | None) -> Iterator[None]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise ConfigError("the backend ray is not installed; pip install ray") from error
    register_ray()
    if ray.is_initialized():
        yield
        return
    # Ray's sockets lie in this folder, and their paths may have about 100 characters only
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        if address is not None:
            ray.init(address=address, log_to_driver=False)
        else:
            ray.init(
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
            )
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _dask(workers: int, address: str | None) -> Iterator[None]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError("the backend dask is not installed; pip install distributed") from error
    if address is not None:
        client = Client(address)
    else:
        client = Client(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, processes=True
        )
    try:
        yield
    finally:
        client.close()
