"""Credentials in what a user sets: P110 … P113. No finding quotes the value."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline.dag.credentials import (
    PRIVATE_KEY,
    URL_PASSWORD,
    find_credential,
    is_reference,
    names_credential,
)
from pipeline.dag.document import Document
from pipeline.preflight.findings import Finding

_HIDDEN = "•••"
_SHORTEST_HIDDEN = 6  # characters; shorter values are part of many words
_CODES = {PRIVATE_KEY: "P113", URL_PASSWORD: "P111"}
_NAME_OF_SECRET = re.compile(r"\bname of (a|an|the)\b[\w' ]*\bsecret\b", re.IGNORECASE)
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # a Kubernetes name


def find_credentials(document: Document) -> tuple[list[Finding], frozenset[str]]:
    """Look at the parameters' defaults, the pods' variables, labels and annotations.

    A parameter whose description says that it is the name of a Secret may have the name
    of one as its default.

    Returns:
        The findings, and the values that no output may show.
    """
    findings, values = [], set()
    for place, name, value in _texts(document):
        if found := find_credential(value):
            code = _CODES.get(found.kind, "P112")
            findings.append(Finding(code, place, f"it holds {found.kind}"))
            values.add(found.value)
        elif names_credential(name) and not is_reference(value):
            findings.append(Finding("P110", place, f"`{name}` has a literal value"))
            values.add(value)
    return findings, frozenset(values)


def hide(text: str, values: Collection[str]) -> str:
    """Replace the values in a text.

    >>> hide("cannot parse hunter2", ["hunter2"])
    'cannot parse •••'
    """
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_HIDDEN:
            text = text.replace(value, _HIDDEN)
    return text


def _texts(document: Document) -> Iterator[tuple[str, str, str]]:
    """(place, name, value) of each text that a user can set."""
    for name, parameter in document.parameters.items():
        is_name = _NAME_OF_SECRET.search(parameter.get("description", ""))
        for key, value in _named(name, parameter.get("defaultValue")):
            if not (is_name and _RESOURCE.fullmatch(value)):
                yield f"parameter {name}", key, value
    for executor, spec in document.executors.items():
        for entry in spec.get("container", {}).get("env", ()):
            name = entry.get("name", "")
            yield f"executor {executor}, env {name}", name, entry.get("value", "")
        settings = document.settings.get(executor, {})
        metadata = settings.get("podMetadata", {})
        for kind, given in (
            ("annotation", metadata.get("annotations", {})),
            ("label", metadata.get("labels", {})),
            ("node selector", settings.get("nodeSelector", {}).get("labels", {})),
        ):
            for name, value in given.items():
                place = f"executor {executor}, {kind} {name}"
                yield place, name.rpartition("/")[2], value


def _named(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The texts in a value, each with its name; a trial of a sweep is JSON."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named(key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(name, inner)
    elif isinstance(value, str):
        tree = _json_object(value)
        yield from _named(name, tree) if tree else [(name, value)]


def _json_object(text: str) -> Any:
    try:
        tree = json.loads(text) if text.startswith("{") else None
    except ValueError:
        return None
    return tree if isinstance(tree, dict) else None
