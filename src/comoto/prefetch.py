"""Things made ahead in threads, in order, with a bounded number in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetch(
    make: Callable[[Item], Made], items: Iterable[Item], threads: int, ahead: int = 0
) -> Iterator[Made]:
    """Return what is made of each item, in order.

    Worth it where making lets other threads run, as decoding, copying and reading do. An exception is raised
    where the thing would have come.

    Args:
        make: called with an item, by several threads at a time.
        items: taken as they are needed.
        threads: 0 makes each when it is asked for.
        ahead: things that may be made, or wait to be taken, beside the one in use; at least two a thread.
    """
    if not threads:
        yield from map(make, items)
        return
    todo = iter(items)
    pool = ThreadPoolExecutor(threads, "prefetch")
    try:
        waiting: deque[Future[Made]] = deque(
            pool.submit(make, item) for item in islice(todo, max(ahead, 2 * threads))
        )
        while waiting:
            made = waiting.popleft().result()
            waiting.extend(pool.submit(make, item) for item in islice(todo, 1))
            yield made
    finally:
        pool.shutdown(cancel_futures=True)
