"""What is known of a version's masks, and who shall know it from now on."""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seglib.data.verification.verify import Verification
from seglib.data.versions.beside import beside_name, read_beside, write_beside
from seglib.data.versions.counting import (
    Progress,
    count_masks,
    masks_of,
    verified_counts,
)
from seglib.data.versions.kept import keep, read_kept
from seglib.data.versions.record import Counts
from seglib.errors import SegError
from seglib.storage import Remote, manifest_entries, open_remote
from seglib.storage.backends.local import is_own_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """What is known of a version's masks; masks of one content count once."""

    masks: int
    known: int
    counted: int  # just now
    place: str  # where the record lies
    written: bool  # just now
    problems: tuple[str, ...]  # one `path: reason` a mask that cannot be counted


def keep_counts(
    verification: Verification, *, data_md5: str = "", remote: str = ""
) -> str:
    """Keep what a verification counted: in the cache, and beside the data.

    Neither a cache nor a remote that cannot be written to is an error: what was
    verified is as good without.

    Args:
        verification: of the whole dataset.
        data_md5: the dataset's hash, where it is pinned.
        remote: where its files are.

    Returns:
        What became of the record on the remote, as a sentence; "" where there was
        nothing to do.
    """
    counts = verified_counts(verification.pairs, verification.dataset.ignore_index)
    try_to_keep(counts)
    if not data_md5 or not remote or not verification.ok:
        return ""
    try:
        source = open_remote(remote)
        if is_own_folder(source) or counts.keys() <= _beside(source, data_md5).keys():
            return ""
        write_beside(source, data_md5, counts)
    except SegError as error:
        return f"The masks' classes are not kept beside the data: {error}"
    return f"The masks' classes are kept in {beside_name(source, data_md5)}."


def count_version(
    data_md5: str,
    remote: str,
    *,
    push: bool = True,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Counted:
    """Count those masks of a version that are not known, and keep all beside the data.

    Only masks are fetched, and only those that neither this machine nor the remote
    knows.

    Args:
        data_md5: the dataset's hash, `<md5>.dir`.
        remote: as for `fetch`.
        push: whether to write the record to the remote, unless it knows as much.
        cache: as for `fetch`.
        progress: called with the masks that are here and those that are wanted.

    Raises:
        SegError: the remote cannot be read, or not be written to.
    """
    source = open_remote(remote)
    masks = [
        m
        for found in masks_of(manifest_entries(data_md5, remote)).values()
        for m in found
    ]
    wanted = {mask.md5 for mask in masks}
    beside = _beside(source, data_md5)
    known = {md5: beside[md5] for md5 in wanted & beside.keys()}
    known |= read_kept(wanted, cache)
    missing = [mask for mask in masks if mask.md5 not in known]
    counted, problems = count_masks(
        missing, data_md5, remote, cache=cache, progress=progress
    )
    try_to_keep(counted, cache)
    known |= counted
    written = push and not known.keys() <= beside.keys()
    if written:
        write_beside(source, data_md5, known)
    return Counted(
        masks=len(wanted),
        known=len(known),
        counted=len(counted),
        place=beside_name(source, data_md5),
        written=written,
        problems=tuple(problems),
    )


def find_counts(
    md5s: Collection[str],
    versions: Sequence[str],
    source: Remote,
    cache: Path | None = None,
) -> tuple[dict[str, Counts], list[str]]:
    """What is known of some masks, here or beside some versions on their remote.

    Returns:
        The counts, and what may have kept others from being known, a sentence each.
    """
    wanted, notes = set(md5s), list[str]()
    found = read_kept(wanted, cache)
    for version in versions:
        if wanted <= found.keys():
            break
        try:
            beside = read_beside(source, version)
        except SegError as error:
            notes.append(str(error))
        else:
            new = wanted & beside.keys() - found.keys()
            found |= {md5: beside[md5] for md5 in new}
    return found, notes


def try_to_keep(counts: dict[str, Counts], cache: Path | None = None) -> None:
    """Add counts to the cache; one that cannot be written to is told in the log."""
    try:
        keep(counts, cache)
    except SegError as error:
        logger.warning("%s", error)


def _beside(source: Remote, data_md5: str) -> dict[str, Counts]:
    """What lies beside a version; what cannot be read will be replaced."""
    with suppress(SegError):
        return read_beside(source, data_md5)
    return {}
