"""Every document, against Kubernetes' schemas and against the other documents."""

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from pipeline.kfp.kubernetes_api import SCHEDULES, WORKFLOWS
from tests.deploy.manifests import Manifests, Pod, references, selects

VERSIONS = ("1.33", "1.37")  # sidecars are stable since the first
NAMESPACE = "kubeflow"
PART_OF = "app.kubernetes.io/part-of"
# What a predictor of KServe has besides a pod's own fields (kserve/kserve, Apache-2.0:
# python/kserve/docs/V1beta1ComponentExtensionSpec.md and V1beta1PredictorSpec.md).
OF_KSERVE = {
    *("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "timeout"),
    *("labels", "annotations", "containerConcurrency", "canaryTrafficPercent"),
}


def _validate(document: dict) -> None:
    import kubernetes_validate

    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


def test_every_document_keeps_kubernetes_schema(manifests: Manifests) -> None:
    for document in manifests.documents:
        if document["kind"] != "InferenceService":
            _validate(document)


def test_the_schemas_refuse_what_they_do_not_know(built) -> None:
    import kubernetes_validate

    document = built("base").get("Service", "seglib-s3")
    for wrong in ({"port": "8333"}, {"port": 8333, "target": 1}):
        with pytest.raises(kubernetes_validate.ValidationError):
            _validate({**document, "spec": {"ports": [wrong]}})


def test_the_predictor_of_kserve_is_a_pod_with_fields_of_kserve(built) -> None:
    champion = built("kind with components").get("InferenceService", "seglib-champion")
    predictor = champion["spec"]["predictor"]
    pod = {key: value for key, value in predictor.items() if key not in OF_KSERVE}
    _validate(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "predictor"},
            "spec": pod,
        }
    )
    assert [c["name"] for c in pod["containers"]] == ["kserve-container"]
    assert [p["containerPort"] for p in pod["containers"][0]["ports"]] == [8501]


def test_kserve_runs_the_pod_of_the_deployment(built) -> None:
    def comparable(pod: Pod) -> dict:
        spec = {k: v for k, v in deepcopy(pod.spec).items() if k not in OF_KSERVE}
        (follower,), (server,) = spec["initContainers"], spec["containers"]
        for variable in follower["env"]:
            variable["valueFrom"].get("secretKeyRef", {}).pop("optional", None)
        server = {**server, "name": "", "ports": []}
        return {**spec, "containers": [server]}

    deployed = built("base").pod("Deployment/seglib-serving")
    predictor = built("base with components").pod("InferenceService/seglib-champion")
    assert comparable(predictor) == comparable(deployed)
    assert predictor.labels == deployed.labels
    assert not built("base with components").has("Deployment", "seglib-serving")


def test_the_server_is_given_the_followed_folder_and_the_documented_name(
    built, repository: Path
) -> None:
    guide = (repository / "docs" / "export.md").read_text()
    (name,) = set(re.findall(r"/v1/models/(\w+):predict", guide))
    for overlay, owner in (
        ("base", "Deployment/seglib-serving"),
        ("base with components", "InferenceService/seglib-champion"),
    ):
        follower, server = built(overlay).pod(owner).lasting
        given = dict(one.lstrip("-").split("=") for one in server["args"])
        assert given["model_name"] == name
        assert given["model_base_path"] == follower["command"][-1]
        assert server["startupProbe"]["httpGet"]["path"] == f"/v1/models/{name}"


def test_all_lies_in_the_namespace_of_the_pipeline(manifests: Manifests) -> None:
    outside = [
        document["metadata"]["name"]
        for document in manifests.documents
        if document["metadata"].get("namespace") != NAMESPACE
        and document["kind"] != "StorageClass"  # has none
    ]
    assert not outside


def test_every_reference_leads_to_something(
    manifests: Manifests, request: pytest.FixtureRequest, secrets: Callable
) -> None:
    cloud = "cloud" in request.node.callspec.params["manifests"]
    known = secrets("cloud" if cloud else "")
    missing = []
    for pod in manifests.pods():
        for kind, name, key in references(pod):
            source = known if kind == "Secret" else manifests
            if not source.has(kind, name):
                missing.append(f"{pod.owner}: {kind}/{name}")
            elif key and key not in source.get(kind, name)["data"]:
                missing.append(f"{pod.owner}: {key} of {kind}/{name}")
    assert not missing


