"""Kubernetes' resources as a YAML file that kubectl reads as it was meant."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from seglib.errors import SegError
from seglib.storage.atomic_write import write_bytes

_SUFFIXES = (".yaml", ".yml")
# PyYAML takes them for texts and writes no quotes; kubectl takes them for numbers.
_NUMBER_TO_GO = re.compile(r"[-+]?[\d.]+e[-+]?\d+|0o[0-7]+|[yn]", re.IGNORECASE)


def resources_text(resources: Iterable[Mapping[str, Any]]) -> str:
    """The documents of a file; equal resources give equal text."""
    return yaml.dump_all(resources, Dumper=_Plain, sort_keys=False, width=88)


def write_resources(resources: Iterable[Mapping[str, Any]], output: Path) -> None:
    """Write resources as one file; what is there stays if that fails.

    Raises:
        SegError: the file cannot be written, or its name is not that of a YAML file.
    """
    if output.suffix not in _SUFFIXES:
        raise SegError(f"{output}: expected a name that ends in .yaml.")
    write_bytes(output, resources_text(resources).encode())


class _Plain(yaml.SafeDumper):
    """Quotes what Go would misread, and writes out what is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def _text(self, text: str) -> yaml.ScalarNode:
        style = "'" if _NUMBER_TO_GO.fullmatch(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    yaml_representers: ClassVar[dict[Any, Any]] = {
        **yaml.SafeDumper.yaml_representers,
        str: _text,
    }
