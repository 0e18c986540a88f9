"""One examination: look at the machine, measure, judge. Under a minute on most machines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from comoto.config import TrainConfig, load_train_config
from comoto.detectors.base import Detector
from comoto.detectors.device import choose_device, resolve_precision
from comoto.doctor import measure
from comoto.doctor.machine import Machine, look
from comoto.doctor.measure import Speed
from comoto.doctor.samples import ENCODERS, write_noise, write_sample, write_store
from comoto.doctor.verdict import Verdict, judge
from comoto.inference.model import load_model
from comoto.preprocessing.store import PreparedStore
from comoto.progress import say, track

_SIMULATED_IMAGES = 24
_NETWORK_SECONDS = 20.0


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        machine: what it is.
        speeds: what was measured, in the order of the work.
        verdict: what holds the others up.
    """

    machine: Machine
    speeds: tuple[Speed, ...]
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return plain values; names of files are not among them."""
        return asdict(self)

    def table(self) -> str:
        """Return everything as lines of text."""
        machine = self.machine
        lines = [*machine.versions, ""]
        lines.append(f"cores {machine.cores}, load {machine.load}")
        lines.append(f"memory {machine.memory_gib} GiB, {machine.free_memory_gib} GiB free")
        lines.extend(f"GPU {gpu}" for gpu in machine.gpus or ("none that torch sees",))
        lines.append("")
        width = max(len(speed.part) for speed in self.speeds)
        lines.extend(
            f"{speed.part:<{width}}  {speed.value:>9.4g} {speed.unit:<13} {speed.how}"
            for speed in self.speeds
        )
        lines += ["", self.verdict.sentence, self.verdict.advice, self.verdict.prediction]
        if machine.load > machine.cores + 0.5:
            lines.append("Other work is running on this machine; the numbers would be better without.")
        return "\n".join(lines)


def examine(
    store: Path | None = None, run: Path | None = None, dicom: Path | None = None, preset: str = "full"
) -> Examination:
    """Measure the parts of the work on this machine.

    Args:
        store: a prepared store; a small simulated one on the disk for temporary files if not given.
        run: a run folder, whose network is measured; else that of ``preset``, with random weights.
        dicom: an image file of the user's, decoded besides the simulated ones.
        preset: of the network and of the simulated store.

    Raises:
        ComotoError: ``store``, ``run`` or ``dicom`` is not one.
    """
    config, detector = _network_of(run, preset)
    opened = None if store is None else PreparedStore(store)
    with tempfile.TemporaryDirectory(prefix="comoto-doctor-") as name:
        parts = _measured(config, detector, opened, dicom, Path(name))
        speeds = tuple(track(parts, "measure", len(ENCODERS) + 5 + (dicom is not None)))
    machine = look()
    verdict = judge({speed.part: speed for speed in speeds}, machine, config.workers)
    return Examination(machine, speeds, verdict)


def _measured(
    config: TrainConfig,
    detector: Detector | None,
    store: PreparedStore | None,
    dicom: Path | None,
    folder: Path,
) -> Iterator[Speed]:
    if dicom is not None:
        yield measure.decoder(dicom, "your file", seconds=3.0)
    for kind in ENCODERS:
        yield measure.decoder(write_sample(folder / "sample.dcm", kind), kind)
    images = store or write_store(folder / "store", config.preprocess, _SIMULATED_IMAGES)
    files = sorted({images.planes_path(name) for name in images.image_ids})
    if sum(path.stat().st_size for path in files) < measure.LEAST_READ:
        files = [write_noise(folder / "noise", 2 * measure.LEAST_READ)]
    yield measure.disk(files)
    yield measure.loader_from_disk(images, config.batch, config.augment, config.workers)
    yield measure.loader(images, config.batch, config.augment, config.workers)
    device = choose_device(config.device)
    precision = resolve_precision(config.precision, device)
    say("the network takes the longest")
    yield from measure.network(config, detector, device, precision, _NETWORK_SECONDS)


def _network_of(run: Path | None, preset: str) -> tuple[TrainConfig, Detector | None]:
    if run is None:
        return load_train_config(preset, []), None
    model, _ = load_model(run)
    return model.config, model.detector
