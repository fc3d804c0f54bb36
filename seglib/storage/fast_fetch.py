"""Fast path for many small files that are not cached.

Anything it cannot fetch falls back to the checked path.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from seglib.storage.backends.base import Remote, object_key
from seglib.storage.content_cache import ContentCache

_WRITERS = 4  # threads: some file systems answer late
_TOGETHER = 16  # contents, handed to a writer at once
_TOGETHER_BYTES = 4 << 20
_PENDING = 8  # of such groups at most, so that memory is bounded

Group = list[tuple[str, bytearray]]  # md5 and content


def bring_small(
    source: Remote,
    kept: ContentCache,
    targets: dict[str, list[Path]],
    report: Callable[[list[str]], None],
) -> set[str]:
    """Fetch contents that are not cached; failures are left to the checked path.

    Args:
        source: the remote.
        kept: the cache.
        targets: the files of each content, by its md5.
        report: called with the md5s that have arrived since the last call.

    Returns:
        The md5s that are cached now.

    Raises:
        OSError: the cache cannot be written to.
    """
    done, under_way = set[str](), deque[Future[list[str]]]()

    def keep(group: Group) -> list[str]:
        return [md5 for md5, content in group if kept.keep(md5, content, targets[md5])]

    def wait_for(most: int) -> None:
        while len(under_way) > most:
            new = under_way.popleft().result()
            done.update(new)
            report(new)

    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="writer") as pool:
        for group in _groups(source, targets):
            under_way.append(pool.submit(keep, group))
            wait_for(_PENDING)
        wait_for(0)
    return done


def _groups(source: Remote, md5s: Collection[str]) -> Iterator[Group]:
    by_key = {object_key(md5): md5 for md5 in md5s}
    group, size = Group(), 0
    for key, content in source.small(by_key):
        group.append((by_key[key], content))
        size += len(content)
        if len(group) == _TOGETHER or size >= _TOGETHER_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
