"""Damage to DICOM files, the same for the same numbers: bytes, elements, fragments and codestream headers."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import numpy as np

INTERESTING = (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 127, 128, 255, 256, 4095, 32767, 32768, 65534, 65535)
INTERESTING_LONG = (*INTERESTING, 2**16, 2**24, 2**31 - 1, 2**31, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
_PREAMBLE = 132
_ELEMENT = re.compile(rb"(?s)..\x00..?[A-Z]{2}|..[\x00-\x7f].[A-Z]{2}")
_PIXEL_TAGS = (
    b"\x28\x00\x02\x00",  # samples per pixel
    b"\x28\x00\x08\x00",  # number of frames
    b"\x28\x00\x10\x00",  # rows
    b"\x28\x00\x11\x00",  # columns
    b"\x28\x00\x00\x01",  # bits allocated
    b"\x28\x00\x01\x01",  # bits stored
    b"\x28\x00\x02\x01",  # high bit
    b"\x28\x00\x03\x01",  # pixel representation
    b"\x28\x00\x50\x10",  # window centre
    b"\x28\x00\x53\x10",  # rescale slope
)
_ITEM = b"\xfe\xff\x00\xe0"
_STREAM_STARTS = (b"\xff\x4f\xff\x51", b"\xff\xd8\xff")

Mutation = Callable[[bytearray, np.random.Generator], None]


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """Return the file with one to four kinds of damage; every second file only where decoders notice."""
    changed = bytearray(data)
    mutations = OF_ANYTHING if generator.random() < 0.5 else OF_PIXELS
    for _ in range(int(generator.integers(1, 5))):
        mutation = mutations[int(generator.integers(len(mutations)))]
        if len(changed) > _PREAMBLE + 16:
            mutation(changed, generator)
    while bytes(changed) == data:  # such as a codestream's damage to a file without one
        set_bytes(changed, generator)
    return bytes(changed)


def _place(data: bytearray, generator: np.random.Generator) -> int:
    """A byte; every second time one of the header."""
    end = len(data) if generator.random() < 0.5 else min(len(data), _PREAMBLE + 1500)
    return int(generator.integers(_PREAMBLE - 4, end))


def _found(data: bytearray, what: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(what), data)]


def _one_of(places: list[int], generator: np.random.Generator) -> int | None:
    return places[int(generator.integers(len(places)))] if places else None


def _element(data: bytearray, generator: np.random.Generator) -> int | None:
    """Where an element with an explicit VR seems to begin."""
    return _one_of([match.start() for match in _ELEMENT.finditer(data, _PREAMBLE)], generator)


def flip_bits(data: bytearray, generator: np.random.Generator) -> None:
    """Change single bits."""
    for _ in range(int(generator.integers(1, 9))):
        data[_place(data, generator)] ^= 1 << int(generator.integers(8))


def set_bytes(data: bytearray, generator: np.random.Generator) -> None:
    """Overwrite a run of bytes with zeros, ones or noise."""
    start, length = _place(data, generator), int(generator.integers(1, 64))
    stop = min(len(data), start + length)
    kind = int(generator.integers(3))
    data[start:stop] = generator.bytes(stop - start) if kind == 2 else bytes([255 * kind]) * (stop - start)


def cut(data: bytearray, generator: np.random.Generator) -> None:
    """Lose the end."""
    del data[_place(data, generator) :]


def remove(data: bytearray, generator: np.random.Generator) -> None:
    """Lose a run of bytes; what follows moves up."""
    start = _place(data, generator)
    del data[start : start + int(generator.integers(1, 200))]


def insert(data: bytearray, generator: np.random.Generator) -> None:
    """Gain a run of noise; what follows moves down."""
    start = _place(data, generator)
    data[start:start] = generator.bytes(int(generator.integers(1, 100)))


def repeat(data: bytearray, generator: np.random.Generator) -> None:
    """Write a run of bytes twice, such as an element or a fragment."""
    start = _place(data, generator)
    stop = start + int(generator.integers(1, 400))
    data[stop:stop] = data[start:stop]


def move(data: bytearray, generator: np.random.Generator) -> None:
    """Copy a run of bytes over another one."""
    length = int(generator.integers(4, 300))
    source, target = _place(data, generator), _place(data, generator)
    piece = bytes(data[source : source + length])
    data[target : target + len(piece)] = piece


def element_length(data: bytearray, generator: np.random.Generator) -> None:
    """Let an element claim another length."""
    at = _element(data, generator)
    if at is None or at + 8 > len(data):
        return
    if generator.random() < 0.7:
        struct.pack_into("<H", data, at + 6, int(generator.choice(INTERESTING)))
    elif at + 12 <= len(data):
        struct.pack_into("<I", data, at + 8, int(generator.choice(INTERESTING_LONG)))


def element_kind(data: bytearray, generator: np.random.Generator) -> None:
    """Let an element claim another value representation."""
    at = _element(data, generator)
    if at is not None:
        kinds = (b"SQ", b"OB", b"OW", b"UN", b"UT", b"IS", b"DS", b"US", b"UL", b"FD", b"AT", b"PN", b"XX")
        data[at + 4 : at + 6] = kinds[int(generator.integers(len(kinds)))]


def pixel_tag(data: bytearray, generator: np.random.Generator) -> None:
    """Give an attribute that decides the decoding another value."""
    tag = _PIXEL_TAGS[int(generator.integers(len(_PIXEL_TAGS)))]
    at = _one_of(_found(data, tag), generator)
    if at is None or at + 10 > len(data):
        return
    if data[at + 4 : at + 6] == b"US":
        struct.pack_into("<H", data, at + 8, int(generator.choice(INTERESTING)))
    else:
        words = (b"0", b"-1", b"1e9", b"nan", b"inf", b"4000000000", b"3\\4", b"x", b"", b"1e400", b"2")
        word = words[int(generator.integers(len(words)))]
        length = min(int(data[at + 6]), len(data) - at - 8)
        data[at + 8 : at + 8 + length] = word[:length].ljust(length)


def remove_element(data: bytearray, generator: np.random.Generator) -> None:
    """Lose a short element cleanly."""
    at = _element(data, generator)
    if at is not None:
        del data[at : at + 8 + data[at + 6] if at + 6 < len(data) else None]


def fragment(data: bytearray, generator: np.random.Generator) -> None:
    """Give a fragment another length, lose it, or write it twice."""
    places = _found(data, _ITEM)
    at = _one_of(places, generator)
    if at is None or at + 8 > len(data):
        return
    (length,) = struct.unpack_from("<I", data, at + 4)
    stop = min(len(data), at + 8 + length)
    kind = int(generator.integers(4))
    if kind == 0:
        struct.pack_into("<I", data, at + 4, int(generator.choice(INTERESTING_LONG)))
    elif kind == 1:
        del data[at:stop]
    elif kind == 2:
        data[stop:stop] = data[at:stop]
    else:
        changed = max(0, length + 2 * int(generator.integers(-4, 5))) & 0xFFFFFFFF
        struct.pack_into("<I", data, at + 4, changed)


def stream_header(data: bytearray, generator: np.random.Generator) -> None:
    """Change a field in the first bytes of a codestream: sizes, depths, tiles, markers, tables."""
    start = _STREAM_STARTS[int(generator.integers(len(_STREAM_STARTS)))]
    at = _one_of(_found(data, start), generator)
    if at is None:
        return
    place = at + int(generator.integers(2, 160))
    if place + 4 > len(data):
        return
    kind = int(generator.integers(4))
    if kind == 0:
        data[place] = int(generator.integers(256))
    elif kind == 1:
        struct.pack_into(">H", data, place, int(generator.choice(INTERESTING)))
    elif kind == 2:
        struct.pack_into(">I", data, place, int(generator.choice(INTERESTING_LONG)))
    else:
        data[place] ^= 1 << int(generator.integers(8))


def stream_body(data: bytearray, generator: np.random.Generator) -> None:
    """Change bytes well inside a codestream, where no header warns of it."""
    start = _STREAM_STARTS[int(generator.integers(len(_STREAM_STARTS)))]
    at = _one_of(_found(data, start), generator)
    for _ in range(int(generator.integers(1, 12))):
        place = (at or 0) + int(generator.integers(60, 1200))
        if at is not None and place < len(data):
            data[place] = int(generator.integers(256))


OF_PIXELS: tuple[Mutation, ...] = (stream_header, stream_header, stream_body, stream_body, fragment)
"""Those that appear twice are chosen twice as often."""
OF_ANYTHING: tuple[Mutation, ...] = (
    *(flip_bits, set_bytes, cut, remove, insert, repeat, move),
    *(element_length, element_kind, pixel_tag, pixel_tag, remove_element),
    *OF_PIXELS,
)
