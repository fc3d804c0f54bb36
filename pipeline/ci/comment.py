"""One comment at a place, found again by a hidden marker; one status on a commit.

Runs of the same job come one after the other (`concurrency` of GitHub's workflows). A
run that was killed, or whose answer was lost, is repaired by the next one.
"""

from pipeline.ci.forge import Place, State, Status
from pipeline.ci.github import GitHub

_LONGEST = 60_000  # characters; GitHub takes 65,536
_LONGEST_DESCRIPTION = 140


def keep_one(
    forge: GitHub, place: Place, key: str, text: str, *, create: bool = True
) -> str:
    """Have exactly one comment with this key at a place, with this text.

    Args:
        forge: where.
        place: a pull request or a commit.
        key: names the comment; it is hidden in its text.
        text: Markdown.
        create: make one where there is none.

    Returns:
        What was done: created, updated, unchanged or not needed.

    Raises:
        ForgeError: the forge refuses, or does not answer.
    """
    marker = f"<!-- seglib:{key} -->"
    body = f"{marker}\n{_shortened(text)}"
    found = [one for one in forge.comments(place) if one.body.startswith(marker)]
    if not found:
        if create:
            forge.create_comment(place, body)
        return "created" if create else "not needed"
    oldest, *younger = found
    for comment in younger:
        forge.delete_comment(place, comment)
    if oldest.body == body:
        return "unchanged"
    forge.edit_comment(place, oldest, body)
    return "updated"


def set_status(forge: GitHub, commit: str, status: Status) -> bool:
    """Set a commit's status, unless it is just that; says whether it was set."""
    short = Status(
        status.context,
        State(status.state),
        _cut(status.description, _LONGEST_DESCRIPTION),
        status.url,
    )
    if forge.status(commit, status.context) == short:
        return False
    forge.set_status(commit, short)
    return True


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n\n… cut: the text is {len(text):,} characters long."


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
