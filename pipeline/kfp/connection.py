"""A connection to KFP's API: what every command on a cluster works with."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

from pipeline.kfp.endpoint import Endpoint, own_namespace
from pipeline.kfp.failures import ClusterError, explain, shortened
from seglib.plain_text import without_login

if TYPE_CHECKING:
    from pipeline.kfp.client import Client

_PAGE = 100
_LOCAL_UI = "http://localhost:8080"


@dataclass(kw_only=True)
class Cluster:
    """A server that has answered."""

    endpoint: Endpoint
    client: "Client"
    version: str  # of the server; empty where it does not say
    multi_user: bool
    warnings: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """Where the runs' pods are."""
        return self.endpoint.namespace

    @property
    def scope(self) -> dict[str, str]:
        """The namespace of a list: single-user servers refuse any, others need one."""
        return {"namespace": self.namespace} if self.multi_user else {}

    def call(
        self, operation: Callable[..., Any], *given: Any, doing: str, **options: Any
    ) -> Any:
        """Make a call; one that only reads or deletes is repeated where that helps.

        Args:
            operation: of the client, such as `client.runs.run_service_get_run`.
            doing: the purpose, for messages, such as "create the run".

        Raises:
            ClusterError: it failed.
        """
        try:
            return operation(*given, **options)
        except Exception as error:
            raise explain(error, host=self.client.address, doing=doing) from error

    def read(self, path: str, *, doing: str) -> str:
        """The text behind a path that the generated API does not have.

        Raises:
            ClusterError: as with `call`.
        """
        return str(self.call(self.client.read, path, doing=doing))

    def pages(
        self,
        operation: Callable[..., Any],
        key: str,
        *given: Any,
        where: Mapping[str, str] | None = None,
        part: Mapping[str, str] | None = None,
        among: Mapping[str, str],
        doing: str,
    ) -> Iterator[Any]:
        """All items of a list, page by page, the newest first.

        Args:
            operation: of the client, such as `client.runs.run_service_list_runs`.
            key: of the items in its answer.
            where: field → value it equals (KFP compares without case).
            part: field → text it contains.
            among: the namespace or experiment that the items belong to; empty: any.
            doing: the purpose, for messages.

        Raises:
            ClusterError: as with `call`.
        """
        predicates = [
            {"operation": name, "key": field, "string_value": value}
            for name, wanted in (("EQUALS", where), ("IS_SUBSTRING", part))
            for field, value in (wanted or {}).items()
        ]
        options: dict[str, Any] = {"page_size": _PAGE, "sort_by": "created_at desc"}
        if predicates:
            options["filter"] = json.dumps({"predicates": predicates})
        while True:
            page = self.call(operation, *given, doing=doing, **among, **options)
            yield from getattr(page, key) or ()
            if not page.next_page_token:
                return
            options["page_token"] = page.next_page_token

    def url(self, *path: str) -> str:
        """A page of KFP's user interface."""
        host = self.endpoint.ui_host or self.endpoint.host
        if "/proxy" in host or ".svc" in host:
            host = _LOCAL_UI  # see `hint`
        if not host.startswith("http"):
            host = f"https://{host}"
        return f"{without_login(host).rstrip('/')}/#/{'/'.join(path)}"

    @property
    def hint(self) -> str:
        """How the pages are reached where the API's address does not show them."""
        known = self.endpoint.ui_host or "localhost:8080" in self.endpoint.host
        if known or not self.url().startswith(_LOCAL_UI):
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
    from pipeline.kfp.client import Client

    client = Client(endpoint)
    try:
        # All that the server says of itself: the generated API leaves some out.
        health = json.loads(client.read("/apis/v2beta1/healthz"))
        is_kfp = isinstance(health.get("multi_user", False), bool)
    except Exception as error:
        raise explain(error, host=client.address, doing="ask for its health") from error
    if not is_kfp:
        raise ClusterError(
            f"{client.address}: answers, but not as KFP's API: "
            f"{shortened(str(health))}",
            kind="not-kfp",
        )
    multi_user = bool(health.get("multi_user", False))
    version = str(health.get("tag_name", ""))
    return Cluster(
        endpoint=replace(
            endpoint,
            host=endpoint.host or client.address,
            namespace=own_namespace(endpoint) if multi_user else endpoint.namespace,
        ),
        client=client,
        version=version,
        multi_user=multi_user,
        warnings=_compare_versions(version, client.address),
    )


def _compare_versions(server: str, host: str) -> tuple[str, ...]:
    """What to say of a server that is older than this SDK.

    Raises:
        ClusterError: it is of another major version.
    """
    sdk = version_of("kfp")
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
    """An object of kfp_server_api's models, such as "V2beta1Run"."""
    import kfp_server_api

    return getattr(kfp_server_api, kind)(**fields)
