"""Reading by threads, in order and ahead of the caller; batches of equal items."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import groupby
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def read_ahead(
    pool: Executor,
    read: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    most: Callable[[], int],
) -> Iterator[_Result]:
    """Yield `read(item)` of each item in order, at most `most()` of them ahead."""
    queue: deque[Future[_Result]] = deque()
    for item in items:
        queue.append(pool.submit(read, item))
        while len(queue) > most():
            yield queue.popleft().result()
    while queue:
        yield queue.popleft().result()


def equal_batches(
    items: Iterable[_Item],
    key: Callable[[_Item], Hashable],
    most: Callable[[_Item], int],
) -> Iterator[list[_Item]]:
    """Batches of consecutive items of one key; `most` is the largest batch of it."""
    for _, group in groupby(items, key=key):
        batch: list[_Item] = []
        for item in group:
            batch.append(item)
            if len(batch) >= most(item):
                yield batch
                batch = []
        if batch:
            yield batch
