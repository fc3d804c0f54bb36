"""What a task printed: from KFP's API, else from its pod."""

import re
from typing import Any

from pipeline.cluster.connection import Cluster, attempt
from pipeline.cluster.failures import ClusterError, shortened
from pipeline.cluster.runs import Run, Task
from seglib.errors import SegError, unknown

_IMPL = "system-container-impl"  # Argo's template of all of KFP's steps
_NODE_NAME = "workflows.argoproj.io/node-name"
_RUN_LABEL = "pipeline/runid"


def find_task(run: Run, name: str = "") -> Task:
    """A task by its name, `train` for train-model, too.

    Args:
        name: empty: the one that failed, else the one that runs, else the last.

    Raises:
        SegError: there is none.
    """
    if not run.tasks:
        raise SegError(
            f"{run.name} has no tasks yet: it is {run.state}. {run.error}".rstrip()
        )
    if not name:
        for state in ("FAILED", "RUNNING"):
            if found := [task for task in run.tasks if task.state == state]:
                return found[0]
        return run.tasks[-1]
    wanted = name.replace("_", "-")
    for task in run.tasks:
        if task.name == wanted:
            return task
    near = [task for task in run.tasks if task.name.startswith(f"{wanted}-")]
    if len(near) == 1:
        return near[0]
    raise unknown("task", name, {task.name for task in run.tasks})


def read_log(cluster: Cluster, run: Run, task: Task) -> str:
    """What a task has printed so far.

    Raises:
        SegError: it has nothing to print, or nobody gives its log.
    """
    if task.cached:
        raise SegError(
            f"{task.name} printed nothing in this run: its result is from the cache. "
            "The row in MLflow says which run made it (tag step.…)."
        )
    reasons = []
    for pod in _names(task):
        try:
            return _from_kfp(cluster, run, pod)
        except ClusterError as error:
            if error.kind in ("unauthenticated", "forbidden", "refused", "unreachable"):
                raise
            reasons.append(str(error))
    try:
        return _from_pods(cluster, run, task)
    except SegError as error:
        reasons.append(str(error))
    told = "\n".join(f"  {reason}" for reason in dict.fromkeys(reasons))
    namespace = _namespace(cluster)
    raise SegError(
        f"{task.name} ({task.state}): no log. A pod that is gone took it along, "
        "unless Argo archives logs; the page of the run shows archived ones: "
        f"{cluster.url('runs', 'details', run.run_id)}\n{told}\n"
        f"By hand: kubectl logs -n {namespace} -l {_RUN_LABEL}={run.run_id} -c main"
    )


def _from_kfp(cluster: Cluster, run: Run, pod: str) -> str:
    path = f"/apis/v1alpha1/runs/{run.run_id}/nodes/{pod}/log"
    return str(
        attempt(
            lambda: cluster.client.read(path),
            host=cluster.client.address,
            doing=f"read the log of {pod}",
            patience=cluster.endpoint.patience,
            again=False,  # KFP says 500 where the pod is gone: trying again is no use
        )
    )


def _names(task: Task) -> list[str]:
    """What its pod may be called: as Argo's node, or with the template in it."""
    found = []
    for node in task.pods:
        workflow, _, number = node.rpartition("-")
        found += [f"{workflow}-{_IMPL}-{number}", node] if workflow else [node]
    return found


def _from_pods(cluster: Cluster, run: Run, task: Task) -> str:
    """By the Kubernetes API, where this machine may ask it."""
    import urllib3
    from kubernetes import client, config

    try:
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            context = cluster.endpoint.context or None
            config.load_kube_config(client_configuration=configuration, context=context)
        configuration.retries = 1
        core = client.CoreV1Api(client.ApiClient(configuration))
        timeout = cluster.endpoint.timeout_s
        namespace = _namespace(cluster)
        pods = core.list_namespaced_pod(
            namespace,
            label_selector=f"{_RUN_LABEL}={run.run_id}",
            _request_timeout=timeout,
        ).items
        mine = sorted(
            (pod for pod in pods if _is_of(pod, task)),
            key=lambda pod: pod.metadata.creation_timestamp,
        )
        if not mine:
            raise SegError(
                f"Kubernetes: {len(pods)} pod(s) of the run in {namespace}, none of "
                f"{task.name}."
            )
        return str(
            core.read_namespaced_pod_log(
                mine[-1].metadata.name,
                namespace,
                container="main",
                _request_timeout=timeout,
            )
        )
    except config.ConfigException as error:
        raise SegError(f"Kubernetes: {shortened(str(error))}") from error
    except client.ApiException as error:
        role = " (the role needs get and list of pods, and get of pods/log)"
        note = role if error.status == 403 else ""
        raise SegError(f"Kubernetes: {error.status} {error.reason}{note}") from error
    except urllib3.exceptions.HTTPError as error:
        raise SegError(f"Kubernetes: {shortened(str(error))}") from error


def _is_of(pod: Any, task: Task) -> bool:
    """Whether a pod executes the task: …root.train-model.executor, perhaps (0)."""
    name = (pod.metadata.annotations or {}).get(_NODE_NAME, "")
    pattern = rf"(.*\.)?{re.escape(task.name)}\.executor(\(\d+\))?"
    return bool(re.fullmatch(pattern, name)) or pod.metadata.name in task.pods


def _namespace(cluster: Cluster) -> str:
    return cluster.scope.get("namespace") or cluster.endpoint.namespace
