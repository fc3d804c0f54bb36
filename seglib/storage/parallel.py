"""Parallel transfers; the first failure stops the others."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from seglib.storage.backends.base import THREADS

_TICK_S = 0.2  # between two reports of progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]  # done, total


class TransferStopped(Exception):  # noqa: N818 - raised where nothing is wrong
    """This transfer ends because another failed or the user interrupted."""


def in_parallel(
    do: Callable[[Item, threading.Event], Result],
    items: Iterable[Item],
    *,
    report: Callable[[list[Result]], None],
) -> list[Result]:
    """Call a function for every item, in `THREADS` threads.

    Args:
        do: gets an item, and an event that is set once its work is of no more use.
        items: in the order in which they are begun.
        report: called with the results so far, every now and then and at the end.

    Returns:
        The results, in the order in which they came.

    Raises:
        Exception: the first that `do` raised; what was under way has ended by then.
    """
    waiting, results = deque(items), list[Result]()
    stop, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        while not stop.is_set():
            try:
                item = waiting.popleft()
            except IndexError:
                return
            try:
                results.append(do(item, stop))
            except TransferStopped:
                return
            except BaseException as error:  # noqa: BLE001 - raised again by the caller
                failures.append(error)
                stop.set()

    with ThreadPoolExecutor(THREADS, thread_name_prefix="transfer") as pool:
        try:
            pending = {pool.submit(work) for _ in range(min(THREADS, len(waiting)))}
            while pending:
                _, pending = wait(pending, timeout=_TICK_S)
                report(results)
        finally:
            stop.set()
    if failures:
        raise failures[0]
    return results
