"""What is missing around a pipeline, on real servers and on loopback."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.config import kube_config

from benchmarks.seaweedfs import environment, seaweedfs
from benchmarks.waiting import HANG_S
from pipeline.preflight import surroundings
from pipeline.preflight.cluster_state import see_repetition
from pipeline.preflight.findings import Finding, codes, in_order
from pipeline.preflight.looking import look_at_all
from pipeline.preflight.pods import Pod
from pipeline.preflight.surroundings import Surroundings
from tests.fakes import loopback
from tests.fakes.kfp_api import Fault, KfpApi
from tests.fakes.loopback import Answering, Reply, Request
from tests.fakes.s3_proxy import proxy
from tests.fakes.servers import MlflowServer, free_port, silent_server
from tests.pipeline.preflight.compiled import IMAGE
from tests.pipeline.preflight.loopback import CoreApi, Registry

DIGEST = IMAGE.partition("@")[2]
ACCOUNT = "pipeline-runner"
GPU = "nvidia.com/gpu"
FAILS = "that fails (exit code, memory, timeout)"
CONFIG_MAPS = "/api/v1/namespaces/kubeflow/configmaps"
Seen = Callable[..., Sequence[Finding]]


@pytest.fixture
def pods() -> list[Pod]:
    """Two pods, with one reference of each kind."""
    source = {"configMapName": "seglib", "keyToEnv": [{"configMapKey": "URI"}]}
    resources = {"resourceCpuRequest": "2", "resourceMemoryRequest": "4Gi"}
    gpu = {"accelerator": {"resourceType": GPU, "resourceCount": "1"}}
    keys = [{"secretKey": "KEY"}, {"secretKey": "SECRET"}]
    optional = {"secretName": "maybe", "optional": True, "keyToEnv": keys}
    train = {
        "configMapAsEnv": [source],
        "secretAsEnv": [{"secretName": "seglib-s3", "keyToEnv": keys}, optional],
        "pvcMount": [{"constant": "seglib-cache", "mountPath": "/cache"}],
        "nodeSelector": {"labels": {"pool": "gpu"}},
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
    }
    return [
        _pod("exec-gate-model", IMAGE, {"configMapAsEnv": [source]}, **resources),
        _pod("exec-train-model", IMAGE, train, **resources, **gpu),
    ]


def _pod(name: str, image: str, settings: Any, **resources: Any) -> Pod:
    return Pod(name, {"image": image, "resources": resources}, settings, retries=2)


@pytest.fixture
def looked(pods: list[Pod]) -> Callable[..., list[Finding | str]]:
    """All findings and notes about the surroundings, however long a look takes."""

    def look(*, timeout_s: float = HANG_S, **asked: Any) -> list[Finding | str]:
        around = Surroundings(timeout_s=timeout_s, **asked)
        return look_at_all(around.looks(pods))

    return look


@pytest.fixture
def seen(looked: Callable[..., list[Finding | str]]) -> Seen:
    """The findings, in order."""

    def look(**asked: Any) -> Sequence[Finding]:
        found = looked(**asked)
        return in_order(one for one in found if isinstance(one, Finding))

    return look


@pytest.fixture
def no_look_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends by the limit of its own requests."""
    monkeypatch.setattr(surroundings, "_GRACE_S", HANG_S)


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    # The client reads KUBECONFIG when it is imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    return path


@pytest.fixture
def api() -> CoreApi:
    """A cluster that has all of it."""
    api = CoreApi()
    api.add_secret("seglib-s3", "KEY", "SECRET", "MORE")
    api.add("V1ConfigMap", "seglib", data={"URI": "http://mlflow:5000"})
    api.add("V1ServiceAccount", ACCOUNT)
    bound = client.V1PersistentVolumeClaimStatus(phase="Bound")
    api.add("V1PersistentVolumeClaim", "seglib-cache", status=bound)
    taint = client.V1Taint(key=GPU, value="present", effect="NoSchedule")
    api.add_node("cpu-1")
    api.add_node("gpu-1", labels={"pool": "gpu"}, taints=(taint,), gpu="2")
    return api


def test_a_cluster_that_has_everything_gives_no_finding(
    seen: Seen, kubeconfig: Path, api: CoreApi
) -> None:
    with api.run(kubeconfig):
        assert seen(cluster=True, service_account=ACCOUNT) == ()
    assert not any("maybe" in path for path in api.asked), "it is optional"


def _argo(strategy: str, key: str = "workflowDefaults") -> dict[str, str]:
    """Its configuration, such as KFP 2.17.0 ships it."""
    default = f"spec: {{templateDefaults: {{retryStrategy: {strategy}}}}}"
    text = default if key == "workflowDefaults" else f"workflowDefaults: {{{default}}}"
    return {key: text}


