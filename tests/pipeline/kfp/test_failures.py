"""Each way in which a cluster can be absent or say no has its own words."""

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from pipeline.kfp.connection import connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.order import Order
from pipeline.kfp.runs import get_run, list_runs
from pipeline.kfp.submission import submit
from tests.fakes.certificates import self_signed
from tests.fakes.kfp_api import Fault, KfpApi
from tests.fakes.loopback import Loopback, Reply, Request, use_kubeconfig
from tests.fakes.servers import free_port, silent_server
from tests.pipeline.kfp.conftest import QUICK

HEALTH = "healthz_service_get_healthz"


def _fails(kind: str, message: str, **endpoint: Any) -> ClusterError:
    with pytest.raises(ClusterError, match=message) as caught:
        connect(Endpoint(patience=QUICK, **endpoint))
    assert caught.value.kind == kind
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_refused_connection_names_the_port_forward() -> None:
    host = f"http://127.0.0.1:{free_port()}"
    _fails("refused", "nothing listens there.*port-forward", host=host)


def test_an_unknown_host_is_told_as_a_name_inside_of_the_cluster() -> None:
    host = "http://ml-pipeline.kubeflow.svc.invalid:8888"
    _fails("dns", "no such host.*inside of the cluster only", host=host)


def test_a_server_that_never_answers_is_a_timeout() -> None:
    with silent_server() as host:
        _fails("timeout", "did not answer in time.*--timeout", host=host, timeout_s=0.2)


def test_a_closed_connection_is_told(api: KfpApi) -> None:
    api.faults.append(Fault(HEALTH, status=0, times=99))
    _fails("dropped", "closed the connection without an answer", host=api.url)


def test_https_to_a_server_of_plain_http_says_to_use_http(api: KfpApi) -> None:
    host = api.url.replace("http://", "https://")
    _fails("tls", "no secure connection.*begin the address with http://", host=host)


def test_a_certificate_of_an_unknown_authority_names_ca_cert(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "both.pem")
    other = self_signed(tmp_path / "other.pem")
    with _Nothing(certificate) as server:
        _fails("tls", "no secure connection.*--ca-cert FILE", host=server.url)
        _fails("tls", "--ca-cert", host=server.url, ca_cert=str(other))
        # With the right one it comes through: what answers is no KFP, though.
        _fails("not-kfp", "no KFP API", host=server.url, ca_cert=str(certificate))


def test_missing_and_wrong_credentials_name_the_settings() -> None:
    with KfpApi(token="right") as api:
        _fails("unauthenticated", "401.*KFP_TOKEN, --token-file", host=api.url)
        _fails("unauthenticated", "has expired", host=api.url, token="wrong")
        assert connect(Endpoint(host=api.url, token="right")).version == "2.17.0"


def test_a_token_file_is_read_anew_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with KfpApi(token="first") as api:
        cluster = connect(Endpoint(host=api.url, token_file=str(file), patience=QUICK))
        api.token = "second"
        with pytest.raises(ClusterError, match="401"):
            list(list_runs(cluster))
        file.write_text("second\n")
        assert list(list_runs(cluster)) == []
        _fails(
            "credentials",
            "--token-file: no such file",
            host=api.url,
            token_file=str(tmp_path / "none"),
        )


def test_cookies_are_sent() -> None:
    with KfpApi(cookie="authservice_session=abc") as api:
        _fails("unauthenticated", "KFP_COOKIES", host=api.url)
        cluster = connect(Endpoint(host=api.url, cookies="authservice_session=abc"))
        assert list(list_runs(cluster)) == []


def test_a_redirection_to_a_login_page_is_not_followed(api: KfpApi) -> None:
    place = {"Location": "https://login.example/auth?state=secret"}
    api.faults.append(Fault(HEALTH, status=302, headers=place, times=9))
    error = _fails("login", "leads on to https://login.example/auth", host=api.url)
    assert "secret" not in str(error)


def test_not_allowed_names_the_role(api: KfpApi, order: Order) -> None:
    cluster = connect(Endpoint(host=api.url, patience=QUICK))
    message = "User 'jane' is not authorized to create runs in namespace vision"
    api.faults.append(Fault("run_service_create_run", status=403, message=message))
    with pytest.raises(
        ClusterError, match="not allowed to create the run.*'jane'"
    ) as e:
        submit(cluster, order)
    assert "kubeflow-edit" in str(e.value)
    assert e.value.kind == "forbidden"


def test_an_address_without_its_path_names_the_path() -> None:
    with KfpApi(prefix="/pipeline") as api:
        bare = api.url.removesuffix("/pipeline")
        _fails("not-kfp", "no KFP API at this address.*HOST/pipeline", host=bare)
        assert connect(Endpoint(host=api.url)).url("runs") == f"{api.url}/#/runs"


