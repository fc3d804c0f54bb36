"""Which steps Argo repeats: `workflow-controller-configmap`, and S216.

KFP 2.17 writes no `retryPolicy` into a step's own `retryStrategy`. Argo merges what its
configuration gives as default of all templates into it, so that one setting decides for
all pipelines; without one, Argo's own default is OnFailure.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.document import Document
from pipeline.preflight.findings import Finding

CONFIG_MAP = "workflow-controller-configmap"
_FAILS = "that fails (exit code, memory, timeout)"
_REPEATED = {
    "Always": f"a step {_FAILS} and one whose pod is deleted",
    "OnError": f"a step whose pod is deleted, and none {_FAILS}",
    "OnFailure": f"a step {_FAILS}, and none whose pod is deleted",
    "OnTransientError": "what its controller's TRANSIENT_ERROR_PATTERN names",
}


def see_repetition(data: Mapping[str, str], document: Document) -> Seen:
    """Say what Argo repeats, by the data of its ConfigMap."""
    try:
        strategy = _default_strategy(data)
    except (yaml.YAMLError, AttributeError):
        what = "its workflowDefaults are no workflow in YAML"
        return Seen((Finding(code="S216", where=_where(), what=what),))
    policy = str(strategy.get("retryPolicy") or "")
    condition = str(strategy.get("expression") or "")
    policy = policy or ("Always" if condition else "OnFailure")
    repeated = _REPEATED.get(policy, policy)
    note = f"Argo repeats {repeated} (retryPolicy {policy} in {CONFIG_MAP})"
    if condition:
        note += f", if {condition}"
    retried = (task.spec.get("retryPolicy", {}) for task in document.tasks())
    if policy == "OnFailure" and any(one.get("maxRetryCount") for one in retried):
        what = f"Argo repeats {repeated}: its retryPolicy is OnFailure"
        return Seen((Finding(code="S216", where=_where(), what=what),), (note,))
    return Seen((), (note,))


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


def _where() -> str:
    return f"config map {CONFIG_MAP}"