def _add_argo(api: CoreApi, strategy: str) -> None:
    api.add("V1ConfigMap", "workflow-controller-configmap", data=_argo(strategy))


@pytest.mark.parametrize("key", ["workflowDefaults", "config"])
@pytest.mark.parametrize(
    ("strategy", "note"),
    [
        (  # as KFP 2.17.0 ships it
            "{limit: 2, retryPolicy: OnError}",
            f"a step whose pod is deleted, and none {FAILS} (retryPolicy OnError in",
        ),
        (
            "{limit: 2, retryPolicy: Always}",
            f"a step {FAILS} and one whose pod is deleted (retryPolicy Always in",
        ),
        ("{expression: 'true'}", "workflow-controller-configmap), if true"),
        ("{limit: 2}", "and none whose pod is deleted (retryPolicy OnFailure"),
    ],
)
def test_the_doctor_says_what_argo_repeats(
    pods: list[Pod], key: str, strategy: str, note: str
) -> None:
    once = [replace(pod, retries=0) for pod in pods]  # which no policy repeats
    (told,) = see_repetition(_argo(strategy, key), once)
    assert note in str(told)


def test_argos_configuration_is_looked_for_in_kfps_namespace_too(
    looked: Callable[..., list[Finding | str]],
    kubeconfig: Path,
    pods: list[Pod],
    api: CoreApi,
) -> None:
    pods[:] = [_pod("exec-gate-model", IMAGE, {})]
    api.add_namespace("vision")
    with api.run(kubeconfig):
        found = looked(cluster=True, namespace="vision")
        _add_argo(api, "{retryPolicy: Always}")
        found += looked(cluster=True, namespace="vision")
    without, told = (one for one in found if "Argo" in str(one))
    assert str(without).startswith("no workflow-controller-configmap: what Argo rep")
    assert "retryPolicy Always" in str(told)


def _lost(api: CoreApi) -> None:
    lost = client.V1PersistentVolumeClaimStatus(phase="Lost")
    api.add("V1PersistentVolumeClaim", "seglib-cache", status=lost)


@pytest.mark.parametrize(
    ("code", "what", "change"),
    [
        ("S203", "there is none", lambda api: api.remove("/kubeflow")),
        ("S204", "none in kubeflow", lambda api: api.remove("/pipeline-runner")),
        ("S210", "none in kubeflow", lambda api: api.remove("/seglib-s3")),
        (
            "S211",
            "it has no key KEY, SECRET, for exec-train-model",
            lambda api: api.add_secret("seglib-s3", "OTHER"),
        ),
        ("S212", "none in kubeflow", lambda api: api.remove("/seglib")),
        ("S213", "it has no key URI", lambda api: api.add("V1ConfigMap", "seglib")),
        ("S214", "none in kubeflow", lambda api: api.remove("/seglib-cache")),
        ("S215", "exec-train-model mount it", _lost),
        ("S205", "may not read", lambda api: api.forbidden.add("/api/v1/nodes")),
        (
            "S205",
            "may not read",
            lambda api: api.forbidden.add(f"{CONFIG_MAPS}/workflow-controller"),
        ),
        ("S216", "none whose pod is deleted", lambda api: _add_argo(api, "{limit: 2}")),
        ("S216", "no workflow", lambda api: _add_argo(api, "[1]")),
        ("S216", "no workflow", lambda api: _add_argo(api, "{")),
        (
            "S220",
            f"none fits: 1 without the label pool=gpu; 1 with less {GPU} than 1",
            lambda api: api.nodes[1].status.allocatable.pop(GPU),
        ),
        (
            "S220",
            "1 with the taint pool=other:NoExecute",
            lambda api: api.nodes[1].spec.taints.append(
                client.V1Taint(key="pool", value="other", effect="NoExecute")
            ),
        ),
        (
            "S220",
            "1 cordoned",
            lambda api: setattr(api.nodes[1].spec, "unschedulable", True),
        ),
        (
            "S220",
            "1 with less memory than 4.0 GiB",
            lambda api: api.nodes[1].status.allocatable.update(memory="3Gi"),
        ),
        (
            "S220",
            "1 not ready",
            lambda api: setattr(api.nodes[1].status.conditions[0], "status", "False"),
        ),
    ],
)
def test_what_the_cluster_lacks_is_one_finding(
    seen: Seen,
    kubeconfig: Path,
    api: CoreApi,
    code: str,
    what: str,
    change: Callable[[CoreApi], None],
) -> None:
    change(api)
    with api.run(kubeconfig):
        findings = seen(cluster=True, service_account=ACCOUNT)
    assert [finding.code for finding in findings] == [code]
    assert what in findings[0].what
    assert "correct" not in repr(findings)


