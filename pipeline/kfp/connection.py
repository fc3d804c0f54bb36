"""How KFP's API is reached: address, credentials, patience."""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.dag.lean_kfp import import_kfp
from pipeline.kfp.failures import ClusterError, explain, shortened
from seglib.plain_text import without_login

if TYPE_CHECKING:
    from pipeline.kfp.client import QuietClient

NAMESPACE = "kubeflow"
_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a call is tried again that failed for a reason that passes."""

    first_s: float = 1.0  # doubled each time
    longest_s: float = 15.0
    total_s: float = 45.0
    # KFP's times of creation are whole seconds: only when that of a new run is over
    # does everybody see the same runs of it, and choose the same one.
    settle_s: float = 1.2

    def waits(self) -> list[float]:
        found: list[float] = []
        wait = self.first_s
        while sum(found) + wait <= self.total_s:
            found.append(wait)
            wait = min(2 * wait, self.longest_s)
        return found


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where KFP is, and who asks. Secret values come from the environment or files."""

    host: str = ""  # empty: in a pod KFP's service, else by kubeconfig
    namespace: str = NAMESPACE
    context: str = ""  # of kubeconfig
    token_file: str = ""
    token: str = field(default="", repr=False)
    cookies: str = field(default="", repr=False)
    ca_cert: str = ""
    ui_host: str = ""
    timeout_s: float = 30.0
    patience: Patience = Patience()

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """With what is not given taken from the environment: KFP_ENDPOINT, KFP_TOKEN.

        kfp.Client itself reads KF_PIPELINES_ENDPOINT, and the variables of an
        Identity-Aware Proxy, KF_PIPELINES_IAP_OAUTH2_CLIENT_ID and so on.
        """
        known = {
            "host": "KFP_ENDPOINT",
            "namespace": "KFP_NAMESPACE",
            "token_file": "KFP_TOKEN_FILE",
            "token": "KFP_TOKEN",
            "cookies": "KFP_COOKIES",
            "ca_cert": "KFP_CA_CERT",
            "ui_host": "KFP_UI_ENDPOINT",
        }
        found = {k: os.environ[v] for k, v in known.items() if os.environ.get(v)}
        return cls(**(found | {k: v for k, v in options.items() if v}))


@dataclass(kw_only=True)
class Cluster:
    """A connection that has answered."""

    endpoint: Endpoint
    client: "QuietClient"
    version: str  # of the server; empty where it does not say
    multi_user: bool
    warnings: tuple[str, ...] = ()

    @property
    def scope(self) -> dict[str, str]:
        """The namespace of a list: single-user servers refuse any, others need one."""
        if not self.multi_user:
            return {}
        return {"namespace": self.client.user_namespace or self.endpoint.namespace}

    def call(
        self,
        operation: Callable[..., Any],
        *given: Any,
        doing: str,
        again: bool = True,
        **options: Any,
    ) -> Any:
        """Make a call; what fails for a reason that passes is tried again.

        Args:
            operation: of the client, such as `client.runs.run_service_get_run`.
            doing: what for, for messages.
            again: whether trying again is safe although the first try may have
                worked; if not, only what has certainly not worked is tried again.

        Raises:
            ClusterError: it failed, for good or for too long.
        """
        timeout_s = self.endpoint.timeout_s
        options["_request_timeout"] = (timeout_s, timeout_s)
        return attempt(
            lambda: operation(*given, **options),
            host=self.client.address,
            doing=doing,
            again=again,
            patience=self.endpoint.patience,
        )

    def read(self, path: str, *, doing: str) -> str:
        """The text behind a path that kfp-server-api does not have.

        Raises:
            ClusterError: as with `call`.
        """
        return str(self.call(self.client.read, path, doing=doing))

    @property
    def namespace(self) -> str:
        """Where the runs' pods are."""
        return self.scope.get("namespace") or self.endpoint.namespace

    def url(self, *path: str) -> str:
        """A page of KFP's user interface."""
        host = self.endpoint.ui_host or self.endpoint.host or self.client.address
        if "/proxy" in host or ".svc" in host:
            host = "http://localhost:8080"  # see `hint`
        if not host.startswith("http"):
            host = f"https://{host}"
        return f"{without_login(host).rstrip('/')}/#/{'/'.join(path)}"

    @property
    def hint(self) -> str:
        """How the pages are reached where the API's address does not show them."""
        if "localhost:8080" not in self.url() or self.endpoint.ui_host:
            return ""
        if "localhost:8080" in self.endpoint.host:
            return ""
        return (
            "kubectl port-forward -n "
            f"{self.endpoint.namespace} svc/ml-pipeline-ui 8080:80"
        )