def test_a_page_is_not_taken_for_an_api(api: KfpApi) -> None:
    page = "<html><title>Sign in</title></html>"
    api.extra["GET", "/apis/v2beta1/healthz"] = (200, page)
    _fails("not-kfp", "answers, but not as KFP's API does", host=api.url)


def test_another_api_is_not_taken_for_kfps(api: KfpApi) -> None:
    api.extra["GET", "/apis/v2beta1/healthz"] = (200, json.dumps({"multi_user": "x"}))
    _fails("not-kfp", "answers, but not as KFP's", host=api.url)


def test_what_kfp_says_of_an_invalid_run_is_kept_and_shortened(
    api: KfpApi, order: Order
) -> None:
    cluster = connect(Endpoint(host=api.url, patience=QUICK))
    long = "Failed to create a run: InternalServerError: " * 40 + "unknown field 'foo'"
    api.faults.append(Fault("run_service_create_run", status=400, message=long))
    with pytest.raises(ClusterError, match="refuses to create the run") as caught:
        submit(cluster, order)
    assert str(caught.value).endswith("unknown field 'foo'")
    assert len(str(caught.value)) < 600
    assert caught.value.kind == "invalid"


def test_a_failing_server_is_asked_again_before_it_is_an_error(api: KfpApi) -> None:
    api.faults.append(Fault(HEALTH, status=503, times=2))
    assert connect(Endpoint(host=api.url, patience=QUICK)).version == "2.17.0"
    api.faults.append(Fault(HEALTH, status=500, times=99, message="no database"))
    _fails("broken", r"\(500\): no database.*kubectl logs", host=api.url)
    api.faults.clear()
    api.faults.append(Fault(HEALTH, status=429, times=99))
    _fails("busy", "too many requests", host=api.url)


def test_a_server_that_comes_back_is_waited_for(api: KfpApi, order: Order) -> None:
    cluster = connect(Endpoint(host=api.url, patience=QUICK))
    run = submit(cluster, order).run
    api.faults.append(Fault("run_service_get_run", status=0, times=3))
    assert get_run(cluster, run.run_id).run_id == run.run_id


@pytest.mark.parametrize(
    ("version", "older"),
    [("2.5.0", True), ("2.17.0", False), ("2.18.1", False), ("unknown", False)],
)
def test_an_older_server_is_noted(version: str, older: bool) -> None:
    with KfpApi(version=version) as api:
        cluster = connect(Endpoint(host=api.url))
    assert len(cluster.warnings) == older
    assert all(f"KFP {version}, older than the SDK" in t for t in cluster.warnings)


def test_a_server_of_another_major_version_is_refused() -> None:
    with KfpApi(version="1.8.5") as api:
        _fails("version", "is KFP 1.8.5.*servers of 2.x", host=api.url)


def test_a_missing_address_names_its_settings() -> None:
    message = "No cluster is named.*--host or KFP_ENDPOINT.*No configuration found"
    _fails("no-kubeconfig", message)


def test_an_unknown_context_of_kubeconfig_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kubeconfig(monkeypatch, tmp_path, "http://127.0.0.1:1", token="")
    message = "no context 'prod'. It has: here. Name one with --context"
    _fails("no-kubeconfig", message, context="prod")


def test_a_cluster_of_kubeconfig_is_reached_through_its_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    path = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
    with KfpApi(prefix=path, token="of-the-kubeconfig") as api:
        server = api.url.removesuffix(path)
        use_kubeconfig(monkeypatch, tmp_path, server, token="of-the-kubeconfig")
        cluster = connect(Endpoint(patience=QUICK))
        done = submit(cluster, order)
        assert api.run()["run_id"] == done.run.run_id
    assert done.url.startswith("http://localhost:8080/#/runs/details/")
    assert "kubectl port-forward -n kubeflow svc/ml-pipeline-ui" in cluster.hint


def test_settings_come_from_the_environment_and_secrets_are_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KFP_ENDPOINT", "http://kfp")
    monkeypatch.setenv("KFP_TOKEN", "canary")
    monkeypatch.setenv("KFP_COOKIES", "canary")
    endpoint = Endpoint.from_environment(namespace="vision")
    assert endpoint.host == "http://kfp"
    assert endpoint.token == endpoint.cookies == "canary"
    assert "canary" not in repr(endpoint)


class _Nothing(Loopback):
    """Has nothing but 404, by TLS with a certificate that no authority signed."""

    def __init__(self, certificate: Path):
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        plain = self._server.socket
        self._server.socket = context.wrap_socket(plain, server_side=True)
        self.url = self.url.replace("http://", "https://")

    def reply(self, request: Request) -> Reply:
        return Reply(404)
