"""How a pixel's bits lie in the file, and what frames are made of them (PS3.5 section 8.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_BITS = 16


@dataclass(frozen=True)
class PixelLayout:
    """Bits of one pixel as the tags say.

    Attributes:
        allocated: 8 or 16.
        stored: how many of them carry the value.
        high_bit: number of the highest of these; above ``stored - 1`` the value is left-justified.
        is_signed: values are two's complement. They are shifted by half their range, to start at 0.
    """

    allocated: int
    stored: int
    high_bit: int
    is_signed: bool

    @property
    def largest(self) -> int:
        """Largest value, after signed ones are shifted."""
        return int((1 << self.stored) - 1)

    @property
    def half(self) -> int:
        """What is added to signed values, so that the lowest is 0; 0 for unsigned ones."""
        return 1 << (self.stored - 1) if self.is_signed else 0

    @property
    def unused_below(self) -> int:
        """Bits below the value."""
        return self.high_bit - self.stored + 1


@dataclass(frozen=True)
class GreyMap:
    """From stored values to frame values where that is more than taking them as they are.

    Attributes:
        bits: of the result.
        lines: (factor, offset) of each frame, in the order of the file; one for all frames if there is one.
        table: 16-bit result of every value, little endian, instead of lines.
    """

    bits: int
    lines: tuple[tuple[float, float], ...] = ()
    table: bytes = b""

    def values(self, stored: NDArray[Any], frame: int) -> NDArray[np.uint16]:
        """Return the values of a frame of stored ones, which start at 0."""
        if self.table:
            return np.asarray(_entries(self.table)[stored])
        factor, offset = self.lines[frame if len(self.lines) > 1 else 0]
        wide = np.asarray(stored, dtype=np.float64) * factor + offset
        return np.asarray(np.rint(wide), dtype=np.uint16)


@lru_cache(maxsize=4)
def _entries(table: bytes) -> NDArray[np.uint16]:
    return np.frombuffer(table, dtype="<u2")


def common_scale(
    rescales: Sequence[tuple[float, float]], largest: int
) -> tuple[GreyMap, tuple[float, float]]:
    """Bring frames of different rescales to one, whose (slope, intercept) is the second value returned.

    The finest slope is kept, so that no frame loses a step of grey; only if that takes more than 16 bits, the
    whole range is spread over 16.

    Args:
        rescales: (slope, intercept) of each frame.
        largest: stored value.
    """
    ends = [(intercept, slope * largest + intercept) for slope, intercept in rescales]
    low, high = min(min(pair) for pair in ends), max(max(pair) for pair in ends)
    slope = max(min(abs(slope) for slope, _ in rescales), (high - low) / ((1 << _MOST_BITS) - 1))
    bits = max(1, int(np.ceil((high - low) / slope - 1e-6)).bit_length())
    lines = tuple((own / slope, (intercept - low) / slope) for own, intercept in rescales)
    return GreyMap(bits, lines), (slope, low)
