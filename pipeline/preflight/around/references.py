"""Secrets, config maps and claims that pods refer to."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.preflight.pod import Pod


@dataclass(frozen=True)
class Reference:
    """An object that pods need, with the keys that they take."""

    kind: str  # "secret", "config map" or "volume claim"
    name: str
    keys: frozenset[str]
    executors: tuple[str, ...]


def references(pods: list[Pod]) -> list[Reference]:
    """Every object once; optional ones are left out."""
    keys: dict[tuple[str, str], set[str]] = {}
    executors: dict[tuple[str, str], list[str]] = {}
    for pod in pods:
        for kind, name, wanted in _of_pod(pod):
            keys.setdefault((kind, name), set()).update(wanted)
            executors.setdefault((kind, name), []).append(pod.executor)
    return [
        Reference(*one, frozenset(wanted), tuple(dict.fromkeys(executors[one])))
        for one, wanted in sorted(keys.items())
    ]


def _of_pod(pod: Pod) -> Iterator[tuple[str, str, set[str]]]:
    for kind, field in (("secret", "secret"), ("config map", "configMap")):
        for source in pod.entries(f"{field}AsEnv"):
            if not source.get("optional"):
                pairs = source.get("keyToEnv", ())
                wanted = {pair.get(f"{field}Key", "") for pair in pairs}
                yield kind, source.get(f"{field}Name", ""), wanted
    for source in pod.entries("imagePullSecret"):
        yield "secret", source.get("secretName", ""), set()
    for source in pod.entries("pvcMount"):
        yield "volume claim", source.get("constant", ""), set()
