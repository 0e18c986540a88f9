"""How numbers are written in the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from comoto.evaluation.bootstrap import Interval

MINUS = "\N{MINUS SIGN}"
NOT_KNOWN = "not known"
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Words:
    """What things are called on a page.

    Attributes:
        model: what made one of the prediction tables.
        volume, patient: one of those that are scored.
        kind: what these are besides, with a blank behind it, such as "simulated ".
        runs: what stands behind each table, a sentence without its end.
    """

    model: str = "model"
    volume: str = "volume"
    patient: str = "patient"
    kind: str = ""
    runs: str = "Each model stands for one training run"


def share(value: float) -> str:
    """Return a sensitivity with two digits: "0.58"."""
    return f"{value:.2f}" if math.isfinite(value) else NOT_KNOWN


def signed(value: float) -> str:
    """Return a difference with its sign: "+0.04", "−0.02"; what rounds to zero has none."""
    if not math.isfinite(value):
        return NOT_KNOWN
    rounded = f"{abs(value):.2f}"
    if float(rounded) == 0.0:
        return rounded
    return f"{'+' if value > 0 else MINUS}{rounded}"


def share_interval(interval: Interval) -> str:
    """Return "0.41 to 0.73"."""
    return f"{share(interval.low)} to {share(interval.high)}"


def signed_interval(interval: Interval) -> str:
    """Return "−0.08 to +0.13"."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def count(number: int, thing: str, plural: str | None = None) -> str:
    """Return "1 patient" or "3 patients"."""
    return f"{number} {thing if number == 1 else plural or thing + 's'}"


def in_words(number: int) -> str:
    """Return "three"; from 11 on, digits."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def listed(parts: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last


def of_total(part: int, total: int) -> str:
    """Return "12 of 20 (60 %)"; without a total there is no percentage."""
    return f"{part} of {total} ({100 * part / total:.0f} %)" if total else "0 of 0"


def seconds(value: float) -> str:
    """Return "0.4 s", "48 s" or "3 min 05 s"."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def mebibytes(value: float) -> str:
    """Return "512 MiB" or "2.1 GiB"."""
    return f"{value:.0f} MiB" if value < 1024 else f"{value / 1024:.1f} GiB"
