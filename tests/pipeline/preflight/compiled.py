"""A compiled file as it is written, to be broken."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

IMAGE = f"registry.example/seglib@sha256:{'a' * 64}"


class Compiled(NamedTuple):
    """The two documents of a compiled file, as they are written."""

    pipeline: Any
    platform: Any

    @property
    def executors(self) -> Any:
        return self.pipeline["deploymentSpec"]["executors"]

    @property
    def pods(self) -> Any:
        return self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]

    def container(self, step: str) -> Any:
        return self.executors[f"exec-{step}"]["container"]

    def write(self, path: Path) -> Path:
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        trees = [self.pipeline, self.platform]
        path.write_text(yaml.dump_all(trees, Dumper=dumper))
        return path


def read_compiled(path: Path) -> Compiled:
    """Read a compiled file; without settings for Kubernetes those are empty."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    pipeline, *platform = yaml.load_all(path.read_text(), Loader=loader)
    return Compiled(pipeline, platform[0] if platform else {})
