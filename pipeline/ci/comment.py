"""One comment at a place, found again by a hidden marker, and never two for long."""

import time

from pipeline.ci.forge import (
    Comment,
    Forge,
    ForgeError,
    MissingError,
    Place,
    State,
    Status,
    UncertainError,
)

_LONGEST = 60_000  # characters; GitHub takes 65,536
_LONGEST_DESCRIPTION = 140
_ATTEMPTS = 4


def keep_one(
    forge: Forge,
    place: Place,
    key: str,
    text: str,
    *,
    create: bool = True,
    pause_s: float = 0.5,
) -> str:
    """Have exactly one comment with this key at a place, with this text.

    Two that do so at once both create one; each then lists again, and the oldest
    stays. One that was killed in between is made good by the next call.

    Args:
        forge: where.
        place: a pull request or a commit.
        key: names the comment; it is hidden in its text.
        text: Markdown.
        create: make one where there is none.
        pause_s: before a list is read again that may lag behind; it grows.

    Returns:
        What was done: created, updated, unchanged or not needed.

    Raises:
        ForgeError: the forge does not let it be.
    """
    marker = f"<!-- seglib:{key} -->"
    body = f"{marker}\n{_shortened(text)}"
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt * pause_s)
        found = _marked(forge, place, marker)
        is_new = not found
        if is_new and not create:
            return "not needed"
        if is_new:
            found = _create(forge, place, body, marker)
        if not found:
            continue  # the answer was lost, and the list does not show it (yet)
        oldest, *younger = found
        for comment in younger:
            forge.delete_comment(place, comment)
        if oldest.body == body:
            return "created" if is_new else "unchanged"
        try:
            forge.edit_comment(place, oldest, body)
        except MissingError:  # someone removed it at this moment
            continue
        return "updated"
    raise ForgeError(
        f"The comment on {place} could not be written in {_ATTEMPTS} attempts: none "
        "was answered. Run the same command again when the forge does."
    )


def set_status(forge: Forge, commit: str, status: Status) -> bool:
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


def _create(forge: Forge, place: Place, body: str, marker: str) -> list[Comment]:
    try:
        created = [forge.create_comment(place, body)]
    except UncertainError:
        created = []
    # With ours, whether or not the list shows it already.
    by_id = {c.id: c for c in (*created, *_marked(forge, place, marker))}
    return [by_id[id_] for id_ in sorted(by_id)]


def _marked(forge: Forge, place: Place, marker: str) -> list[Comment]:
    found = [c for c in forge.comments(place) if c.body.startswith(marker)]
    return sorted(found, key=lambda comment: comment.id)


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n\n… cut: the text is {len(text):,} characters long."


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
