"""What code a step runs, and whether that can change under its name: P120, P121."""

import re
from collections.abc import Iterator

from pipeline.preflight.document import Document, Step
from pipeline.preflight.findings import Finding

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_INSTALL = re.compile(r"pip3?\s+install\s+([^\n;&|]*)")
_NAME = re.compile(r"[A-Za-z][\w.\-\[\],]*(?P<version>[=<>!~@].*)?")
_OPTIONS_WITH_VALUE = ("--index-url", "--extra-index-url", "-i", "--trusted-host")


def check_images(document: Document) -> Iterator[Finding]:
    """Images by tag, and packages that are installed at run time."""
    by_image: dict[str, list[str]] = {}
    for step in document.steps():
        by_image.setdefault(step.image, []).append(step.executor)
        yield from _check_packages(step)
    for image, executors in by_image.items():
        if "{{$" in image or _DIGEST.search(image):
            continue
        is_tagged = ":" in image.rpartition("/")[2]
        what = f"{image or 'no image'} names {'a tag' if is_tagged else 'no version'}"
        if "@" in image:
            what = f"{image} has a digest that is none"
        yield Finding(code="P120", where=f"executors {_join(executors)}", what=what)


def _check_packages(step: Step) -> Iterator[Finding]:
    loose = sorted(
        {
            package
            for text in step.texts
            for command in _INSTALL.findall(text)
            for package in _unpinned(command)
        }
    )
    if loose:
        what = f"it installs {', '.join(loose)}"
        yield Finding(code="P121", where=step.where, what=what)


def _unpinned(command: str) -> Iterator[str]:
    words = [word.strip("'\"") for word in command.split()]
    for before, word in zip(["", *words], words, strict=False):
        name = _NAME.fullmatch(word)
        if not name or before in _OPTIONS_WITH_VALUE:
            continue
        if not (name["version"] or "").startswith("=="):
            yield re.split(r"[=<>!~@\[]", word)[0]


def _join(names: list[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - 4} more" if len(shown) > 4 else ""
    return ", ".join(shown[:4]) + more
