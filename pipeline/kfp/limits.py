"""Limits of Kubeflow Pipelines' tables, checked before anything is sent.

KFP makes the workflow first and fills its tables after that: with a text that is too
long for its column it answers 500, and leaves a workflow that runs and that it lists
nowhere.
"""

import json
from collections.abc import Mapping
from typing import Any

from pipeline.kfp.connection import model
from seglib.errors import SegError

WIDTH = 255  # characters of a name or a description: varchar(255)
VERSION_WIDTH = 127  # of a version's name, by which KFP has an index
# Of all parameters together, as JSON: a column of older servers, and well below what
# Linux takes as one argument, which is how KFP's driver gets them.
PARAMETERS_BYTES = 65_535
_KINDS = {
    "V2beta1Run": "run",
    "V2beta1RecurringRun": "recurring run",
    "V2beta1Experiment": "experiment",
    "V2beta1Pipeline": "pipeline",
}


def sendable(kind: str, /, **fields: Any) -> Any:
    """An object of kfp-server-api's models, such as "V2beta1Run", that KFP can store.

    Raises:
        SegError: it is too long, or has a character that the tables do not take.
    """
    what = _KINDS[kind]
    for name, value in fields.items():
        if isinstance(value, str):
            check_text(f"the {what}'s {name.replace('_', ' ')}", value)
    if config := fields.get("runtime_config"):
        check_parameters(config.parameters)
        _check_characters("the pipeline root", config.pipeline_root or "")
    return model(kind, **fields)


def check_text(what: str, text: str, *, width: int = WIDTH) -> None:
    """Raise a SegError if a text does not fit into its column.

    Args:
        what: it is, for the message, such as "the run's display name".
        width: of the column, in characters.
    """
    _check_characters(what, text)
    if len(text) > width:
        raise SegError(
            f"Expected {what} to have at most {width} characters, as Kubeflow "
            f"Pipelines stores it. Received: {len(text)} characters: {text[:60]!r}…. "
            "Shorten it."
        )


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise a SegError if a run's parameters do not fit, the longest ones named."""
    sizes = {name: len(_json(value).encode()) for name, value in parameters.items()}
    for name, value in parameters.items():
        _check_characters(f"the parameter `{name}`", _json(value))
    size = len(_json(dict(parameters)).encode())
    if size > PARAMETERS_BYTES:
        longest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        told = ", ".join(f"{name} has {sizes[name]:,}" for name in longest)
        raise SegError(
            f"Expected parameters of at most {PARAMETERS_BYTES:,} bytes together. "
            f"Received: {size:,} bytes, of which {told}. Shorten these settings."
        )


def fitted(lines: Mapping[str, str], *, width: int = WIDTH) -> str:
    """A description: `name: value` lines that fit.

    Of the last value only the end is kept where it is too long: an image's name ends in
    its digest, which tells it.
    """
    *others, (name, value) = lines.items()
    head = "".join(f"{key}: {text}\n" for key, text in others) + f"{name}: "
    left = width - len(head)
    return head + (
        value if len(value) <= left else f"...{value[len(value) - left + 3 :]}"
    )


def _check_characters(what: str, text: str) -> None:
    """KFP speaks with its tables in MySQL's `utf8`, three bytes a character at most."""
    for character in text:
        if character > "\uffff" or character == "\0":
            raise SegError(
                f"Expected {what} without the character U+{ord(character):04X}: "
                "Kubeflow Pipelines' tables take U+0001 to U+FFFF. Replace it."
            )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
