"""The comment on a pull request that changes the dataset."""

from pipeline.ci.github import ForgeError, GitHub, pull_request
from pipeline.ci.plan import Changes
from seglib.data.versions import compare_versions, to_markdown
from seglib.storage.listings import manifest_entries, missing_files

_KEY = "dataset-diff"
_NAMED = 10  # missing objects


def describe(changes: Changes, remote: str) -> tuple[str, int]:
    """Compare the dataset's two versions on their remote, without downloading them.

    Returns:
        Markdown, and the number of objects that nobody pushed.
    """
    old, new = changes.old_md5, changes.new_md5
    title = f"**Dataset:** `{old or 'none'}` → `{new or 'none'}`\n"
    if old == new:
        text = f"**Dataset:** this branch does not change it any more (`{new}`).\n"
        return text, 0
    if not new:
        return f"{title}\n`data.dvc` is gone: nothing to train on.\n", 0
    if missing := missing_files(new, remote):
        return f"{title}\n{_describe_missing(missing)}", len(missing)
    if not old:
        count = len(manifest_entries(new, remote))
        return f"{title}\n{count:,} files, all of them on the remote.\n", 0
    return to_markdown(compare_versions(old, new, remote)), 0


def tell(
    forge: GitHub, number: int, text: str, *, may_create: bool
) -> tuple[bool, str]:
    """Have the text in the pull request's one comment.

    Returns:
        Whether it is there, and what was done or why not.
    """
    place = pull_request(number)
    try:
        done = forge.keep_comment(place, _KEY, text, create=may_create)
    except ForgeError as error:
        if error.status != 403:  # the token of a fork's pull request reads only
            raise
        return False, str(error)
    return True, f"{place.name}: comment {done}"


def _describe_missing(missing: list[str]) -> str:
    more = len(missing) - _NAMED
    lines = [f"- `{name.replace('`', '')}`" for name in missing[:_NAMED]]
    lines += [f"- … and {more:,} more"] if more > 0 else []
    return (
        f"**{len(missing):,} objects are not on the remote**, so nothing can be "
        "trained on this version. `dvc push` brings them:\n\n" + "\n".join(lines) + "\n"
    )
