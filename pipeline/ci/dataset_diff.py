"""The comment on a pull request that changes the dataset."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.ci.changes import Changes
from pipeline.ci.comment import keep_one
from pipeline.ci.forge import ForgeError, PullRequest
from pipeline.ci.github import GitHub
from seglib.data.versions import compare_versions, to_markdown
from seglib.storage.listings import manifest_entries, missing_files
from seglib.storage.pins import default_remote

KEY = "dataset-diff"
_NAMED = 10  # missing objects


@dataclass(frozen=True)
class Description:
    """A branch's changes to the dataset."""

    text: str  # Markdown
    missing: int = 0  # objects that nobody pushed


def describe(changes: Changes, remote: str) -> Description:
    """Compare the dataset's two versions without downloading them.

    Args:
        changes: of the branch.
        remote: where both versions are; not asked if nothing changed.

    Raises:
        SegError: the remote cannot be reached, or lacks the listing of the old version.
    """
    old, new = changes.old_md5, changes.new_md5
    title = f"**Dataset:** `{old or 'none'}` → `{new or 'none'}`\n"
    if old == new:
        text = f"**Dataset:** this branch does not change it any more (`{new}`).\n"
        return Description(text)
    if not new:
        return Description(f"{title}\n`data.dvc` is gone: nothing to train on.\n")
    missing = missing_files(new, remote)
    if missing:
        return Description(f"{title}\n{_describe_missing(missing)}", len(missing))
    if not old:
        count = len(manifest_entries(new, remote))
        return Description(f"{title}\n{count:,} files, all of them on the remote.\n")
    return Description(to_markdown(compare_versions(old, new, remote)))


def tell(
    forge: GitHub | None, number: int, text: str, *, may_create: bool
) -> tuple[bool, str]:
    """Have the text in the pull request's one comment.

    Args:
        forge: None: there is none.
        number: of the pull request.
        text: Markdown.
        may_create: whether a comment is made where there is none.

    Returns:
        Whether it is there, and what was done or why not.
    """
    if forge is None:
        return False, "no forge"
    place = PullRequest(number)
    try:
        done = keep_one(forge, place, KEY, text, create=may_create)
    except ForgeError as error:
        if error.status != 403:  # the token of a fork's pull request reads only
            raise
        return False, str(error)
    return True, f"{place}: comment {done}"


def find_remote(root: Path, remote: str) -> str:
    """Where the dataset is: as given, or as DVC's configuration says."""
    return remote or default_remote(root)


def _describe_missing(missing: list[str]) -> str:
    more = len(missing) - _NAMED
    lines = [f"- `{name.replace('`', '')}`" for name in missing[:_NAMED]]
    lines += [f"- … and {more:,} more"] if more > 0 else []
    return (
        f"**{len(missing):,} objects are not on the remote**, so nothing can be "
        "trained on this version. `dvc push` brings them:\n\n" + "\n".join(lines) + "\n"
    )
