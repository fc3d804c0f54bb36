"""Where KFP's API is, and with which credentials it is asked."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from kfp_server_api import Configuration

from pipeline.http import Patience
from pipeline.kfp.failures import ClusterError, shortened

NAMESPACE = "kubeflow"
_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_IN_POD = "/var/run/secrets/kubeflow/pipelines/token"
_PROXY_OF_KUBERNETES = "api/v1/namespaces/{}/services/ml-pipeline:http/proxy"
_SERVICE = "http://ml-pipeline.{}.svc.cluster.local:8888"
_KEY = "authorization"
_VARIABLES = {
    "host": ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT"),
    "namespace": ("KFP_NAMESPACE",),
    "token_file": ("KFP_TOKEN_FILE",),
    "token": ("KFP_TOKEN",),
    "cookies": ("KFP_COOKIES",),
    "ca_cert": ("KFP_CA_CERT",),
    "ui_host": ("KFP_UI_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"),
}


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

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Fill what is not given from the environment: KFP_ENDPOINT, KFP_TOKEN.

        The names that kfp.Client reads count, too: KF_PIPELINES_ENDPOINT, and of an
        Identity-Aware Proxy KF_PIPELINES_IAP_OAUTH2_CLIENT_ID and so on.
        """
        found = {
            option: next(filter(None, map(os.environ.get, names)), None)
            for option, names in _VARIABLES.items()
        }
        given = found | {name: value for name, value in options.items() if value}
        return cls(**{name: value for name, value in given.items() if value})

    def configuration(self) -> Configuration:
        """The address and the credentials, for the generated client."""
        files = {"--token-file": self.token_file, "--ca-cert": self.ca_cert}
        for option, name in files.items():
            if name and not Path(name).is_file():
                raise ClusterError(
                    f"{option}: no such file: {name}", kind="credentials"
                )
        found = Configuration()
        if self.host:
            scheme = "" if self.host.startswith("http") else "https://"
            found.host = f"{scheme}{self.host}"
        elif _IN_POD.exists() and os.environ.get("KUBERNETES_SERVICE_HOST"):
            found.host = _SERVICE.format(self.namespace)
            projected = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or _TOKEN_IN_POD
            if Path(projected).is_file():
                _read_for_each_request(found, Path(projected))
        else:
            self._use_kubeconfig(found)
        found.ssl_ca_cert = self.ca_cert or found.ssl_ca_cert
        found.host = found.host.rstrip("/")
        if self.token:
            _use_token(found, self.token)
        elif self.token_file:
            _read_for_each_request(found, Path(self.token_file))
        elif client_id := os.environ.get("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", ""):
            _use_token(found, _token_of_iap(found.host, client_id))
        return found

    def own_namespace(self) -> str:
        """The namespace of multi-user mode: as given, else in a pod the pod's."""
        file = _IN_POD / "namespace"
        if self.namespace == NAMESPACE and file.is_file():
            return file.read_text(encoding="utf-8").strip()
        return self.namespace

    def _use_kubeconfig(self, found: Configuration) -> None:
        """The API through the proxy of the Kubernetes API."""
        from kubernetes import config

        _require_context(self.context)
        config.load_kube_config(
            client_configuration=found, context=self.context or None
        )
        found.host = f"{found.host}/{_PROXY_OF_KUBERNETES.format(self.namespace)}"
        host, refresh = found.host, found.refresh_api_key_hook

        def refresh_token(given: Configuration) -> None:
            # The kubeconfig's own hook puts the bare server back, and itself.
            refresh(given)
            given.host, given.refresh_api_key_hook = host, refresh_token

        found.refresh_api_key_hook = refresh_token if refresh else None


def _use_token(found: Configuration, token: str) -> None:
    found.refresh_api_key_hook = None
    found.api_key[_KEY], found.api_key_prefix[_KEY] = token, "Bearer"


def _read_for_each_request(found: Configuration, file: Path) -> None:
    def read(given: Configuration) -> None:
        given.api_key[_KEY] = file.read_text(encoding="utf-8").strip()

    _use_token(found, "")
    found.refresh_api_key_hook = read


def _token_of_iap(host: str, client_id: str) -> str:
    from kfp.client import auth

    names = ("CLIENT_ID", "CLIENT_SECRET")
    other = [os.environ.get(f"KF_PIPELINES_APP_OAUTH2_{name}") for name in names]
    try:
        return str(auth.get_auth_token(client_id, *other)[0])
    except SystemExit as error:  # that library exits
        raise ClusterError(f"{host}: no credentials: {error}", kind="login") from error


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