def test_an_absent_cluster_is_one_finding(
    seen: Seen, kubeconfig: Path, tmp_path: Path
) -> None:
    (without,) = seen(cluster=True)
    assert without.code == "S201"
    assert "no kubeconfig" in without.what
    away = f"http://127.0.0.1:{free_port()}"
    kubeconfig.write_text(loopback.kubeconfig(away, token="right"))
    (refused,) = seen(cluster=True)
    assert refused.code == "S201"
    assert "Connection refused" in refused.what
    assert "object at" not in refused.what


def test_a_cluster_that_never_answers_is_one_finding_in_time(
    seen: Seen, kubeconfig: Path, no_look_is_late: None
) -> None:
    with silent_server() as address:
        kubeconfig.write_text(loopback.kubeconfig(address, token="right"))
        (finding,) = seen(cluster=True, timeout_s=0.1)
    assert finding.code == "S201"


def test_credentials_that_the_cluster_refuses_are_one_finding(
    seen: Seen, kubeconfig: Path, api: CoreApi
) -> None:
    with api.run(kubeconfig, token="wrong"):
        (finding,) = seen(cluster=True, service_account=ACCOUNT)
    assert finding.code == "S202"


_HEALTH = "healthz_service_get_healthz"


@pytest.mark.parametrize(
    ("fault", "code", "what"),
    [
        (None, "", ""),
        (Fault(_HEALTH, 401), "S231", "(401)"),
        (
            Fault(
                _HEALTH, 302, headers={"Location": "https://dex.example/a?s=hunter2"}
            ),
            "S231",
            "leads on to https://dex.example/a",
        ),
        (Fault(_HEALTH, 503), "S230", "(503)"),
    ],
)
def test_kfp_is_asked_as_submit_asks(
    seen: Seen, fault: Fault | None, code: str, what: str
) -> None:
    with KfpApi(token="right" if fault is None else "") as api:
        api.faults += [fault] if fault else []
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KFP_TOKEN", "right")
            findings = seen(host=api.url)
    assert [finding.code for finding in findings] == ([code] if code else [])
    assert what in repr(findings)
    assert "hunter2" not in repr(findings)


def test_a_kfp_older_than_the_sdk_is_a_warning(seen: Seen) -> None:
    with KfpApi(version="2.5.0") as api:
        (finding,) = seen(host=api.url)
    assert finding.code == "S232"
    assert "the server is KFP 2.5.0, older than the SDK" in finding.what


