"""From the measurements to one plain sentence: what holds the others up, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from comoto.doctor.machine import Machine
from comoto.doctor.measure import Speed

_ENOUGH = 1.2
"""A part this many times as fast as the one after it does not hold it up."""
_TYPICAL_MEGAPIXELS = 2457 * 1996 / 1e6


@dataclass(frozen=True)
class Verdict:
    """What holds training up.

    Attributes:
        bottleneck: ``network``, ``loader`` or ``disk``.
        sentence: what it is, in numbers.
        advice: what to change.
        prediction: the same question for ``comoto predict``, in one sentence.
    """

    bottleneck: str
    sentence: str
    advice: str
    prediction: str


def judge(speeds: Mapping[str, Speed], machine: Machine, workers: int) -> Verdict:
    """Name the slowest part.

    Args:
        speeds: by part, with ``loader``, ``loader, first pass``, ``network, forward``, ``network, training
            step`` and at least one decoder.
        machine: where.
        workers: loading threads of the configuration.
    """
    network = speeds["network, training step"].value
    warm, cold = speeds["loader"].value, speeds["loader, first pass"].value
    if min(warm, cold) >= _ENOUGH * network:
        bottleneck = "network"
        sentence = (
            f"Training is held up by the network: a step takes {network:.3g} images a second, and the loader "
            f"could give {min(warm, cold):.3g}."
        )
        advice = _faster_network(machine)
    elif warm >= _ENOUGH * network:
        bottleneck = "disk"
        sentence = (
            f"Training is held up by the disk for as long as the store is not in memory: the first pass "
            f"gives {cold:.3g} images a second, the network takes {network:.3g}, and from memory there are "
            f"{warm:.3g}."
        )
        advice = (
            "Put the store on a local SSD, or leave as much memory free as the store is large; "
            "'comoto prepare --slices sampled' makes it smaller."
        )
    else:
        bottleneck = "loader"
        sentence = (
            f"Training is held up by the loader: it gives {warm:.3g} images a second, and the network takes "
            f"{network:.3g}."
        )
        advice = _faster_loader(machine, workers)
    return Verdict(bottleneck, sentence, advice, _prediction(speeds))


def _faster_network(machine: Machine) -> str:
    if machine.gpus:
        return (
            "Use bfloat16 (--set precision=bf16-mixed), a smaller preset or a faster GPU; "
            "faster disks or loading are no use."
        )
    return (
        "Use a GPU, or a smaller preset (--preset small, --preset demo); faster disks or loading are no use."
    )


def _faster_loader(machine: Machine, workers: int) -> str:
    if workers < machine.cores:
        return f"Let more threads load: --set workers={machine.cores}."
    return f"All {machine.cores} cores load already: give the job more cores, or take a smaller grid."


def _prediction(speeds: Mapping[str, Speed]) -> str:
    """Compare decoding with the network for the user's file, or for a typical one."""
    own = speeds.get("decode your file")
    decode = own or speeds["decode JPEG 2000"]
    if own is not None:
        seconds, what = 1.0 / frames_a_second(own), "your file"
    else:
        seconds, what = _TYPICAL_MEGAPIXELS / decode.value, "a 2457 x 1996 JPEG 2000 slice"
    forward = speeds["network, forward"].value
    slower = "decoding" if 1 / seconds < forward else "the network"
    return (
        f"Prediction of {what} is held up by {slower}: one slice takes {seconds:.2g} s to decode at full "
        f"resolution and {1 / forward:.2g} s in the network."
    )


def frames_a_second(speed: Speed) -> float:
    """Return frames instead of megapixels; the size of the frame stands in ``how``."""
    rows, columns = (int(word) for word in speed.how.split(",")[0].split(" x "))
    return speed.value * 1e6 / (rows * columns)