def connect(endpoint: Endpoint) -> Cluster:
    """Reach KFP's API, and see that it is one.

    Raises:
        ClusterError: there is none, or it says no.
    """
    import_kfp()
    if not endpoint.host and not os.environ.get("KF_PIPELINES_ENDPOINT"):
        _require_surroundings(endpoint.context)
    from kfp import __version__

    from pipeline.kfp.client import QuietClient

    host = endpoint.host or os.environ.get("KF_PIPELINES_ENDPOINT", "") or "KFP"
    options = {
        "host": endpoint.host or None,
        "namespace": endpoint.namespace,
        "existing_token": endpoint.token or None,
        "cookies": endpoint.cookies or None,
        "ssl_ca_cert": endpoint.ca_cert or None,
        "kube_context": endpoint.context or None,
        "ui_host": endpoint.ui_host or None,
    }
    _check_files(endpoint)
    try:
        client = attempt(
            lambda: QuietClient(
                timeout_s=endpoint.timeout_s, token_file=endpoint.token_file, **options
            ),
            host=host,
            doing="ask for its health",
            patience=endpoint.patience,
            insist=False,
        )
    except SystemExit as error:  # an Identity-Aware Proxy's library exits
        raise ClusterError(f"{host}: no credentials: {error}", kind="login") from error
    health = attempt(
        client.health,
        host=client.address,
        doing="ask for its health",
        patience=endpoint.patience,
        insist=False,
    )
    if not isinstance(health.get("multi_user", False), bool):
        raise ClusterError(
            f"{client.address}: answers, but not as KFP's API: "
            f"{shortened(str(health))}",
            kind="not-kfp",
        )
    version = str(health.get("tag_name", ""))
    return Cluster(
        endpoint=replace(endpoint, host=endpoint.host or client.address),
        client=client,
        version=version,
        multi_user=bool(health.get("multi_user", False)),
        warnings=_compare_versions(version, __version__, client.address),
    )


def attempt(
    work: Callable[[], Any],
    *,
    host: str,
    doing: str,
    patience: Patience,
    again: bool = True,
    insist: bool = True,
) -> Any:
    """Do it, again and again while it fails for a reason that passes.

    Args:
        again: whether it may be repeated although it may have worked.
        insist: whether a server that is not there is waited for.

    Raises:
        ClusterError: it failed.
    """
    # kfp logs errors by itself, with tracebacks.
    logging.getLogger("kfp").setLevel(logging.CRITICAL)
    waits = patience.waits()
    while True:
        try:
            return work()
        except Exception as error:
            failure = explain(error, host=host, doing=doing)
            absent = failure.kind in ("refused", "unreachable")
            useless = not failure.passing or (absent and not insist)
            if useless or not waits or (failure.undecided and not again):
                raise failure from error
            time.sleep(max(waits.pop(0), min(failure.wait_s, patience.longest_s)))


def _require_surroundings(context: str) -> None:
    """kfp.Client prints something and asks this machine, where there is no cluster."""
    from kubernetes import config

    if _IN_POD.exists() and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return
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


def _compare_versions(server: str, sdk: str, host: str) -> tuple[str, ...]:
    """What to say of a server that is older or younger than this SDK."""
    found = re.match(r"v?(\d+)\.(\d+)", server)
    own = re.match(r"(\d+)\.(\d+)", sdk)
    if not found or not own:
        return ()
    theirs, ours = (tuple(map(int, match.groups())) for match in (found, own))
    if theirs[0] != ours[0]:
        raise ClusterError(
            f"{host}: is KFP {server}, and this is the SDK {sdk}, which speaks with "
            f"servers of {ours[0]}.x. Use the same major version.",
            kind="version",
        )
    if theirs < ours:
        older = f"the server is KFP {server}, older than the SDK {sdk}"
        return (f"{older}: it may refuse what it does not know",)
    return ()


def model(kind: str, /, **fields: Any) -> Any:
    """An object of kfp-server-api's models, such as "V2beta1Run"."""
    import kfp_server_api

    return getattr(kfp_server_api, kind)(**fields)


def as_dict(found: Any) -> Mapping[str, Any]:
    """An answer's content."""
    return dict(found.to_dict())