def test_servers_that_are_away_or_silent_are_a_finding_each_in_time(
    seen: Seen, pods: list[Pod], no_look_is_late: None
) -> None:
    away = f"127.0.0.1:{free_port()}"
    pods[:] = [_pod("exec-gate-model", f"{away}/team/seglib@{DIGEST}", {})]
    findings = seen(host=f"http://{away}", mlflow=f"http://{away}", images=True)
    assert [finding.code for finding in findings] == ["S230", "S242", "S250"]
    assert "nothing listens there" in findings[0].what
    assert all("Connection refused" in finding.what for finding in findings[1:])
    with silent_server() as address:
        findings = seen(host=address, mlflow=address, timeout_s=0.1)
    assert [finding.code for finding in findings] == ["S230", "S250"]
    assert all("in time" in finding.what for finding in findings)


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
def test_an_image_is_asked_for_with_a_login_and_by_its_digest(
    seen: Seen,
    pods: list[Pod],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scheme: str,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with Registry(DIGEST, login=_base64("me:hunter22"), scheme=scheme) as registry:
        name = registry.name
        pods[:] = [_pod("exec-gate-model", f"{name}/team/seglib@{DIGEST}", {})]
        (refused,) = seen(images=True)
        assert refused.code == "S241"
        assert "asked without a login" in refused.what
        login = {"auths": {name: {"auth": registry.login}}}
        (tmp_path / "config.json").write_text(json.dumps(login))
        assert seen(images=True) == ()
        registry.digests = ()
        (unknown,) = seen(images=True)
        assert unknown.code == "S240"


def test_an_image_that_anybody_may_pull_or_that_names_no_registry_is_no_finding(
    seen: Seen, pods: list[Pod], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with Registry(DIGEST) as registry:
        names = (f"{registry.name}/team/seglib@{DIGEST}", f"team/seglib@{DIGEST}")
        pods[:] = [_pod("exec-gate-model", name, {}) for name in names]
        assert seen(images=True) == ()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.slow  # a real server; the test below has its answers
def test_a_real_mlflow_answers_to_the_names_that_it_is_given(
    seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = "mlflow.example:5000,127.0.0.1:*"
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", hosts)
    server = MlflowServer(tmp_path)
    server.start()
    try:
        assert seen(mlflow=server.uri) == ()
        assert seen(mlflow=server.uri, mlflow_host="mlflow.example:5000") == ()
        name = "mlflow.kubeflow.svc.cluster.local:5000"
        (finding,) = seen(mlflow=server.uri, mlflow_host=name)
        assert finding.code == "S251"
        assert f"--allowed-hosts {name}" in finding.remedy
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("reply", "version", "codes"),
    [
        (Reply(200, {"experiments": []}), "2.22.0", ["S253"]),
        (Reply(200, {"experiments": []}), "<html>", ["S253"]),
        (Reply(200, {}), "3.17.0", []),
        (Reply(403, "Invalid Host header - possible attack"), "3.17.0", ["S251"]),
        (Reply(401), "3.17.0", ["S252"]),
        (Reply(302), "3.17.0", ["S252"]),
        (Reply(500), "3.17.0", ["S250"]),
    ],
)
def test_answers_of_mlflow_give_their_findings_without_the_password(
    seen: Seen, reply: Reply, version: str, codes: list[str]
) -> None:
    def answer(request: Request) -> Reply:
        login = f"Basic {_base64('me:hunter22')}"
        assert request.headers.get("authorization") == login
        return Reply(200, version) if request.path == "/version" else reply

    with Answering(answer) as server:
        findings = seen(mlflow=server.url.replace("//", "//me:hunter22@"))
    assert [finding.code for finding in findings] == codes
    assert "hunter22" not in repr(findings)


@pytest.fixture(scope="module")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SeaweedFS, which checks credentials, with a bucket `things`."""
    import boto3

    try:
        with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as address:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in environment(address).items():
                    patch.setenv(name, value)
                boto3.client("s3").create_bucket(Bucket="things")
            yield address
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("user", "store", "codes"),
    [
        ("writer", "s3://things/checkpoints", []),
        ("reader", "s3://things/checkpoints", ["S261"]),
        ("stranger", "s3://things/checkpoints", ["S260"]),
        ("writer", "s3://nothing/checkpoints", ["S260"]),
    ],
)
def test_a_store_is_read_and_written_with_the_credentials(
    seen: Seen,
    s3_address: str,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    store: str,
    codes: list[str],
) -> None:
    for name, value in environment(s3_address, user).items():
        monkeypatch.setenv(name, value)
    findings = seen(stores=(store,))
    assert [finding.code for finding in findings] == codes
    assert f"{user}-secret" not in repr(findings)


def test_the_probe_of_a_store_is_gone_afterwards(
    seen: Seen, s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    for name, value in environment(s3_address).items():
        monkeypatch.setenv(name, value)
    assert seen(stores=("s3://things/probes",)) == ()
    listed = boto3.client("s3").list_objects_v2(Bucket="things", Prefix="probes")
    assert listed["KeyCount"] == 0


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        (lambda *_: "plain", ["S262"]),
        (lambda method, *_: 500 if method == "DELETE" else "", ["S263"]),
        (lambda method, *_: "short" if method == "GET" else "", ["S260"]),
    ],
    ids=["no conditions", "no deletion", "other content"],
)
def test_a_store_that_does_less_than_it_says_is_found(
    seen: Seen,
    s3_server: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[..., int | str],
    codes: list[str],
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with proxy(s3_server) as store:
        for name, value in environment(store.address).items():
            monkeypatch.setenv(name, value)
        store.fault = fault
        findings = seen(stores=("s3://datasets/faulty",))
    assert [finding.code for finding in findings] == codes


def test_a_store_that_never_answers_is_one_finding_in_time(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "_GRACE_S", 0)
    with silent_server() as address:
        for name, value in environment(address).items():
            monkeypatch.setenv(name, value)
        (finding,) = seen(stores=("s3://things/x",), timeout_s=0.5)
    assert finding.code == "S290"
    assert finding.where == "store s3://things/x"


def test_a_store_of_this_machine_is_not_looked_at() -> None:
    local = Surroundings(mlflow="sqlite:///x.db", stores=("here",))
    assert local.looks([]) == []


def test_every_code_of_the_surroundings_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    text += Path(__file__).with_name("test_sizing.py").read_text(encoding="utf-8")
    wanted = {code for code in codes() if code.startswith("S")}
    assert {code for code in wanted if f'"{code}"' in text} == wanted
