"""Credentials that stand in a document: P110 … P113. No value is ever told."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.preflight.checks.secret_names import (
    is_reference,
    names_a_secret,
    secrets_in,
    secrets_in_code,
)
from pipeline.preflight.findings import Finding

_HIDDEN = "•••"
_SHORTEST_HIDDEN = 6  # characters: what is shorter is part of many a word
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # as Kubernetes names
_SECRETS_NAME = re.compile(r"\bname of (a|an|the)\b[\w' ]*\bsecret\b", re.IGNORECASE)
_NAMED = ("labels", "annotations")  # whose keys are names of values
_CODE = {"command", "args"}
_NOISE = {
    "container", "dag", "deploymentSpec", "executors", "inputDefinitions", "inputs",
    "kubernetes", "pipelineSpec", "platformSpec", "platforms", "spec",
}  # fmt: skip

_Path = tuple[str, ...]


class Credentials(NamedTuple):
    """Findings, and the values that nothing may show."""

    findings: tuple[Finding, ...]
    values: frozenset[str]


class _Found(NamedTuple):
    """A value at its place; a text within it may be found once more."""

    code: str
    path: _Path
    what: str
    value: str
    name: str = ""  # of the parameter that has it


def find_credentials(trees: tuple[Any, ...]) -> Credentials:
    """Look at every text of a file's documents, in whatever shape they are."""
    references = {name for tree in trees for name in _names_of_secrets(tree)}
    found = [
        one
        for tree in trees
        for one in _walk(tree, ())
        if not (one.name in references and _RESOURCE.fullmatch(one.value))
    ]
    kept: list[_Found] = []
    for one in found:
        if not any(_is_part_of(one, other) for other in kept):
            kept.append(one)
    findings = (Finding(code=f.code, where=_place(f.path), what=f.what) for f in kept)
    return Credentials(tuple(findings), frozenset(one.value for one in found))


def hide(text: str, values: Collection[str]) -> str:
    """The text without the values, should one have got into it.

    >>> hide("cannot parse hunter2", ["hunter2"])
    'cannot parse •••'
    """
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_HIDDEN:
            text = text.replace(value, _HIDDEN)
    return text


def _is_part_of(one: _Found, other: _Found) -> bool:
    inside = one.path[: len(other.path)] == other.path
    return inside and one.value in other.value


def _walk(tree: Any, path: _Path) -> Iterator[_Found]:
    if isinstance(tree, Mapping):
        yield from _named(tree, path)
        for key, value in tree.items():
            yield from _walk(value, (*path, str(key)))
    elif isinstance(tree, list):
        if path and path[-1] in _CODE:
            yield from _options(tree, path)
        for index, value in enumerate(tree):
            name = value.get("name") if isinstance(value, Mapping) else None
            yield from _walk(value, (*path, str(name or index)))
    elif isinstance(tree, str):
        yield from _in_text(tree, path)


def _named(tree: Mapping[str, Any], path: _Path) -> Iterator[_Found]:
    """Values under the name of a secret."""
    name, last = tree.get("name"), path[-1] if path else ""
    if isinstance(name, str) and "value" in tree:
        yield from _literals(name, tree["value"], path)  # an environment variable
    if "defaultValue" in tree:
        yield from _literals(last, tree["defaultValue"], path)
    constant = tree.get("runtimeValue")
    if isinstance(constant, Mapping) and "constant" in constant:
        yield from _literals(last, constant["constant"], path)
    if last in _NAMED:
        for key, text in tree.items():
            yield from _literals(str(key).rpartition("/")[2], text, (*path, str(key)))


def _literals(name: str, value: Any, path: _Path) -> Iterator[_Found]:
    """A value by its name; the keys of a dict are names, too."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _literals(str(key), inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from _literals(name, inner, path)
    elif isinstance(value, str) and names_a_secret(name) and not is_reference(value):
        specific = next(secrets_in(value), None)
        code = specific.code if specific else "P110"
        what = specific.what if specific else f"`{name}` has a literal value"
        yield _Found(code, path, what, value, name)


def _names_of_secrets(tree: Any) -> Iterator[str]:
    """Parameters that say which secret is taken, and are none themselves."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            is_name = key == "secretNameParameter" and isinstance(value, Mapping)
            channel = value.get("componentInputParameter") if is_name else None
            if channel:
                yield str(channel).removeprefix("pipelinechannel--")
            if isinstance(value, Mapping) and _SECRETS_NAME.search(
                str(value.get("description", ""))
            ):
                yield str(key)
            yield from _names_of_secrets(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _names_of_secrets(value)


def _options(words: list[Any], path: _Path) -> Iterator[_Found]:
    """Command-line options: --password VALUE, --password=VALUE."""
    for index, word in enumerate(words):
        if not (isinstance(word, str) and word.startswith("-")):
            continue
        option, equals, value = word.partition("=")
        place = index if equals else index + 1
        if not equals:
            value = str(words[place]) if place < len(words) else ""
        if "\n" in option or not names_a_secret(option.lstrip("-")):
            continue
        if not is_reference(value, in_command=True):
            what = f"`{option}` has a literal value"
            yield _Found("P110", (*path, str(place)), what, value)


def _in_text(text: str, path: _Path) -> Iterator[_Found]:
    found = list(secrets_in(text))
    if _CODE & set(path):
        known = {secret.value for secret in found}
        # A password in a URL is also what the URL's name is given.
        found += [
            secret
            for secret in secrets_in_code(text)
            if not any(value in secret.value for value in known)
        ]
    for secret in found:
        yield _Found(secret.code, path, secret.what, secret.value)


def _place(path: _Path) -> str:
    """The path in words; its parts are names, and never values."""
    return " / ".join(part for part in path if part not in _NOISE) or "the file"
