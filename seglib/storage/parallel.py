"""Many transfers at once, of which the first that fails stops the rest."""

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


class Stopped(Exception):  # noqa: N818 - raised where nothing is wrong
    """Another transfer failed, or the user gave up: this one need not go on."""


def in_parallel(
    do: Callable[[Item, threading.Event], Result],
    items: Iterable[Item],
    *,
    report: Callable[[list[Result]], None],
) -> list[Result]:
    """Do it to every item, `THREADS` at once.

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
            except Stopped:
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
