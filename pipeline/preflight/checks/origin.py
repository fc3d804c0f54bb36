"""Whether a document is ours, and unchanged since it was compiled: P105."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pipeline.dag.document import Document
from pipeline.preflight.findings import Finding
from seglib.errors import UsageError

# A user sets these: by the configuration, the cluster file or --parallel.
_SETTINGS = frozenset({"retryPolicy", "iteratorPolicy"})
_MOST_PLACES = 4


def require_ours(document: Document) -> None:
    """Raise a UsageError for a pipeline of another project."""
    names = sorted(_builders())
    if document.name not in names:
        raise UsageError(
            f"{document.path}: the pipeline {document.name!r} is not one of this "
            f"project. Expected {' or '.join(names)}. `doctor` examines what `python "
            "-m pipeline compile -o FILE.yaml` and `python -m pipeline sweep -o "
            "FILE.yaml` write."
        )


def check_origin(document: Document) -> Iterator[Finding]:
    """Compare components, wiring and commands with what this checkout compiles."""
    expected, found = _compiled_parts(document.name), _parts(document.spec)
    names = sorted(expected.keys() | found.keys())
    places = [name for name in names if expected.get(name) != found.get(name)]
    if places:
        more = len(places) - _MOST_PLACES
        where = ", ".join(places[:_MOST_PLACES])
        where += f" and {more} more" if more > 0 else ""
        yield Finding("P105", where, "differs from what this checkout compiles")


@cache
def _compiled_parts(name: str) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return _parts(MessageToDict(_builders()[name]().pipeline_spec))


def _builders() -> dict[str, Any]:
    """The pipelines of this project: name -> function that builds it."""
    from pipeline.dag.lean_kfp import import_kfp

    import_kfp()
    from pipeline.dag import sweep, training
    from pipeline.dag.sweep_trials import Sweep
    from seglib.config import Config

    trials = ({"epochs": 1},)
    return {
        training.NAME: training.training_pipeline,
        sweep.NAME: lambda: sweep.sweep_pipeline(Sweep(trials), Config()),
    }


def _parts(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What no setting changes, by place."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    return {
        "the pipeline": _without(spec["root"], _SETTINGS | {"defaultValue"}),
        **{
            f"component {name}": _without(component, _SETTINGS)
            for name, component in spec.get("components", {}).items()
        },
        **{
            f"executor {name}": [
                executor.get("container", {}).get(key) for key in ("command", "args")
            ]
            for name, executor in executors.items()
        },
    }


def _without(tree: Any, keys: frozenset[str]) -> Any:
    if isinstance(tree, Mapping):
        return {k: _without(v, keys) for k, v in tree.items() if k not in keys}
    return [_without(v, keys) for v in tree] if isinstance(tree, list) else tree