def test_every_secret_is_needed_by_somebody(built, secrets: Callable) -> None:
    for variant, folder in (("kind", ""), ("cloud", "cloud")):
        used = {
            (name, key)
            for pod in built(variant).pods()
            for kind, name, key in references(pod)
            if kind == "Secret"
        }
        given = {
            (document["metadata"]["name"], key)
            for document in secrets(folder).documents
            for key in document["data"]
        }
        assert given == used


def test_every_mount_has_its_volume(manifests: Manifests) -> None:
    for pod in manifests.pods():
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
        mounts = {m["name"] for c in pod.containers for m in c.get("volumeMounts", [])}
        assert mounts == volumes | pod.claims, pod.owner


def test_every_variable_that_is_expanded_is_set_before(manifests: Manifests) -> None:
    for pod in manifests.pods():
        for container in pod.containers:
            known: set[str] = set()
            for source in container.get("envFrom", []):
                name = source["configMapRef"]["name"]
                known |= set(manifests.get("ConfigMap", name)["data"])
            for variable in container.get("env", []):
                used = re.findall(r"\$\((\w+)\)", variable.get("value") or "")
                assert set(used) <= known, (pod.owner, variable)
                known.add(variable["name"])
            words = [*container.get("command", []), *container.get("args", [])]
            for word in words if words[0] not in ("sh", "/bin/sh") else []:
                assert set(re.findall(r"\$\((\w+)\)", word)) <= known, pod.owner


def test_services_lead_to_ports_of_pods(manifests: Manifests) -> None:
    for service in manifests.of("Service"):
        spec = service["spec"]
        pods = [
            pod
            for pod in manifests.pods()
            if selects({"matchLabels": spec["selector"]}, pod.labels)
        ]
        assert len(pods) == 1, service["metadata"]["name"]
        for port in spec["ports"]:
            assert port["targetPort"] in pods[0].ports


def test_selectors_take_their_own_pods_only(manifests: Manifests) -> None:
    for document in manifests.of("Deployment", "StatefulSet", "PodDisruptionBudget"):
        taken = [
            pod.owner
            for pod in manifests.pods()
            if selects(document["spec"]["selector"], pod.labels)
        ]
        if document["kind"] == "PodDisruptionBudget":
            assert len(taken) == 1
        else:
            assert taken == [f"{document['kind']}/{document['metadata']['name']}"]


def test_every_container_is_restricted(manifests: Manifests) -> None:
    for pod in manifests.pods():
        whole = pod.spec["securityContext"]
        assert whole["runAsNonRoot"] is True
        assert whole["runAsUser"] > 0
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
        for container in pod.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, (pod.owner, container["name"])
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert "/tmp" in mounts  # the root file system takes no files


def test_every_container_says_what_it_needs_and_how_it_is(manifests: Manifests) -> None:
    for pod in manifests.pods():
        for container in pod.containers:
            resources = container["resources"]
            for part in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(resources[part]), pod.owner
        for container in pod.lasting:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert probe in container, (pod.owner, container["name"], probe)
                for kind in ("httpGet", "tcpSocket"):
                    if kind in container[probe]:
                        assert container[probe][kind]["port"] in pod.ports
        for volume in pod.spec.get("volumes", []):
            if "persistentVolumeClaim" not in volume:
                assert "sizeLimit" in volume["emptyDir"], (pod.owner, volume["name"])


def test_every_image_is_pinned(manifests: Manifests) -> None:
    digest = re.compile(r"@sha256:[0-9a-f]{64}$")
    by_tag = {
        container["image"]
        for pod in manifests.pods()
        for container in pod.containers
        if not digest.search(container["image"])
    }
    assert by_tag <= {"seglib:cpu", "tensorflow/serving:2.21.0"}


def test_components_and_base_name_the_same_images(repository: Path) -> None:
    def images(folder: str) -> dict[str, dict]:
        text = (repository / "deploy" / folder / "kustomization.yaml").read_text()
        return {image["name"]: image for image in yaml.safe_load(text)["images"]}

    base, kserve = images("base"), images("components/kserve")
    assert kserve == {name: base[name] for name in kserve}


def test_no_manifest_has_a_secret_in_it(manifests: Manifests) -> None:
    assert not manifests.of("Secret")
    named = re.compile("PASSWORD|SECRET|KEY|TOKEN")
    for pod in manifests.pods():
        for container in pod.containers:
            for variable in container.get("env", []):
                if named.search(variable["name"]):
                    assert "secretKeyRef" in variable["valueFrom"], variable["name"]


