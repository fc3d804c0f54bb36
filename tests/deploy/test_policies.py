"""Who may talk to whom, worked out from the network policies."""

from collections.abc import Iterable

import pytest

from pipeline.train_job.plan import LABEL
from tests.deploy.manifests import Document, Manifests, Pod, selects

STEP = Pod("a step", {"pipeline/runid": "1"}, {"containers": []})
TRAINER = Pod("one of a training's", {LABEL: "job"}, {"containers": []})
CLIENT = Pod("a client", {"seglib-serving-client": "true"}, {"containers": []})
STRANGER = Pod("a stranger", {"app": "anything"}, {"containers": []})
KUBEFLOW = Pod("KFP's API server", {"app": "ml-pipeline"}, {"containers": []})
ALLOWED = {
    (STEP.owner, "seglib-mlflow", 5000),
    (STEP.owner, "seglib-s3", 8333),
    (TRAINER.owner, "seglib-mlflow", 5000),
    (TRAINER.owner, "seglib-s3", 8333),
    (KUBEFLOW.owner, "seglib-mlflow", 5000),
    (CLIENT.owner, "seglib-serving", 8500),
    (CLIENT.owner, "seglib-serving", 8501),
    ("seglib-mlflow", "seglib-postgres", 5432),
    ("seglib-mlflow", "seglib-s3", 8333),
    ("seglib-serving", "seglib-s3", 8333),
}


@pytest.mark.parametrize("variant", ["base", "kind"])
def test_what_is_allowed_is_exactly_what_each_needs(built, variant: str) -> None:
    assert _traffic(built(variant)) == ALLOWED


@pytest.mark.parametrize("variant", ["kind", "cloud"])
def test_the_exit_task_may_ask_kfps_api(built, variant: str) -> None:
    manifests = built(variant)
    address = manifests.get("ConfigMap", "seglib")["data"]["SEGLIB_KFP_API"]
    assert address == "http://ml-pipeline.kubeflow.svc:8888"
    assert _rules(manifests, STEP, "egress") is None, "nothing of ours limits it"
    assert _rules(manifests, KUBEFLOW, "ingress") is None


def test_in_a_cloud_store_and_database_are_outside(built) -> None:
    inside = {"seglib-mlflow", "seglib-serving"}
    cloud = built("cloud")
    assert _traffic(cloud) == {
        (source, target, port)
        for source, target, port in ALLOWED
        if target in inside and source not in inside
    }
    assert _outside(cloud, "seglib-mlflow") == {443, 5432}
    assert _outside(cloud, "seglib-serving") == {443}


def test_no_pod_reaches_the_metadata_of_its_node(built) -> None:
    for policy in built("cloud").of("NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            for peer in rule["to"]:
                block = peer.get("ipBlock", {"cidr": ""})
                if block["cidr"] == "0.0.0.0/0":
                    assert "169.254.0.0/16" in block["except"]


def test_kserves_pods_keep_the_same_policies(built) -> None:
    as_kserve_names_it = {
        tuple(str(part).replace("serving", "champion") for part in flow)
        for flow in ALLOWED
        if flow[2] != 8500  # KServe's Service has one port
    }
    found = _traffic(built("kind with components"))
    assert {tuple(map(str, flow)) for flow in found} == as_kserve_names_it


def test_policies_name_pods_that_are_there(manifests: Manifests) -> None:
    pods = [*manifests.pods(), STEP, TRAINER, CLIENT, KUBEFLOW]
    for policy in manifests.of("NetworkPolicy"):
        spec = policy["spec"]
        peers = [
            peer
            for rule in [*spec.get("ingress", []), *spec.get("egress", [])]
            for peer in [*rule.get("from", []), *rule.get("to", [])]
            if "podSelector" in peer and "kube-dns" not in str(peer)
        ]
        for selector in [spec["podSelector"], *(p["podSelector"] for p in peers)]:
            assert any(selects(selector, pod.labels) for pod in pods), policy


def test_who_calls_others_by_name_may_ask_for_names(built) -> None:
    for name in ("seglib-mlflow", "seglib-serving"):
        rules = _rules(built("kind"), _named(built("kind"), name), "egress")
        dns = [r for r in rules if "kube-dns" in str(r)]
        assert {(p["protocol"], p["port"]) for r in dns for p in r["ports"]} == {
            ("UDP", 53),
            ("TCP", 53),
        }


def _traffic(manifests: Manifests) -> set[tuple[str, str, int]]:
    pods = manifests.pods()
    return {
        (_short(source), _short(target), port)
        for source in [*pods, STEP, TRAINER, CLIENT, STRANGER, KUBEFLOW]
        for target in pods
        for port in target.ports
        if isinstance(port, int) and port and source is not target
        if _passes(_rules(manifests, source, "egress"), "to", target, port, target)
        if _passes(_rules(manifests, target, "ingress"), "from", source, port, target)
    }


def _rules(manifests: Manifests, pod: Pod, direction: str) -> list[Document] | None:
    """What is allowed to a pod; None if no policy takes it."""
    taking = [
        policy["spec"]
        for policy in manifests.of("NetworkPolicy")
        if selects(policy["spec"]["podSelector"], pod.labels)
        and direction.capitalize() in policy["spec"]["policyTypes"]
    ]
    if not taking:
        return None
    return [rule for spec in taking for rule in spec.get(direction, [])]


def _passes(
    rules: list[Document] | None, side: str, other: Pod, port: int, target: Pod
) -> bool:
    if rules is None:
        return True
    return any(
        port in _numbers(rule["ports"], target)
        and any(
            # in the pod's own namespace, or in any
            selects(peer["podSelector"], other.labels)
            and not peer.get("namespaceSelector")
            for peer in rule[side]
            if "podSelector" in peer
        )
        for rule in rules
    )


def _numbers(ports: Iterable[Document], target: Pod) -> set[int]:
    names = {
        port["name"]: port["containerPort"]
        for container in target.containers
        for port in container.get("ports", [])
    }
    return {names.get(port["port"], port["port"]) for port in ports}


def _outside(manifests: Manifests, name: str) -> set[int]:
    rules = _rules(manifests, _named(manifests, name), "egress") or []
    return {
        port["port"]
        for rule in rules
        if any("ipBlock" in peer for peer in rule["to"])
        for port in rule["ports"]
    }


def _named(manifests: Manifests, name: str) -> Pod:
    return next(pod for pod in manifests.pods() if _short(pod) == name)


def _short(pod: Pod) -> str:
    return pod.owner.split("/")[-1]
