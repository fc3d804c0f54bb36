"""Where KFP's API is, and with which credentials it is asked."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.http import Patience
from pipeline.kfp.failures import ClusterError, shortened

if TYPE_CHECKING:
    from kfp_server_api import Configuration

NAMESPACE = "kubeflow"
_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PROXY_OF_KUBERNETES = "api/v1/namespaces/{}/services/ml-pipeline:http/proxy"
_SERVICE = "http://ml-pipeline.{}.svc.cluster.local:8888"
_INVERTING_PROXY = re.compile(r"\S+\.googleusercontent\.com/?")
_KEY = "authorization"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An address of KFP, and who asks. Secrets come from the environment or files."""

    host: str = ""  # empty: in a pod KFP's service, else by kubeconfig
    namespace: str = NAMESPACE
    context: str = ""  # of kubeconfig
    token_file: str = ""
    token: str = field(default="", repr=False)
    cookies: str = field(default="", repr=False)
    ca_cert: str = ""
    ui_host: str = ""
    timeout_s: float = 30.0
    patience: Patience = field(default_factory=Patience)
    # KFP's times of creation are whole seconds: only when that of a new run is over
    # does everybody see the same runs of it, and choose the same one.
    settle_s: float = 1.2

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Fill what is not given from the environment: KFP_ENDPOINT, KFP_TOKEN.

        The names that kfp.Client reads count, too: KF_PIPELINES_ENDPOINT, and of an
        Identity-Aware Proxy KF_PIPELINES_IAP_OAUTH2_CLIENT_ID and so on.
        """
        known = {
            "host": ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT"),
            "namespace": ("KFP_NAMESPACE",),
            "token_file": ("KFP_TOKEN_FILE",),
            "token": ("KFP_TOKEN",),
            "cookies": ("KFP_COOKIES",),
            "ca_cert": ("KFP_CA_CERT",),
            "ui_host": ("KFP_UI_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"),
        }
        found = {
            option: next(filter(None, map(os.environ.get, names)), None)
            for option, names in known.items()
        }
        given = found | {name: value for name, value in options.items() if value}
        return cls(**{name: value for name, value in given.items() if value})


def configuration_of(endpoint: Endpoint) -> "Configuration":
    """The address and the credentials, for the generated client.

    Raises:
        ClusterError: a file is not there, or nothing names a cluster.
    """
    import kfp_server_api

    _check_files(endpoint)
    found = kfp_server_api.Configuration()
    found.ssl_ca_cert = endpoint.ca_cert or None
    if endpoint.host:
        scheme = "" if endpoint.host.startswith("http") else "https://"
        found.host = f"{scheme}{endpoint.host}"
    elif _IN_POD.exists() and os.environ.get("KUBERNETES_SERVICE_HOST"):
        found.host = _SERVICE.format(endpoint.namespace)
        _use_projected_token(found)
    else:
        _use_kubeconfig(found, endpoint)
    found.host = found.host.rstrip("/")
    _use_token(found, endpoint)
    return found


def own_namespace(endpoint: Endpoint) -> str:
    """The namespace of multi-user mode: as given, else in a pod the pod's."""
    file = _IN_POD / "namespace"
    if endpoint.namespace == NAMESPACE and file.is_file():
        return file.read_text(encoding="utf-8").strip()
    return endpoint.namespace


def _use_token(found: "Configuration", endpoint: Endpoint) -> None:
    token: str | None = endpoint.token
    iap = os.environ.get("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "")
    if endpoint.token_file and not token:
        _read_for_each_request(found, Path(endpoint.token_file))
        return
    if iap and not token:
        token = _token_of_iap(found.host, iap)
    elif not token and _INVERTING_PROXY.fullmatch(found.host):
        from kfp.client import auth

        token = auth.get_gcp_access_token()
    if token:
        found.refresh_api_key_hook = None
        found.api_key[_KEY], found.api_key_prefix[_KEY] = token, "Bearer"


def _token_of_iap(host: str, client_id: str) -> str:
    from kfp.client import auth

    names = ("CLIENT_ID", "CLIENT_SECRET")
    other = [os.environ.get(f"KF_PIPELINES_APP_OAUTH2_{name}") for name in names]
    try:
        return str(auth.get_auth_token(client_id, *other)[0])
    except SystemExit as error:  # that library exits
        raise ClusterError(f"{host}: no credentials: {error}", kind="login") from error


def _use_projected_token(found: "Configuration") -> None:
    """That of the pod, for the audience pipelines.kubeflow.org, where it has one."""
    usual = "/var/run/secrets/kubeflow/pipelines/token"
    file = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or usual)
    if file.is_file():
        _read_for_each_request(found, file)


def _read_for_each_request(found: "Configuration", file: Path) -> None:
    def read(given: "Configuration") -> None:
        given.api_key[_KEY] = file.read_text(encoding="utf-8").strip()

    found.refresh_api_key_hook = read
    found.api_key[_KEY], found.api_key_prefix[_KEY] = "", "Bearer"


def _use_kubeconfig(found: "Configuration", endpoint: Endpoint) -> None:
    """The API through the proxy of the Kubernetes API."""
    from kubernetes import config

    _require_context(endpoint.context)
    authority = found.ssl_ca_cert
    config.load_kube_config(
        client_configuration=found, context=endpoint.context or None
    )
    found.ssl_ca_cert = authority or found.ssl_ca_cert
    host = f"{found.host}/{_PROXY_OF_KUBERNETES.format(endpoint.namespace)}"
    found.host = host
    if refresh := found.refresh_api_key_hook:
        found.refresh_api_key_hook = _without_host(refresh, host)


def _without_host(
    refresh: Callable[["Configuration"], None], host: str
) -> Callable[["Configuration"], None]:
    """A kubeconfig's hook that renews the token only.

    It puts the bare server back, without the proxy's path, and itself: a second
    request would go astray.
    """

    def refresh_token(given: "Configuration") -> None:
        refresh(given)
        given.host, given.refresh_api_key_hook = host, refresh_token

    return refresh_token


def _require_context(context: str) -> None:
    from kubernetes import config

    try:
        contexts, active = config.list_kube_config_contexts()
    except config.ConfigException as error:
        raise ClusterError(
            "No cluster is named. Expected --host or KFP_ENDPOINT (the address of "
            "KFP's user interface or API), a kubeconfig (KUBECONFIG or "
            "~/.kube/config), or a pod of the cluster. The kubeconfig: "
            f"{shortened(str(error))}",
            kind="no-kubeconfig",
        ) from error
    names = [one["name"] for one in contexts]
    wanted = context or (active or {}).get("name", "")
    if wanted not in names:
        raise ClusterError(
            f"kubeconfig has no context {wanted!r}. It has: {', '.join(names)}. Name "
            "one with --context.",
            kind="no-kubeconfig",
        )


def _check_files(endpoint: Endpoint) -> None:
    for option, name in (
        ("--token-file", endpoint.token_file),
        ("--ca-cert", endpoint.ca_cert),
    ):
        if name and not Path(name).is_file():
            raise ClusterError(f"{option}: no such file: {name}", kind="credentials")