def test_no_variable_of_ours_is_one_that_a_service_of_any_name_makes(
    repository: Path,
) -> None:
    """KFP's pods get variables of every Service, and they cannot be switched off."""
    folders = ("seglib", "components", "pipeline", "deploy", "configs")
    files = [file for name in folders for file in (repository / name).rglob("*.*")]
    files += [repository / "Dockerfile", repository / "Makefile"]
    ours = re.compile(r"\b(?:SEGLIB|KFP|RETRAIN|FINALIZE)_[A-Z0-9_]*[A-Z0-9]\b")
    texts = (f.read_text() for f in files if f.suffix != ".pyc")
    found = {name for text in texts for name in ours.findall(text)}
    assert len(found) > 25
    made = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_.+)?)")
    assert made.fullmatch("SEGLIB_MLFLOW_PORT_5000_TCP_ADDR")
    assert not {name for name in found if made.fullmatch(name)}


@pytest.mark.parametrize("overlay", ["kind", "cloud"])
def test_no_service_makes_the_port_that_mlflows_command_reads(built, overlay) -> None:
    names = {one["metadata"]["name"] for one in built(overlay).of("Service")}
    assert "mlflow" not in names  # MLFLOW_PORT=tcp://…


def test_the_pipelines_names_are_there(built, secrets: Callable) -> None:
    """The names that the pods of a compiled pipeline refer to by default."""
    base = built("kind")
    assert set(base.get("ConfigMap", "seglib")["data"]) == {
        "MLFLOW_TRACKING_URI",
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "SEGLIB_CHECKPOINTS",
        "SEGLIB_KFP_API",
        "SEGLIB_KFP_UI",
    }
    keys = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert set(secrets("").get("Secret", "seglib-s3")["data"]) == keys
    assert base.has("PersistentVolumeClaim", "seglib-cache")
    assert base.has("ServiceAccount", "pipeline-runner")


def test_addresses_in_settings_are_those_of_services(built) -> None:
    base = built("kind")
    settings = base.get("ConfigMap", "seglib")["data"]
    for key in ("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL"):
        match = re.fullmatch(r"http://([\w-]+)\.(\w+)\.svc:(\d+)", settings[key])
        assert match
        service = base.get("Service", match[1])
        assert match[2] == service["metadata"]["namespace"]
        assert int(match[3]) in [port["port"] for port in service["spec"]["ports"]]
    (server,) = base.pod("Deployment/seglib-mlflow").lasting
    hosts = next(a for a in server["args"] if a.startswith("--allowed-hosts="))
    host = settings["MLFLOW_TRACKING_URI"].removeprefix("http://")
    assert host in hosts.removeprefix("--allowed-hosts=").split(",")


def test_the_role_that_replaces_kubeflows_is_ours(built) -> None:
    both = built("kind with components")
    ours = both.get("Role", "seglib-runner")["rules"]
    assert both.get("Role", "pipeline-runner")["rules"] == ours
    for rule in ours:
        assert not {"*"} & {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        if rule["resources"] == ["secrets"]:
            assert rule["resourceNames"]
            assert rule["verbs"] == ["get"]
    binding = both.get("RoleBinding", "seglib-runner")
    assert binding["roleRef"]["name"] == "seglib-runner"
    assert binding["subjects"][0]["name"] == "pipeline-runner"
    assert binding["subjects"][0]["namespace"] == NAMESPACE


def test_the_role_of_submitters_allows_to_find_and_end_what_was_half_made(
    built,
) -> None:
    role = built("kind").get("Role", "seglib-submitter")
    allowed = {
        f"{resource}.{rule['apiGroups'][0]}": {*rule["verbs"]}
        for rule in role["rules"]
        for resource in rule["resources"]
    }
    for resource in (WORKFLOWS, SCHEDULES):
        assert allowed[str(resource)] == {"get", "list", "delete"}
    assert role["metadata"]["namespace"] == NAMESPACE


def test_what_is_to_be_filled_in_is_marked(repository: Path) -> None:
    invented = re.compile(r"0{12,}|example|10\.0\.0\.0|eu-central-1")
    unmarked = [
        f"{path.name}: {line.strip()}"
        for path in sorted((repository / "deploy" / "overlays" / "cloud").iterdir())
        for line in path.read_text().splitlines()
        if invented.search(line) and "CHANGE-ME" not in line
        if not line.startswith("#")
    ]
    assert not unmarked
