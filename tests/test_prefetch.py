"""Things made ahead in threads come in order, and few of them wait."""

import threading
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from comoto.errors import DicomError
from comoto.prefetch import prefetch


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("ahead", [0, 7])
def test_things_come_in_order(threads: int, ahead: int) -> None:
    assert list(prefetch(lambda k: k * k, range(20), threads, ahead)) == [k * k for k in range(20)]
    assert list(prefetch(str, [], threads, ahead)) == []


def test_memory_does_not_grow_with_their_number() -> None:
    """Frames are made no further ahead than asked for, whatever their number."""
    made: list[int] = []

    def frame(k: int) -> np.ndarray:
        made.append(k)
        return np.zeros((256, 256), np.float32)

    peaks = []
    for number in (20, 200):
        made.clear()
        tracemalloc.start()
        for seen, _ in enumerate(prefetch(frame, range(number), 1, 4), start=1):
            assert len(made) <= seen + 4
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(made) == number
    assert peaks[1] < 1.5 * peaks[0]


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for k in range(100):
            taken.append(k)
            yield k

    things = prefetch(abs, items(), 2, 6)
    assert [next(things), next(things)] == [0, 1]
    assert len(taken) == 8
    lazy = prefetch(abs, items(), 0)
    taken.clear()
    assert next(lazy) == 0
    assert taken == [0]


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_where_the_thing_would_have_come(threads: int) -> None:
    def make(k: int) -> int:
        if k == 1:
            raise DicomError("frame 1 is damaged")
        return k

    things = prefetch(make, range(5), threads)
    assert next(things) == 0
    with pytest.raises(DicomError, match="frame 1 is damaged"):
        next(things)
    assert list(things) == []


def test_nothing_more_is_made_once_nobody_takes_it() -> None:
    made: list[int] = []
    go = threading.Event()

    def make(k: int) -> int:
        made.append(k)
        if k:
            go.wait(20)
        return k

    things = prefetch(make, range(100), 1, 50)
    assert next(things) == 0
    threading.Timer(0.05, go.set).start()
    things.close()  # type: ignore[attr-defined]
    assert made in ([0], [0, 1])
