"""Which steps Argo repeats, by workflow-controller-configmap: S216.

KFP 2.17 writes no `retryPolicy` into a step's own `retryStrategy`. Argo merges its
configured default of all templates into it, so that one setting decides for all
pipelines; without one, Argo's own default is OnFailure.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.findings import Finding, FoundError
from pipeline.preflight.pod import Pod

CONFIG_MAP = "workflow-controller-configmap"
_WHERE = f"config map {CONFIG_MAP}"
_FAILS = "that fails (exit code, memory, timeout)"
_REPEATED = {
    "Always": f"a step {_FAILS} and one whose pod is deleted",
    "OnError": f"a step whose pod is deleted, and none {_FAILS}",
    "OnFailure": f"a step {_FAILS}, and none whose pod is deleted",
    "OnTransientError": "errors that its controller's TRANSIENT_ERROR_PATTERN names",
}


def see_repetition(data: Mapping[str, str], pods: list[Pod]) -> Seen:
    """Say what Argo repeats.

    Args:
        data: of its ConfigMap.
        pods: of the pipeline; without retries nothing of it is repeated.
    """
    try:
        strategy = _default_strategy(data)
    except (yaml.YAMLError, AttributeError) as error:
        what = "its workflowDefaults are no workflow in YAML"
        raise FoundError("S216", _WHERE, what) from error
    condition = str(strategy.get("expression") or "")
    default = "Always" if condition else "OnFailure"
    policy = str(strategy.get("retryPolicy") or default)
    repeated = _REPEATED.get(policy, policy)
    note = f"Argo repeats {repeated} (retryPolicy {policy} in {CONFIG_MAP})"
    yield note + (f", if {condition}" if condition else "")
    if policy == "OnFailure" and any(pod.retries for pod in pods):
        what = f"Argo repeats {repeated}: its retryPolicy is OnFailure"
        yield Finding("S216", _WHERE, what)


def _default_strategy(data: Mapping[str, str]) -> Mapping[str, Any]:
    """The default of every template: a key of its own, or one of the key `config`."""
    defaults = yaml.safe_load(data.get("workflowDefaults") or "")
    if defaults is None:
        config = yaml.safe_load(data.get("config") or "") or {}
        defaults = config.get("workflowDefaults") or {}
    templates = (defaults.get("spec") or {}).get("templateDefaults") or {}
    strategy: Mapping[str, Any] = templates.get("retryStrategy") or {}
    strategy.get("limit")  # an AttributeError where it is no mapping
    return strategy
