"""One run in a process of its own: ``python -m comoto.study.worker SPEC.json --parent PID``.

The modules of outside code that the study was allowed may follow. A crash, a kill or a lack of memory
ends this process and nothing else. What is left in the folder lets the next try continue.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2

from comoto.checksums import file_sha256
from comoto.components import allow_code
from comoto.detections import prediction_table
from comoto.errors import ComotoError
from comoto.inference.model import load_model
from comoto.inference.prepared import predict_store_by_rules
from comoto.locks import hold
from comoto.output_files import atomic_write, no_link
from comoto.preprocessing.store import PreparedStore
from comoto.progress import enable_progress, say
from comoto.study.kept import DONE, FAILED, add_tables, lacking, write_done
from comoto.study.spec import ALIVE, STOPPED, RunSpec, load_spec
from comoto.training.log_file import LOG, read_log
from comoto.training.record import STATE
from comoto.training.run import train_student, train_teacher
from comoto.versions import versions

WRONG_INPUT = 2
_LOOK_EVERY = 0.5


def work(spec: RunSpec) -> None:
    """Train, or continue to, predict the test volumes, and say that the run is complete.

    Raises:
        ComotoError: see the message.
    """
    started = time.monotonic()
    earlier = _logged_seconds(spec.trained)
    if spec.config.threads:
        cv2.setNumThreads(spec.config.threads)
    train = train_teacher if spec.role == "teacher" else train_student
    result = train(spec.config, spec.trained, resume=True)
    trained = time.monotonic()
    tables = {} if spec.test is None else predict_test(spec)
    (spec.folder / FAILED).unlink(missing_ok=True)
    write_done(
        spec.folder,
        {
            "name": spec.name,
            "config_hash": spec.config_hash,
            "epochs": result.epoch,
            "best_epoch": result.best_epoch,
            "validation": {result.metric: result.value},
            "seconds": round(earlier + time.monotonic() - started, 1),
            "train_seconds": round(earlier + trained - started, 1),
            "versions": versions(),
        },
        tables,
        spec.test_sha256,
    )
    if not spec.keep_state:
        (spec.trained / STATE).unlink(missing_ok=True)


def predict_test(spec: RunSpec, *, missing: bool = False) -> dict[str, str]:
    """Predict the volumes of the spec with the best checkpoint; each table is written whole.

    Args:
        spec: of a student whose training is complete.
        missing: only under the rules for which there is no table yet.

    Returns:
        The SHA-256 of each table that was made, by its name.
    """
    if spec.test is None:
        raise ValueError(f"{spec.name}: has no test store")
    rules = {"": spec.config.inference.aggregation, **spec.rules}
    if missing:
        rules = {rule: rules[rule] for rule in lacking(spec.folder, rules)}
    if not rules:
        return {}
    store = PreparedStore(spec.test).as_volumes()
    manifest = store.manifest.split(spec.split)
    model, _ = load_model(spec.trained, role="student", device=spec.config.device)
    say(f"predict {len(manifest)} {spec.split.value} volumes")
    found = predict_store_by_rules(model, store, manifest, spec.config.inference, rules)
    made = {}
    for rule, volumes in found.items():
        path = spec.predictions(rule)
        with atomic_write(path) as part:
            prediction_table(volumes).to_csv(part, index=False)
            made[path.name] = file_sha256(part)
    return made


def main(arguments: Sequence[str]) -> int:
    """Do one run.

    Args:
        arguments: path of the ``spec.json``, ``--parent``, process id of the starter, allowed modules.

    Returns:
        The exit code: 0 complete, 2 wrong input; a defect leaves its traceback and 1.
    """
    path, _, parent, *allowed = arguments
    enable_progress()
    try:
        allow_code(*allowed)
        spec = load_spec(Path(path))
        with _watched(spec, int(parent)):
            if not (spec.folder / DONE).exists():  # an orphan of an earlier call may have finished it
                work(spec)
            elif spec.test is not None:
                made = predict_test(spec, missing=True)
                if made:
                    add_tables(spec.folder, made)
                (spec.folder / FAILED).unlink(missing_ok=True)
    except ComotoError as error:
        say(f"comoto: {error}")
        return WRONG_INPUT
    return 0


@contextmanager
def _watched(spec: RunSpec, parent: int) -> Iterator[None]:
    """Show that the run is worked on; end at once if the starter is gone or the study is to stop.

    A second worker on the same run waits here until the first has ended.
    """
    alive = spec.folder / ALIVE
    over = threading.Event()

    def show() -> None:
        with open(alive, "w", encoding="utf-8", opener=no_link) as file:
            file.write(f"{os.getpid()} {socket.gethostname()}\n")

    def watch() -> None:
        while not over.wait(_LOOK_EVERY):
            show()
            if os.getppid() != parent or spec.stop.exists():
                alive.unlink(missing_ok=True)
                os._exit(STOPPED)  # every file is whole, so nothing has to be tidied up

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with hold(spec.folder / "lock", f"{spec.folder}: is worked on", wait=True):
        show()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            alive.unlink(missing_ok=True)


def _logged_seconds(folder: Path) -> float:
    """Return what earlier tries spent on the epochs that they finished."""
    log = folder / LOG
    return sum(row["train_seconds"] for row in read_log(log)) if log.is_file() else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
